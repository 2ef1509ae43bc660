#include "prg.hpp"

#include <algorithm>
#include <cstring>
#include <stdexcept>

#include "parallel.hpp"

namespace fedsecure {
namespace {

constexpr std::uint64_t kGrainBytes = 256 * 1024;  // tens of microseconds with AES instructions
constexpr std::uint64_t kAlignBytes = 1024;  // 64 blocks: what the portable kernel makes at once

// Part of one block, by way of a copy of the whole.
void partial_block(const Kernels& kernels, const PrgKey& key, std::uint64_t block, std::size_t skip,
                   span<std::uint8_t> out) {
  Secret<std::uint8_t[kBlockBytes]> whole;
  kernels.prg->keystream(key, block, 1, *whole);
  std::memcpy(out.data(), *whole + skip, out.size());
}

}  // namespace

PrgKeys::PrgKeys(const Kernels& kernels, const std::uint8_t* seeds, std::size_t count)
    : keys_(count) {
  for (std::size_t i = 0; i < count; ++i)
    kernels.prg->expand_key(seeds + i * kSeedBytes, &keys_[i]);
  wipe_dead_stack();
}

void keystream(const Kernels& kernels, const PrgKey& key, std::uint64_t offset,
               span<std::uint8_t> out) {
  std::uint64_t block = offset / kBlockBytes;
  const std::size_t skip = static_cast<std::size_t>(offset % kBlockBytes);
  std::size_t done = 0;
  if (skip != 0) {
    done = std::min(out.size(), kBlockBytes - skip);
    partial_block(kernels, key, block++, skip, out.subspan(0, done));
  }
  const std::size_t num_blocks = (out.size() - done) / kBlockBytes;
  kernels.prg->keystream(key, block, num_blocks, out.data() + done);
  done += num_blocks * kBlockBytes;
  if (done < out.size())
    partial_block(kernels, key, block + num_blocks, 0, out.subspan(done, out.size() - done));
}

void keystream(const std::uint8_t* seed, std::uint64_t offset, span<std::uint8_t> out,
               unsigned threads) {
  if (offset >= kKeystreamLimit || out.size() > kKeystreamLimit - offset)
    throw std::invalid_argument("offset + length must not pass 2**63 bytes of keystream");
  const Kernels& kernels = active_kernels();
  const PrgKeys keys(kernels, seed, 1);
  const Range range{offset, offset + out.size(), kGrainBytes, kAlignBytes};
  parallel_for(range, threads, [&](std::uint64_t begin, std::uint64_t end) {
    keystream(kernels, keys[0], begin, out.subspan(begin - offset, end - begin));
  });
}

}  // namespace fedsecure
