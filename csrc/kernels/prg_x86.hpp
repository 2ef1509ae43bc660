// The generator's kernels for x86: what the vector types of prg_aesni.cpp, prg_vaes256.cpp and
// prg_vaes512.cpp have in common, and their table.
#pragma once

#include <immintrin.h>

#include "prg_aes.hpp"
#include "prg_chacha.hpp"

namespace fedsecure::kernels {
namespace {

struct X86 {
  // SubWord of FIPS 197.
  static std::uint32_t sub_word(std::uint32_t word) {
    const __m128i words = _mm_set1_epi32(static_cast<int>(word));
    return static_cast<std::uint32_t>(_mm_cvtsi128_si32(_mm_aeskeygenassist_si128(words, 0)));
  }
  static __m128i load_block(const std::uint8_t* from) {
    return _mm_loadu_si128(reinterpret_cast<const __m128i*>(from));
  }
  // For byte shuffles: reverses bytes 8 to 15.
  static __m128i big_endian() {
    return _mm_set_epi8(8, 9, 10, 11, 12, 13, 14, 15, 7, 6, 5, 4, 3, 2, 1, 0);
  }
  // For byte shuffles: rotates every 32-bit word to the left, by 16 and by 8 bits.
  static __m128i by_16_bits() {
    return _mm_set_epi8(13, 12, 15, 14, 9, 8, 11, 10, 5, 4, 7, 6, 1, 0, 3, 2);
  }
  static __m128i by_8_bits() {
    return _mm_set_epi8(14, 13, 12, 15, 10, 9, 8, 11, 6, 5, 4, 7, 2, 1, 0, 3);
  }
  static void prefetch(const std::uint8_t* at) {
    _mm_prefetch(reinterpret_cast<const char*>(at), _MM_HINT_T1);
  }
};

template <typename V>
constexpr PrgKernels table() {
  return {cipher<Aes<V, 10>>(), cipher<Aes<V, 14>>(), cipher<ChaCha<V>>()};
}

}  // namespace
}  // namespace fedsecure::kernels
