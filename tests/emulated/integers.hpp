// Part of the emulation (immintrin.h): arithmetic, comparisons and shifts of integers.
#pragma once

#include "registers.hpp"

EMULATED_BY_HALVES(_mm512_add_epi16, __m512i, _mm256_add_epi16)
EMULATED_BY_HALVES(_mm512_add_epi32, __m512i, _mm256_add_epi32)
EMULATED_BY_HALVES(_mm512_add_epi64, __m512i, _mm256_add_epi64)
EMULATED_BY_HALVES(_mm512_sub_epi16, __m512i, _mm256_sub_epi16)
EMULATED_BY_HALVES(_mm512_sub_epi32, __m512i, _mm256_sub_epi32)
EMULATED_BY_HALVES(_mm512_sub_epi64, __m512i, _mm256_sub_epi64)
EMULATED_BY_HALVES(_mm512_and_si512, __m512i, _mm256_and_si256)
EMULATED_BY_HALVES(_mm512_or_si512, __m512i, _mm256_or_si256)
EMULATED_BY_HALVES(_mm512_xor_si512, __m512i, _mm256_xor_si256)

EMULATED __m512i _mm512_mask_sub_epi32(__m512i other, __mmask16 mask, __m512i a, __m512i b) {
  return emulated::select(emulated::elements_32(mask), _mm512_sub_epi32(a, b), other);
}
EMULATED __m512i _mm512_mask_sub_epi64(__m512i other, __mmask8 mask, __m512i a, __m512i b) {
  return emulated::select(emulated::elements_64(mask), _mm512_sub_epi64(a, b), other);
}

// Comparisons, all of signed integers.
EMULATED_COMPARISON(_mm512_cmpgt_epi32_mask, __mmask16, bits_of_32, _mm256_cmpgt_epi32)
EMULATED_COMPARISON(_mm512_cmpgt_epi64_mask, __mmask8, bits_of_64, _mm256_cmpgt_epi64)
EMULATED_COMPARISON(_mm512_cmpeq_epi64_mask, __mmask8, bits_of_64, _mm256_cmpeq_epi64)
EMULATED __mmask8 _mm512_cmplt_epi64_mask(__m512i a, __m512i b) {
  return _mm512_cmpgt_epi64_mask(b, a);
}
EMULATED __mmask8 _mm512_test_epi64_mask(__m512i a, __m512i b) {
  const __mmask8 zero = _mm512_cmpeq_epi64_mask(_mm512_and_si512(a, b), _mm512_setzero_si512());
  return static_cast<__mmask8>(~zero);
}

namespace emulated {

EMULATED_BY_HALVES(max_epi32, __m512i, _mm256_max_epi32)

EMULATED __m256i max_epi64(__m256i a, __m256i b) {
  return _mm256_blendv_epi8(b, a, _mm256_cmpgt_epi64(a, b));
}

}  // namespace emulated

EMULATED __m512i _mm512_mask_max_epi32(__m512i other, __mmask16 mask, __m512i a, __m512i b) {
  return emulated::select(emulated::elements_32(mask), emulated::max_epi32(a, b), other);
}
EMULATED __m512i _mm512_mask_max_epi64(__m512i other, __mmask8 mask, __m512i a, __m512i b) {
  const __m512i larger = {emulated::max_epi64(a.low, b.low), emulated::max_epi64(a.high, b.high)};
  return emulated::select(emulated::elements_64(mask), larger, other);
}
EMULATED int _mm512_reduce_max_epi32(__m512i a) {
  __m256i all = _mm256_max_epi32(a.low, a.high);
  all = _mm256_max_epi32(all, _mm256_permute4x64_epi64(all, 0x4E));  // swaps halves,
  all = _mm256_max_epi32(all, _mm256_shuffle_epi32(all, 0x4E));      // pairs,
  all = _mm256_max_epi32(all, _mm256_shuffle_epi32(all, 0xB1));      // neighbors
  return _mm_cvtsi128_si32(_mm256_castsi256_si128(all));
}
EMULATED long long _mm512_reduce_max_epi64(__m512i a) {
  __m256i all = emulated::max_epi64(a.low, a.high);
  all = emulated::max_epi64(all, _mm256_permute4x64_epi64(all, 0x4E));
  all = emulated::max_epi64(all, _mm256_shuffle_epi32(all, 0x4E));
  return _mm_cvtsi128_si64(_mm256_castsi256_si128(all));
}

// Shifts: by one count for all (the lowest 64 bits of a register, or an immediate byte), or by each
// element's own. Counts of the width and above give 0 or, arithmetically, copies of the sign.
EMULATED_COUNTED(_mm512_sll_epi32, _mm256_sll_epi32)
EMULATED_COUNTED(_mm512_sll_epi64, _mm256_sll_epi64)
EMULATED_BY_HALVES(_mm512_sllv_epi64, __m512i, _mm256_sllv_epi64)
EMULATED_BY_HALVES(_mm512_srlv_epi64, __m512i, _mm256_srlv_epi64)

namespace emulated {

EMULATED_COUNTED(srl_epi32, _mm256_srl_epi32)
EMULATED_COUNTED(srl_epi64, _mm256_srl_epi64)

EMULATED __m128i count(std::uint64_t n) { return _mm_cvtsi64_si128(static_cast<long long>(n)); }

}  // namespace emulated

