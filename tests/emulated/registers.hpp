// Part of the emulation (immintrin.h): registers and masks, made, moved and taken apart.
#pragma once

namespace emulated {

// The 16-byte part `at` of four.
EMULATED __m128i part(__m512i a, unsigned at) {
  const __m256i half = (at & 2) != 0 ? a.high : a.low;
  return (at & 1) != 0 ? _mm256_extracti128_si256(half, 1) : _mm256_castsi256_si128(half);
}

EMULATED __m512i join(__m128i a, __m128i b, __m128i c, __m128i d) {
  return {_mm256_set_m128i(b, a), _mm256_set_m128i(d, c)};
}

EMULATED __m512i select(__m512i ones, __m512i yes, __m512i no) {
  return {_mm256_blendv_epi8(no.low, yes.low, ones.low),
          _mm256_blendv_epi8(no.high, yes.high, ones.high)};
}

// Sign bits of elements to a mask.
EMULATED __mmask16 bits_of_32(__m512i a) {
  const unsigned low = static_cast<unsigned>(_mm256_movemask_ps(_mm256_castsi256_ps(a.low)));
  const unsigned high = static_cast<unsigned>(_mm256_movemask_ps(_mm256_castsi256_ps(a.high)));
  return static_cast<__mmask16>(low | high << 8);
}

EMULATED __mmask8 bits_of_64(__m512i a) {
  const unsigned low = static_cast<unsigned>(_mm256_movemask_pd(_mm256_castsi256_pd(a.low)));
  const unsigned high = static_cast<unsigned>(_mm256_movemask_pd(_mm256_castsi256_pd(a.high)));
  return static_cast<__mmask8>(low | high << 4);
}

// And masks to elements: all ones or zero.
EMULATED __m512i elements_64(__mmask8 mask) {
  const __m256i all = _mm256_set1_epi64x(mask);
  const __m256i low = _mm256_set_epi64x(8, 4, 2, 1);
  const __m256i high = _mm256_set_epi64x(128, 64, 32, 16);
  return {_mm256_cmpeq_epi64(_mm256_and_si256(all, low), low),
          _mm256_cmpeq_epi64(_mm256_and_si256(all, high), high)};
}

EMULATED __m512i elements_32(__mmask16 mask) {
  const __m256i low = _mm256_set_epi32(128, 64, 32, 16, 8, 4, 2, 1);
  const __m256i high = _mm256_slli_epi32(low, 8);
  const __m256i all = _mm256_set1_epi32(mask);
  return {_mm256_cmpeq_epi32(_mm256_and_si256(all, low), low),
          _mm256_cmpeq_epi32(_mm256_and_si256(all, high), high)};
}

EMULATED __m256i bytes_of(unsigned mask) {
  const __m256i byte =
      _mm256_set_epi64x(0x0303030303030303, 0x0202020202020202, 0x0101010101010101, 0);
  const __m256i bit = _mm256_set1_epi64x(static_cast<long long>(0x8040201008040201));
  const __m256i spread = _mm256_shuffle_epi8(_mm256_set1_epi32(static_cast<int>(mask)), byte);
  return _mm256_cmpeq_epi8(_mm256_and_si256(spread, bit), bit);
}

EMULATED __m512i elements_8(__mmask64 mask) {
  return {bytes_of(static_cast<unsigned>(mask)), bytes_of(static_cast<unsigned>(mask >> 32))};
}

}  // namespace emulated

EMULATED __m512i _mm512_setzero_si512() { return {_mm256_setzero_si256(), _mm256_setzero_si256()}; }
EMULATED __m512i _mm512_set1_epi8(char x) { return {_mm256_set1_epi8(x), _mm256_set1_epi8(x)}; }
EMULATED __m512i _mm512_set1_epi16(short x) { return {_mm256_set1_epi16(x), _mm256_set1_epi16(x)}; }
EMULATED __m512i _mm512_set1_epi32(int x) { return {_mm256_set1_epi32(x), _mm256_set1_epi32(x)}; }
EMULATED __m512i _mm512_set1_epi64(long long x) {
  return {_mm256_set1_epi64x(x), _mm256_set1_epi64x(x)};
}
EMULATED __m512d _mm512_set1_pd(double x) { return {_mm256_set1_pd(x), _mm256_set1_pd(x)}; }

