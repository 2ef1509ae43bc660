// The key expansion of AES (FIPS 197, section 5.2), for keys of 128 and 256 bits: the same on every
// tier but for the S-box.
#pragma once

#include "kernels.hpp"

namespace fedsecure::kernels {
namespace {

// Round key r is at key->key + 16 * r. sub_word(word) is SubWord; words are four bytes of the key
// as they lie in memory. Constant time if sub_word is.
template <std::size_t kRounds, typename SubWord>
inline void expand_aes_key(const std::uint8_t* seed, PrgKey* key, SubWord sub_word) {
  constexpr std::size_t kKeyWords = kRounds - 6;
  std::memcpy(key->key, seed, 4 * kKeyWords);
  std::memcpy(key->nonce, seed + 4 * kKeyWords, sizeof key->nonce);
  std::uint8_t* const words = key->key;
  std::uint32_t round_constant = 0x01;
  auto word = load<std::uint32_t>(words + 4 * (kKeyWords - 1));
  for (std::size_t i = kKeyWords; i < 4 * (kRounds + 1); ++i) {
    if (i % kKeyWords == 0) {
      word = sub_word(word >> 8 | word << 24) ^ round_constant;
      round_constant = (round_constant << 1) ^ (round_constant >> 7) * 0x11B;
    } else if (kKeyWords > 6 && i % kKeyWords == 4) {
      word = sub_word(word);
    }
    word ^= load<std::uint32_t>(words + 4 * (i - kKeyWords));
    store(words + 4 * i, word);
  }
}

}  // namespace
}  // namespace fedsecure::kernels