EMULATED __m512i _mm512_slli_epi64(__m512i a, unsigned n) {
  return _mm512_sll_epi64(a, emulated::count(n & 0xFF));
}
EMULATED __m512i _mm512_srli_epi32(__m512i a, unsigned n) {
  return emulated::srl_epi32(a, emulated::count(n & 0xFF));
}
EMULATED __m512i _mm512_srli_epi64(__m512i a, unsigned n) {
  return emulated::srl_epi64(a, emulated::count(n & 0xFF));
}
EMULATED __m512i _mm512_sra_epi64(__m512i a, __m128i count) {
  const auto wanted = static_cast<std::uint64_t>(_mm_cvtsi128_si64(count));
  const __m128i n = emulated::count(wanted > 63 ? 63 : wanted);
  // Where the sign bit comes to, it is extended: flipped and subtracted.
  const __m512i sign = emulated::srl_epi64(_mm512_set1_epi64(INT64_MIN), n);
  return _mm512_sub_epi64(_mm512_xor_si512(emulated::srl_epi64(a, n), sign), sign);
}
EMULATED __m512i _mm512_srai_epi64(__m512i a, unsigned n) {
  return _mm512_sra_epi64(a, emulated::count(n & 0xFF));
}
EMULATED __m512i _mm512_rol_epi32(__m512i a, int n) {
  const unsigned left = static_cast<unsigned>(n) % 32;
  return _mm512_or_si512(_mm512_sll_epi32(a, emulated::count(left)),
                         emulated::srl_epi32(a, emulated::count(32 - left)));
}

// Bit i of the result is the bit of the table that bits i of a, b and c say, in this order.
EMULATED __m512i _mm512_ternarylogic_epi64(__m512i a, __m512i b, __m512i c, int table) {
  const __m512i ones = _mm512_set1_epi64(-1);
  const __m512i not_a = _mm512_xor_si512(a, ones);
  const __m512i not_b = _mm512_xor_si512(b, ones);
  const __m512i not_c = _mm512_xor_si512(c, ones);
  __m512i result = _mm512_setzero_si512();
#pragma GCC unroll 8
  for (int i = 0; i < 8; ++i) {
    const __m512i first = _mm512_and_si512((i & 4) != 0 ? a : not_a, (i & 2) != 0 ? b : not_b);
    const __m512i all = _mm512_and_si512(first, (i & 1) != 0 ? c : not_c);
    if ((table >> i & 1) != 0) result = _mm512_or_si512(result, all);
  }
  return result;
}
EMULATED __m512i _mm512_mask_ternarylogic_epi64(__m512i a, __mmask8 mask, __m512i b, __m512i c,
                                                int table) {
  return emulated::select(emulated::elements_64(mask), _mm512_ternarylogic_epi64(a, b, c, table),
                          a);
}

// The lowest 52 bits of two numbers multiplied to 104, of which the lower or the upper 52 are added
// to 64. Each number is two halves of 26 bits.
namespace emulated {

constexpr int kHalf = 26;
constexpr long long kHalfMask = (1LL << kHalf) - 1;
constexpr long long kWordMask = (1LL << 2 * kHalf) - 1;

struct Product {
  __m256i low;     // below 2^52
  __m256i middle;  // times 2^26; below 2^53
  __m256i high;    // times 2^52; below 2^52
};

EMULATED Product multiply(__m256i x, __m256i y) {
  const __m256i half = _mm256_set1_epi64x(kHalfMask);
  const __m256i x0 = _mm256_and_si256(x, half);
  const __m256i y0 = _mm256_and_si256(y, half);
  const __m256i x1 = _mm256_and_si256(_mm256_srli_epi64(x, kHalf), half);
  const __m256i y1 = _mm256_and_si256(_mm256_srli_epi64(y, kHalf), half);
  return {_mm256_mul_epu32(x0, y0),
          _mm256_add_epi64(_mm256_mul_epu32(x0, y1), _mm256_mul_epu32(x1, y0)),
          _mm256_mul_epu32(x1, y1)};
}

EMULATED __m256i madd52lo(__m256i sum, __m256i x, __m256i y) {
  const Product p = multiply(x, y);
  const __m256i low = _mm256_add_epi64(p.low, _mm256_slli_epi64(p.middle, kHalf));
  return _mm256_add_epi64(sum, _mm256_and_si256(low, _mm256_set1_epi64x(kWordMask)));
}

EMULATED __m256i madd52hi(__m256i sum, __m256i x, __m256i y) {
  const Product p = multiply(x, y);
  const __m256i carry = _mm256_srli_epi64(p.low, kHalf);
  const __m256i middle = _mm256_srli_epi64(_mm256_add_epi64(p.middle, carry), kHalf);
  return _mm256_add_epi64(sum, _mm256_add_epi64(p.high, middle));
}

}  // namespace emulated

EMULATED __m512i _mm512_madd52lo_epu64(__m512i sum, __m512i x, __m512i y) {
  return {emulated::madd52lo(sum.low, x.low, y.low), emulated::madd52lo(sum.high, x.high, y.high)};
}
EMULATED __m512i _mm512_madd52hi_epu64(__m512i sum, __m512i x, __m512i y) {
  return {emulated::madd52hi(sum.low, x.low, y.low), emulated::madd52hi(sum.high, x.high, y.high)};
}
