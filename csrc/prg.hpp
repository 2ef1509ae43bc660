// The pseudo-random generator: a cipher in counter mode, for each seed one endless keystream.
//
//   AES-128, AES-256  NIST SP 800-38A, section 6.5; counter block number i is nonce || i as 64-bit
//                     big-endian
//   ChaCha20          RFC 8439, section 2.3, with 64-bit block numbers and 64-bit nonces as first
//                     published by Bernstein: the RFC's own stream for the 96-bit nonce
//                     00000000 || nonce, and beyond its end
//
// A seed is the key (16 bytes for AES-128, else 32) || nonce (8). The keystream is seekable, so any
// slice can be made on its own, by any thread.
#pragma once

#include <cstdint>

#include "dispatch.hpp"
#include "secret.hpp"
#include "span.hpp"

namespace fedsecure {

using kernels::kBlockBytes;
using kernels::kMaxSeedBytes;
using kernels::PrgKey;

// Numbered as the suites that use them.
enum class Prg : std::uint8_t { aes128 = 1, aes256 = 2, chacha20 = 3 };

constexpr std::size_t seed_bytes(Prg prg) {
  return (prg == Prg::aes128 ? 16 : 32) + kernels::kNonceBytes;
}

// Largest byte position of a keystream (exclusive); above, signed 64-bit arithmetic would not do.
constexpr std::uint64_t kKeystreamLimit = std::uint64_t{1} << 63;

// `count` seeds of seed_bytes(prg), one after the other, that somebody else holds.
struct Seeds {
  Prg prg;
  const std::uint8_t* data;
  std::size_t count;
};

// Expanded seeds, wiped when they go out of scope.
class PrgKeys {
 public:
  PrgKeys(const Kernels& kernels, const Seeds& seeds);

  const PrgKey& operator[](std::size_t i) const { return keys_[i]; }
  const PrgKey* data() const { return keys_.data(); }
  std::size_t size() const { return keys_.size(); }

  // What the keys are expanded for.
  const kernels::CipherKernels& cipher() const { return cipher_; }

  // Bytes [offset, offset + out.size()) of the keystream of seed i, on the calling thread. The end
  // must not pass kKeystreamLimit.
  void keystream(std::size_t i, std::uint64_t offset, span<std::uint8_t> out) const;

 private:
  const kernels::CipherKernels& cipher_;
  SecretArray<PrgKey> keys_;
};

// The same for one seed and on `threads` threads (0: one per processor). Throws
// std::invalid_argument when the request passes kKeystreamLimit.
void keystream(const Seeds& seed, std::uint64_t offset, span<std::uint8_t> out, unsigned threads);

}  // namespace fedsecure
