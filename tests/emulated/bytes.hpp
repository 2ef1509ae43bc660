// Part of the emulation (immintrin.h): bytes and elements that change their places or widths, and
// AES.
#pragma once

#include "integers.hpp"
#include "registers.hpp"

// Within 128-bit parts.
EMULATED_BY_HALVES(_mm512_shuffle_epi8, __m512i, _mm256_shuffle_epi8)
EMULATED_BY_HALVES(_mm512_unpacklo_epi32, __m512i, _mm256_unpacklo_epi32)
EMULATED_BY_HALVES(_mm512_unpackhi_epi32, __m512i, _mm256_unpackhi_epi32)
EMULATED_BY_HALVES(_mm512_unpacklo_epi64, __m512i, _mm256_unpacklo_epi64)
EMULATED_BY_HALVES(_mm512_unpackhi_epi64, __m512i, _mm256_unpackhi_epi64)

EMULATED __m512i _mm512_bsrli_epi128(__m512i a, int bytes) {
  const int wanted = bytes & 0xFF;
  const __m128i places = _mm_set_epi8(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
  const __m128i from =
      _mm_add_epi8(places, _mm_set1_epi8(static_cast<char>(wanted > 15 ? 16 : wanted)));
  const __m128i beyond = _mm_cmpgt_epi8(from, _mm_set1_epi8(15));  // a top bit gives zero
  return _mm512_shuffle_epi8(a, _mm512_broadcast_i32x4(_mm_or_si128(from, beyond)));
}

// Whole 128-bit parts: two of a and two of b, two bits of the immediate for each.
EMULATED __m512i _mm512_shuffle_i32x4(__m512i a, __m512i b, int parts) {
  const auto at = static_cast<unsigned>(parts);
  return emulated::join(emulated::part(a, at & 3), emulated::part(a, at >> 2 & 3),
                        emulated::part(b, at >> 4 & 3), emulated::part(b, at >> 6 & 3));
}
EMULATED __m512i _mm512_shuffle_i64x2(__m512i a, __m512i b, int parts) {
  return _mm512_shuffle_i32x4(a, b, parts);
}

// Any element of two registers, or byte of one. What AVX2 finds in each of four sources is chosen
// from by the two bits of the index above those that it looks at, which come to where blending
// looks at: the element's top bit.
namespace emulated {

EMULATED __m256i choose_32(__m256i index, __m512i a, __m512i b) {
  const auto in = [index](__m256i source) {
    return _mm256_castsi256_ps(_mm256_permutevar8x32_epi32(source, index));
  };
  const __m256 upper_half = _mm256_castsi256_ps(_mm256_slli_epi32(index, 28));
  const __m256 second = _mm256_castsi256_ps(_mm256_slli_epi32(index, 27));
  const __m256 of_a = _mm256_blendv_ps(in(a.low), in(a.high), upper_half);
  const __m256 of_b = _mm256_blendv_ps(in(b.low), in(b.high), upper_half);
  return _mm256_castps_si256(_mm256_blendv_ps(of_a, of_b, second));
}

// Numbers of 64-bit elements to those of their halves.
EMULATED __m256i halves_of(__m256i index) {
  const __m256i even = _mm256_slli_epi64(_mm256_and_si256(index, _mm256_set1_epi64x(15)), 1);
  const __m256i odd = _mm256_or_si256(even, _mm256_set1_epi64x(1));
  return _mm256_or_si256(even, _mm256_slli_epi64(odd, 32));
}

EMULATED __m256i choose_8(__m256i index, __m512i a) {
  const __m256i low_bits = _mm256_and_si256(index, _mm256_set1_epi8(15));
  const auto in = [a, low_bits](unsigned at) {
    return _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(part(a, at)), low_bits);
  };
  const __m256i odd = _mm256_slli_epi16(index, 3);
  const __m256i upper = _mm256_slli_epi16(index, 2);
  return _mm256_blendv_epi8(_mm256_blendv_epi8(in(0), in(1), odd),
                            _mm256_blendv_epi8(in(2), in(3), odd), upper);
}

}  // namespace emulated

