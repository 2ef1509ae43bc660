// Part of the emulation (immintrin.h): arithmetic on doubles, and conversions.
#pragma once

#include "registers.hpp"

EMULATED_BY_HALVES(_mm512_add_pd, __m512d, _mm256_add_pd)
EMULATED_BY_HALVES(_mm512_sub_pd, __m512d, _mm256_sub_pd)
EMULATED_BY_HALVES(_mm512_mul_pd, __m512d, _mm256_mul_pd)

EMULATED __m512d _mm512_mask_add_pd(__m512d other, __mmask8 mask, __m512d a, __m512d b) {
  return _mm512_castsi512_pd(_mm512_mask_blend_epi64(mask, _mm512_castpd_si512(other),
                                                     _mm512_castpd_si512(_mm512_add_pd(a, b))));
}

EMULATED __m512d _mm512_cvtps_pd(__m256 a) {
  return {_mm256_cvtps_pd(_mm256_castps256_ps128(a)), _mm256_cvtps_pd(_mm256_extractf128_ps(a, 1))};
}
EMULATED __m256 _mm512_cvtpd_ps(__m512d a) {
  return _mm256_set_m128(_mm256_cvtpd_ps(a.high), _mm256_cvtpd_ps(a.low));
}
EMULATED __m512d _mm512_cvtepi32_pd(__m256i a) {
  return {_mm256_cvtepi32_pd(_mm256_castsi256_si128(a)),
          _mm256_cvtepi32_pd(_mm256_extracti128_si256(a, 1))};
}

namespace emulated {

// Two 64-bit integers to doubles, rounded as MXCSR says.
EMULATED __m128d to_doubles(__m128i a) {
  const __m128d low = _mm_cvtsi64_sd(_mm_setzero_pd(), _mm_cvtsi128_si64(a));
  const __m128d high = _mm_cvtsi64_sd(_mm_setzero_pd(), _mm_extract_epi64(a, 1));
  return _mm_unpacklo_pd(low, high);
}

EMULATED __m256d to_doubles(__m256i a) {
  return _mm256_set_m128d(to_doubles(_mm256_extracti128_si256(a, 1)),
                          to_doubles(_mm256_castsi256_si128(a)));
}

// And doubles to integers, towards zero. What does not fit gives -2^63, NaN too: for one number as
// for eight.
EMULATED __m128i truncated(__m128d a) {
  return _mm_set_epi64x(_mm_cvttsd_si64(_mm_unpackhi_pd(a, a)), _mm_cvttsd_si64(a));
}

EMULATED __m256i truncated(__m256d a) {
  return _mm256_set_m128i(truncated(_mm256_extractf128_pd(a, 1)),
                          truncated(_mm256_castpd256_pd128(a)));
}

// To whole numbers; without one of the four ways as MXCSR says.
EMULATED __m256d rounded(__m256d a, int rounding) {
  switch (rounding & ~_MM_FROUND_NO_EXC) {
    case _MM_FROUND_TO_NEAREST_INT:
      return _mm256_round_pd(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    case _MM_FROUND_TO_NEG_INF:
      return _mm256_round_pd(a, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC);
    case _MM_FROUND_TO_POS_INF:
      return _mm256_round_pd(a, _MM_FROUND_TO_POS_INF | _MM_FROUND_NO_EXC);
    case _MM_FROUND_TO_ZERO:
      return _mm256_round_pd(a, _MM_FROUND_TO_ZERO | _MM_FROUND_NO_EXC);
    default:
      return _mm256_round_pd(a, _MM_FROUND_CUR_DIRECTION);
  }
}

}  // namespace emulated

EMULATED __m512d _mm512_cvtepi64_pd(__m512i a) {
  return {emulated::to_doubles(a.low), emulated::to_doubles(a.high)};
}
EMULATED __m512i _mm512_cvttpd_epi64(__m512d a) {
  return {emulated::truncated(a.low), emulated::truncated(a.high)};
}
EMULATED __m512i _mm512_cvt_roundpd_epi64(__m512d a, int rounding) {
  return _mm512_cvttpd_epi64(
      {emulated::rounded(a.low, rounding), emulated::rounded(a.high, rounding)});
}
