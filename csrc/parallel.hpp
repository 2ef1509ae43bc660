// parallel_for: one loop over a range, cut into chunks that threads take in turn.
#pragma once

#include <cstdint>
#include <functional>

namespace fedsecure {

// What to run over. Chunk borders (other than begin and end) are multiples of `align`, and depend
// on nothing but these four numbers, so a body that only looks at its own [begin, end) gives the
// same bits on any number of threads.
struct Range {
  std::uint64_t begin;
  std::uint64_t end;
  std::uint64_t grain;      // least work worth handing to a thread; > 0
  std::uint64_t align = 1;  // > 0; `grain` is rounded up to a multiple of it
};

using RangeBody = std::function<void(std::uint64_t begin, std::uint64_t end)>;

// Calls body for every chunk, on the calling thread and at most `threads` - 1 further ones (0: one
// per processor), which live for this call only. A range of one chunk starts no thread. The first
// exception stops the handing out of chunks and is rethrown here after all threads have ended. The
// stack that bodies used is wiped on every thread.
void parallel_for(const Range& range, unsigned threads, const RangeBody& body);

}  // namespace fedsecure
