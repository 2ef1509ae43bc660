#include "prg.hpp"

#include <algorithm>
#include <stdexcept>

#include "parallel.hpp"

namespace fedsecure {
namespace {

using kernels::CipherKernels;

constexpr std::uint64_t kGrainBytes = 256 * 1024;  // tens of microseconds with AES instructions
constexpr std::uint64_t kAlignBytes = 1024;  // 16 blocks: what the portable kernels make at once

const CipherKernels& cipher_kernels(const Kernels& kernels, Prg prg) {
  switch (prg) {
    case Prg::aes128:
      return kernels.prg->aes128;
    case Prg::aes256:
      return kernels.prg->aes256;
    case Prg::chacha20:
      return kernels.prg->chacha20;
  }
  throw std::logic_error("no such generator");
}

// Part of one block, by way of a copy of the whole: byte by byte, since the system's memcpy may go
// through vector registers that nothing here clears.
void partial_block(const CipherKernels& cipher, const PrgKey& key, std::uint64_t block,
                   std::size_t skip, span<std::uint8_t> out) {
  Secret<std::uint8_t[kBlockBytes]> whole;
  cipher.keystream(key, block, 1, *whole);
  volatile std::uint8_t* const to = out.data();
  for (std::size_t i = 0; i < out.size(); ++i) to[i] = (*whole)[skip + i];
}

}  // namespace

PrgKeys::PrgKeys(const Kernels& kernels, const Seeds& seeds)
    : cipher_(cipher_kernels(kernels, seeds.prg)), keys_(seeds.count) {
  for (std::size_t i = 0; i < seeds.count; ++i)
    cipher_.expand_key(seeds.data + i * seed_bytes(seeds.prg), &keys_[i]);
  wipe_dead_stack();
}

void PrgKeys::keystream(std::size_t i, std::uint64_t offset, span<std::uint8_t> out) const {
  const PrgKey& key = keys_[i];
  std::uint64_t block = offset / kBlockBytes;
  const std::size_t skip = static_cast<std::size_t>(offset % kBlockBytes);
  std::size_t done = 0;
  if (skip != 0) {
    done = std::min(out.size(), kBlockBytes - skip);
    partial_block(cipher_, key, block++, skip, out.subspan(0, done));
  }
  const std::size_t num_blocks = (out.size() - done) / kBlockBytes;
  cipher_.keystream(key, block, num_blocks, out.data() + done);
  done += num_blocks * kBlockBytes;
  if (done < out.size())
    partial_block(cipher_, key, block + num_blocks, 0, out.subspan(done, out.size() - done));
}

void keystream(const Seeds& seed, std::uint64_t offset, span<std::uint8_t> out, unsigned threads) {
  if (offset >= kKeystreamLimit || out.size() > kKeystreamLimit - offset)
    throw std::invalid_argument("offset + length must not pass 2**63 bytes of keystream");
  const PrgKeys keys(active_kernels(), seed);
  const Range range{offset, offset + out.size(), kGrainBytes, kAlignBytes};
  parallel_for(range, threads, [&](std::uint64_t begin, std::uint64_t end) {
    keys.keystream(0, begin, out.subspan(begin - offset, end - begin));
  });
}

}  // namespace fedsecure