EMULATED __m512i _mm512_permutex2var_epi32(__m512i a, __m512i index, __m512i b) {
  return {emulated::choose_32(index.low, a, b), emulated::choose_32(index.high, a, b)};
}
EMULATED __m512i _mm512_permutex2var_epi64(__m512i a, __m512i index, __m512i b) {
  const __m512i halves = {emulated::halves_of(index.low), emulated::halves_of(index.high)};
  return _mm512_permutex2var_epi32(a, halves, b);
}
EMULATED __m512i _mm512_permutexvar_epi8(__m512i index, __m512i a) {
  return {emulated::choose_8(index.low, a), emulated::choose_8(index.high, a)};
}
EMULATED __m512i _mm512_maskz_permutexvar_epi8(__mmask64 mask, __m512i index, __m512i a) {
  return _mm512_and_si512(emulated::elements_8(mask), _mm512_permutexvar_epi8(index, a));
}

// Each byte of a 64-bit element: the eight bits from where its control says, around the end of the
// element.
namespace emulated {

EMULATED __m256i multishift(__m256i control, __m256i a) {
  __m256i result = _mm256_setzero_si256();
#pragma GCC unroll 8
  for (int at = 0; at < 64; at += 8) {
    const __m256i start = _mm256_and_si256(_mm256_srli_epi64(control, at), _mm256_set1_epi64x(63));
    const __m256i rest = _mm256_sub_epi64(_mm256_set1_epi64x(64), start);  // of 64 gives zero
    const __m256i rotated =
        _mm256_or_si256(_mm256_srlv_epi64(a, start), _mm256_sllv_epi64(a, rest));
    const __m256i byte = _mm256_and_si256(rotated, _mm256_set1_epi64x(0xFF));
    result = _mm256_or_si256(result, _mm256_slli_epi64(byte, at));
  }
  return result;
}

}  // namespace emulated

EMULATED __m512i _mm512_multishift_epi64_epi8(__m512i control, __m512i a) {
  return {emulated::multishift(control.low, a.low), emulated::multishift(control.high, a.high)};
}

// To wider and narrower integers.
EMULATED __m512i _mm512_cvtepu32_epi64(__m256i a) {
  return {_mm256_cvtepu32_epi64(_mm256_castsi256_si128(a)),
          _mm256_cvtepu32_epi64(_mm256_extracti128_si256(a, 1))};
}
EMULATED __m256i _mm512_cvtepi64_epi32(__m512i a) {
  const __m256i even = _mm256_set_epi32(6, 4, 2, 0, 6, 4, 2, 0);
  return _mm256_blend_epi32(_mm256_permutevar8x32_epi32(a.low, even),
                            _mm256_permutevar8x32_epi32(a.high, even), 0xF0);
}
EMULATED __m256i _mm512_cvtepi32_epi16(__m512i a) {
  const __m512i low =
      _mm512_broadcast_i32x4(_mm_set_epi8(13, 12, 9, 8, 5, 4, 1, 0, 13, 12, 9, 8, 5, 4, 1, 0));
  const __m512i twice = _mm512_shuffle_epi8(a, low);  // the same 8 bytes in both halves of a part
  const __m256i parts_0_2_1_3 = _mm256_blend_epi32(twice.low, twice.high, 0xCC);
  return _mm256_permute4x64_epi64(parts_0_2_1_3, 0xD8);
}

// One round of AES in each 128-bit part.
EMULATED __m512i _mm512_aesenc_epi128(__m512i a, __m512i key) {
  const auto round = [a, key](unsigned at) {
    return _mm_aesenc_si128(emulated::part(a, at), emulated::part(key, at));
  };
  return emulated::join(round(0), round(1), round(2), round(3));
}
EMULATED __m512i _mm512_aesenclast_epi128(__m512i a, __m512i key) {
  const auto round = [a, key](unsigned at) {
    return _mm_aesenclast_si128(emulated::part(a, at), emulated::part(key, at));
  };
  return emulated::join(round(0), round(1), round(2), round(3));
}
