// Compares the packing kernels of one kernel set with the portable ones: every lane, every width,
// counts from 0 to 130 and about those where a kernel changes its way. All arrays end where a page
// does that nobody may touch, so that reading or writing beyond them ends the program.
//
// Usage: pack_check TIER

#include <sys/mman.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>

#include "dispatch.hpp"

namespace {

using namespace fedsecure;

constexpr std::size_t kMaxBytes = 16384;
constexpr std::size_t kBefore = 64;  // bytes before an array, which must stay as they are
int differences = 0;

std::uint64_t next_random() {  // splitmix64
  static std::uint64_t state = 2024;
  std::uint64_t z = (state += 0x9E3779B97F4A7C15);
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
  return z ^ (z >> 31);
}

// Memory before a page without any access.
class Fenced {
 public:
  Fenced() {
    const auto page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
    const std::size_t size = (kMaxBytes + kBefore + page - 1) / page * page;
    void* const all =
        mmap(nullptr, size + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (all == MAP_FAILED) _exit(3);
    end_ = static_cast<std::uint8_t*>(all) + size;
    if (mprotect(end_, page, PROT_NONE) != 0) _exit(3);
  }
  ~Fenced() = default;
  Fenced(const Fenced&) = delete;
  Fenced& operator=(const Fenced&) = delete;

  // The last `size` bytes, with what is before them, set to anything.
  std::uint8_t* fill(std::size_t size) {
    for (std::size_t i = 1; i <= size + kBefore; ++i)
      end_[-static_cast<std::ptrdiff_t>(i)] = static_cast<std::uint8_t>(next_random());
    return end_ - size;
  }
  std::uint8_t* copy(const Fenced& other, std::size_t size) {
    std::memcpy(end_ - size - kBefore, other.end_ - size - kBefore, size + kBefore);
    return end_ - size;
  }
  bool equals(const Fenced& other, std::size_t size) const {
    return std::memcmp(end_ - size - kBefore, other.end_ - size - kBefore, size + kBefore) == 0;
  }

 private:
  std::uint8_t* end_;
};

void compare(bool equal, const char* what, std::size_t lane, unsigned bits, std::size_t count) {
  if (equal) return;
  if (++differences <= 20)
    std::printf("%s, %zu-byte lanes, %u bits, %zu elements\n", what, lane, bits, count);
}

template <typename Word>
void check(const kernels::LaneKernels<Word>& mine, const kernels::LaneKernels<Word>& specification,
           unsigned bits, std::size_t count) {
  static Fenced words, packed, packed_mine, out, out_mine;
  const std::size_t size = count / 8 * bits + (count % 8 * bits + 7) / 8;
  const std::size_t lanes = count * sizeof(Word);
  auto* const x = reinterpret_cast<Word*>(words.fill(lanes));
  std::uint8_t* const to = packed.fill(size);
  std::uint8_t* const to_mine = packed_mine.copy(packed, size);
  specification.pack(x, count, bits, to);
  mine.pack(x, count, bits, to_mine);
  compare(packed.equals(packed_mine, size), "pack", sizeof(Word), bits, count);

  auto* wanted = reinterpret_cast<Word*>(out.fill(lanes));
  auto* found = reinterpret_cast<Word*>(out_mine.copy(out, lanes));
  specification.unpack(to, count, bits, wanted);
  mine.unpack(to, count, bits, found);
  compare(out.equals(out_mine, lanes), "unpack", sizeof(Word), bits, count);

  wanted = reinterpret_cast<Word*>(out.fill(lanes));
  found = reinterpret_cast<Word*>(out_mine.copy(out, lanes));
  specification.unpack_add(to, count, bits, wanted);
  mine.unpack_add(to, count, bits, found);
  compare(out.equals(out_mine, lanes), "unpack_add", sizeof(Word), bits, count);

  specification.add(wanted, x, count);
  mine.add(found, x, count);
  compare(out.equals(out_mine, lanes), "add", sizeof(Word), bits, count);
}

template <typename Word>
void check_lane(const kernels::LaneKernels<Word>& mine,
                const kernels::LaneKernels<Word>& specification) {
  for (unsigned bits = 8; bits <= 8 * sizeof(Word); ++bits) {
    for (std::size_t count = 0; count <= 130; ++count) check(mine, specification, bits, count);
    for (std::size_t count = 250; count <= 330; ++count) check(mine, specification, bits, count);
    for (std::size_t count = 1020; count <= 1030; ++count) check(mine, specification, bits, count);
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  select_kernels(argv[1]);
  const kernels::PackKernels& mine = *active_kernels().pack;
  check_lane(mine.u16, kernels::kPackPortable.u16);
  check_lane(mine.u32, kernels::kPackPortable.u32);
  check_lane(mine.u64, kernels::kPackPortable.u64);
  std::printf("%d differences\n", differences);
  return differences == 0 ? 0 : 1;
}
