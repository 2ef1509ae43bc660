// AVX-512 in software, for processors without it: the intrinsics that the kernels of csrc/kernels
// use, and no others, for compilers told to look for <immintrin.h> here first. Each does what
// Intel's description of it says for all operands, not what some kernel happens to need.
//
// A register is two of AVX2. Where AVX-512 only does to four 128-bit parts, or to eight or sixteen
// elements, what AVX2 does to half as many, each half is left to AVX2; the rest is written out.
// Nothing but masks of memory and immediate operands decides a branch or an address, so that
// valgrind can see whether the kernels' secrets do. Exceptions of floating point are not modelled.
//
// Compiled with -maes, -mavx2 and -mpopcnt. All functions are inlined: kernel files may not export
// them.
#pragma once

#include <smmintrin.h>
#include <wmmintrin.h>

#include <cstdint>
#include <cstring>

// The headers of AVX and AVX2, which want to be included by the compiler's own <immintrin.h> only:
// that would declare the real intrinsics, too.
#define _IMMINTRIN_H_INCLUDED  // as GCC's says that it has been
#define __IMMINTRIN_H          // and clang's
// clang-format off
#include <avxintrin.h>
#include <avx2intrin.h>
// clang-format on

#define EMULATED static inline __attribute__((always_inline))

using __mmask8 = unsigned char;
using __mmask16 = unsigned short;
using __mmask64 = unsigned long long;

struct alignas(64) __m512i {
  __m256i low;
  __m256i high;
};

struct alignas(64) __m512d {
  __m256d low;
  __m256d high;
};

// One instruction of AVX2 on either half.
#define EMULATED_BY_HALVES(name, Register, half)       \
  EMULATED Register name(Register a, Register b) {     \
    return {half(a.low, b.low), half(a.high, b.high)}; \
  }
#define EMULATED_COUNTED(name, half)                  \
  EMULATED __m512i name(__m512i a, __m128i count) {   \
    return {half(a.low, count), half(a.high, count)}; \
  }
// From instructions that give comparisons as all ones or zero: the elements' sign bits.
#define EMULATED_COMPARISON(name, Mask, bits_of, half)                    \
  EMULATED Mask name(__m512i a, __m512i b) {                              \
    return emulated::bits_of({half(a.low, b.low), half(a.high, b.high)}); \
  }

#include "bytes.hpp"
#include "doubles.hpp"
#include "integers.hpp"
#include "registers.hpp"

#undef EMULATED_BY_HALVES
#undef EMULATED_COUNTED
#undef EMULATED_COMPARISON
#undef EMULATED
