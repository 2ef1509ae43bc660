// The pseudo-random generator: AES-128 in counter mode (NIST SP 800-38A, section 6.5).
//
// A seed is 24 bytes: key (16) || nonce (8). Counter block number i is nonce || i as 64-bit
// big-endian. The keystream is seekable, so any slice can be made on its own, by any thread.
#pragma once

#include <cstdint>

#include "dispatch.hpp"
#include "secret.hpp"
#include "span.hpp"

namespace fedsecure {

using kernels::kBlockBytes;
using kernels::kSeedBytes;
using kernels::PrgKey;

// Largest byte position of a keystream (exclusive); above, signed 64-bit arithmetic would not do.
constexpr std::uint64_t kKeystreamLimit = std::uint64_t{1} << 63;

// Expanded seeds, wiped when they go out of scope.
class PrgKeys {
 public:
  // seeds: `count` seeds of kSeedBytes, one after the other.
  PrgKeys(const Kernels& kernels, const std::uint8_t* seeds, std::size_t count);

  const PrgKey& operator[](std::size_t i) const { return keys_[i]; }
  const PrgKey* data() const { return keys_.data(); }
  std::size_t size() const { return keys_.size(); }

 private:
  SecretArray<PrgKey> keys_;
};

// Keystream bytes [offset, offset + out.size()), on the calling thread. The end must not pass
// kKeystreamLimit.
void keystream(const Kernels& kernels, const PrgKey& key, std::uint64_t offset,
               span<std::uint8_t> out);

// The same for a seed and on `threads` threads (0: one per processor). Throws std::invalid_argument
// when the request passes kKeystreamLimit.
void keystream(const std::uint8_t* seed, std::uint64_t offset, span<std::uint8_t> out,
               unsigned threads);

}  // namespace fedsecure
