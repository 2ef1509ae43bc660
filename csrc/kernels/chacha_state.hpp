// What every version of ChaCha20 begins with (RFC 8439, section 2.3).
#pragma once

#include "kernels.hpp"

namespace fedsecure::kernels {
namespace {

constexpr std::size_t kChaChaKeyBytes = 32;

// Words of the state; 12 and 13, the number of the block, are zero.
struct ChaChaState {
  std::uint32_t words[16];
};

inline void expand_chacha_key(const std::uint8_t* seed, PrgKey* key) {
  std::memcpy(key->key, seed, kChaChaKeyBytes);
  std::memcpy(key->nonce, seed + kChaChaKeyBytes, sizeof key->nonce);
}

inline ChaChaState initial_state(const PrgKey& key) {
  ChaChaState state = {{0x61707865, 0x3320646E, 0x79622D32, 0x6B206574}};  // "expand 32-byte k"
  std::memcpy(state.words + 4, key.key, kChaChaKeyBytes);
  std::memcpy(state.words + 14, key.nonce, sizeof key.nonce);
  return state;
}

}  // namespace
}  // namespace fedsecure::kernels