// The last element first, but in setr.
EMULATED __m512i _mm512_set_epi64(long long x7, long long x6, long long x5, long long x4,
                                  long long x3, long long x2, long long x1, long long x0) {
  return {_mm256_set_epi64x(x3, x2, x1, x0), _mm256_set_epi64x(x7, x6, x5, x4)};
}
EMULATED __m512i _mm512_setr_epi64(long long x0, long long x1, long long x2, long long x3,
                                   long long x4, long long x5, long long x6, long long x7) {
  return _mm512_set_epi64(x7, x6, x5, x4, x3, x2, x1, x0);
}
EMULATED __m512i _mm512_set_epi32(int x15, int x14, int x13, int x12, int x11, int x10, int x9,
                                  int x8, int x7, int x6, int x5, int x4, int x3, int x2, int x1,
                                  int x0) {
  return {_mm256_set_epi32(x7, x6, x5, x4, x3, x2, x1, x0),
          _mm256_set_epi32(x15, x14, x13, x12, x11, x10, x9, x8)};
}
EMULATED __m512i _mm512_broadcast_i32x4(__m128i a) {
  return {_mm256_broadcastsi128_si256(a), _mm256_broadcastsi128_si256(a)};
}

EMULATED __m512i _mm512_castpd_si512(__m512d a) {
  return {_mm256_castpd_si256(a.low), _mm256_castpd_si256(a.high)};
}
EMULATED __m512d _mm512_castsi512_pd(__m512i a) {
  return {_mm256_castsi256_pd(a.low), _mm256_castsi256_pd(a.high)};
}
EMULATED __m128i _mm512_castsi512_si128(__m512i a) { return _mm256_castsi256_si128(a.low); }

// Loads and stores. The processor stops at addresses that are not aligned as its instruction wants.
EMULATED __m512i _mm512_loadu_si512(const void* from) {
  const auto* const halves = static_cast<const __m256i*>(from);
  return {_mm256_loadu_si256(halves), _mm256_loadu_si256(halves + 1)};
}
EMULATED __m512i _mm512_load_si512(const void* from) {
  if (reinterpret_cast<std::uintptr_t>(from) % 64 != 0) __builtin_trap();
  return _mm512_loadu_si512(from);
}
EMULATED void _mm512_storeu_si512(void* to, __m512i a) {
  auto* const halves = static_cast<__m256i*>(to);
  _mm256_storeu_si256(halves, a.low);
  _mm256_storeu_si256(halves + 1, a.high);
}
EMULATED __m512d _mm512_loadu_pd(const void* from) {
  return _mm512_castsi512_pd(_mm512_loadu_si512(from));
}
EMULATED void _mm512_storeu_pd(void* to, __m512d a) {
  _mm512_storeu_si512(to, _mm512_castpd_si512(a));
}

namespace emulated {

// Copies the bytes that the mask names. The others may not even be there.
EMULATED void copy_bytes(void* to, const void* from, __mmask64 mask) {
  auto* const out = static_cast<unsigned char*>(to);
  const auto* const in = static_cast<const unsigned char*>(from);
  for (unsigned first = 0; first < 64; first += 8) {
    const __mmask64 eight = mask >> first & 0xFF;
    if (eight == 0xFF) std::memcpy(out + first, in + first, 8);
    if (eight == 0xFF || eight == 0) continue;
    for (unsigned i = first; i < first + 8; ++i)
      if ((mask >> i & 1) != 0) out[i] = in[i];
  }
}

}  // namespace emulated

EMULATED __m512i _mm512_maskz_loadu_epi8(__mmask64 mask, const void* from) {
  alignas(64) unsigned char bytes[64] = {};
  emulated::copy_bytes(bytes, from, mask);
  return _mm512_load_si512(bytes);
}
EMULATED void _mm512_mask_storeu_epi8(void* to, __mmask64 mask, __m512i a) {
  alignas(64) unsigned char bytes[64];
  _mm512_storeu_si512(bytes, a);
  emulated::copy_bytes(to, bytes, mask);
}

// Masks.
EMULATED __mmask16 _mm512_knot(__mmask16 a) { return static_cast<__mmask16>(~a); }
EMULATED __mmask16 _mm512_kunpackb(__mmask16 a, __mmask16 b) {
  return static_cast<__mmask16>((a & 0xFF) << 8 | (b & 0xFF));
}
EMULATED __mmask16 _mm512_movepi32_mask(__m512i a) { return emulated::bits_of_32(a); }
EMULATED __mmask8 _mm512_movepi64_mask(__m512i a) { return emulated::bits_of_64(a); }
EMULATED __m512i _mm512_movm_epi64(__mmask8 mask) { return emulated::elements_64(mask); }
EMULATED __m512i _mm512_mask_blend_epi64(__mmask8 mask, __m512i a, __m512i b) {
  return emulated::select(emulated::elements_64(mask), b, a);
}
EMULATED __m512d _mm512_maskz_mov_pd(__mmask8 mask, __m512d a) {
  return _mm512_castsi512_pd(
      _mm512_mask_blend_epi64(mask, _mm512_setzero_si512(), _mm512_castpd_si512(a)));
}
