// The ground of the kernels with AVX-512 IFMA: blocks of five words, and the products of blocks.
// One number per 64-bit lane, words of 52 bits. Included by montgomery_ifma.cpp only.
//
// A sum of products is kept as columns: column k collects, in 64 bits, the lower halves (52 bits)
// of x[i] * y[j] with i + j == k and the upper halves of those with i + j == k - 1, and carries
// nothing until it is complete. At most 5 products of 80 words meet (the four parts of `enter`, and
// quotient * N), or 2 of 160 words: 800 or 640 numbers below 2^52, so below 2^62, which leaves the
// sign bit free for what is subtracted.
#pragma once

#include <immintrin.h>

#include "montgomery.hpp"

#define FEDSECURE_INLINE inline __attribute__((always_inline))
#if defined(__clang__)
#define FEDSECURE_ROLLED _Pragma("clang loop unroll(disable)")
#define FEDSECURE_UNROLLED _Pragma("clang loop unroll(full)")
#else
#define FEDSECURE_ROLLED _Pragma("GCC unroll 1")
#define FEDSECURE_UNROLLED _Pragma("GCC unroll 16")
#endif

namespace fedsecure::kernels {
namespace {

using Word = std::uint64_t;
using Lanes = __m512i;

constexpr unsigned kBlock = 5;  // divides all numbers of words; 5 rows and 10 columns fit registers
constexpr unsigned kRadix = 52;
constexpr Word kMask = (Word{1} << kRadix) - 1;

FEDSECURE_INLINE Lanes low(Lanes sum, Lanes x, Lanes y) { return _mm512_madd52lo_epu64(sum, x, y); }
FEDSECURE_INLINE Lanes high(Lanes sum, Lanes x, Lanes y) {
  return _mm512_madd52hi_epu64(sum, x, y);
}
FEDSECURE_INLINE Lanes zero() { return _mm512_setzero_si512(); }
FEDSECURE_INLINE Lanes all(Word x) { return _mm512_set1_epi64(static_cast<long long>(x)); }
FEDSECURE_INLINE Lanes carry_of(Lanes column) { return _mm512_srai_epi64(column, kRadix); }

// Numbers whose words differ from lane to lane, and numbers that all lanes share.
struct Own {
  const Word* words;
  FEDSECURE_INLINE Lanes operator[](std::size_t i) const {
    return _mm512_loadu_si512(words + 8 * i);
  }
};
struct Shared {
  const Word* words;
  FEDSECURE_INLINE Lanes operator[](std::size_t i) const { return all(words[i]); }
};
struct Columns {
  const Lanes* columns;
  FEDSECURE_INLINE Lanes operator[](std::size_t i) const { return columns[i]; }
};

struct Block {
  Lanes v0, v1, v2, v3, v4;
};

template <typename Number>
FEDSECURE_INLINE Block block(const Number& x, std::size_t i) {
  return {x[i], x[i + 1], x[i + 2], x[i + 3], x[i + 4]};
}

FEDSECURE_INLINE void put(Lanes* columns, const Block& x) {
  columns[0] = x.v0;
  columns[1] = x.v1;
  columns[2] = x.v2;
  columns[3] = x.v3;
  columns[4] = x.v4;
}

FEDSECURE_INLINE void put(Word* words, std::size_t i, Lanes x) {
  _mm512_storeu_si512(words + 8 * i, x);
}

// Columns c0 to c5 += five words x times the word y.
FEDSECURE_INLINE void add_row(Lanes& c0, Lanes& c1, Lanes& c2, Lanes& c3, Lanes& c4, Lanes& c5,
                              const Block& x, Lanes y) {
  c0 = low(c0, x.v0, y);
  c1 = low(c1, x.v1, y);
  c2 = low(c2, x.v2, y);
  c3 = low(c3, x.v3, y);
  c4 = low(c4, x.v4, y);
  c1 = high(c1, x.v0, y);
  c2 = high(c2, x.v1, y);
  c3 = high(c3, x.v2, y);
  c4 = high(c4, x.v3, y);
  c5 = high(c5, x.v4, y);
}

// Ten columns += five words times five words.
template <typename Number>
FEDSECURE_INLINE void add_tile(Block& a, Block& b, const Block& x, const Number& y, std::size_t j) {
  add_row(a.v0, a.v1, a.v2, a.v3, a.v4, b.v0, x, y[j]);
  add_row(a.v1, a.v2, a.v3, a.v4, b.v0, b.v1, x, y[j + 1]);
  add_row(a.v2, a.v3, a.v4, b.v0, b.v1, b.v2, x, y[j + 2]);
  add_row(a.v3, a.v4, b.v0, b.v1, b.v2, b.v3, x, y[j + 3]);
  add_row(a.v4, b.v0, b.v1, b.v2, b.v3, b.v4, x, y[j + 4]);
}

// columns += x * y, for the words of y in [first, end); `window` holds the first five columns.
template <typename Number>
FEDSECURE_INLINE void add_tiles(Lanes* columns, Block window, const Block& x, const Number& y,
                                unsigned first, unsigned end) {
  FEDSECURE_ROLLED
  for (unsigned j = first; j < end; j += kBlock) {
    Block next = block(Columns{columns}, j + kBlock);
    add_tile(window, next, x, y, j);
    put(columns + j, window);
    window = next;
  }
  put(columns + end, window);
}

template <typename Number>
FEDSECURE_INLINE void add_product(Lanes* columns, const Block& x, const Number& y, unsigned words) {
  add_tiles(columns, block(Columns{columns}, 0), x, y, 0, words);
}

// The same for two products at once.
template <typename Number>
FEDSECURE_INLINE void add_products(Lanes* columns, const Block& x, const Number& y, const Block& z,
                                   const Number& w, unsigned words) {
  Block window = block(Columns{columns}, 0);
  FEDSECURE_ROLLED
  for (unsigned j = 0; j < words; j += kBlock) {
    Block next = block(Columns{columns}, j + kBlock);
    add_tile(window, next, x, y, j);
    add_tile(window, next, z, w, j);
    put(columns + j, window);
    window = next;
  }
  put(columns + words, window);
}

// Five words of the quotient, from the five lowest columns that are left, and the carry out of
// them. The products of these words with those of N that stay in these columns are all that is
// needed here; add_rest adds the others. The columns need not be zeroed, and low(q * N[0]), which
// only completes a multiple of 2^52, need not be computed.
FEDSECURE_INLINE Lanes next_word(Lanes column, Lanes inverse, Lanes& carry) {
  carry = carry_of(_mm512_add_epi64(column, all(kMask)));
  return low(zero(), column, inverse);
}

FEDSECURE_INLINE Block quotient(const Block& c, const Block& n, Lanes inverse, Lanes& carry) {
  Block q;
  Lanes c0 = _mm512_add_epi64(c.v0, carry);
  q.v0 = next_word(c0, inverse, carry);
  Lanes c1 = low(_mm512_add_epi64(c.v1, carry), q.v0, n.v1);
  Lanes c2 = high(low(c.v2, q.v0, n.v2), q.v0, n.v1);
  Lanes c3 = high(low(c.v3, q.v0, n.v3), q.v0, n.v2);
  Lanes c4 = high(low(c.v4, q.v0, n.v4), q.v0, n.v3);
  c1 = _mm512_add_epi64(c1, high(zero(), q.v0, n.v0));
  q.v1 = next_word(c1, inverse, carry);
  c2 = low(_mm512_add_epi64(c2, carry), q.v1, n.v1);
  c3 = high(low(c3, q.v1, n.v2), q.v1, n.v1);
  c4 = high(low(c4, q.v1, n.v3), q.v1, n.v2);
  c2 = _mm512_add_epi64(c2, high(zero(), q.v1, n.v0));
  q.v2 = next_word(c2, inverse, carry);
  c3 = low(_mm512_add_epi64(c3, carry), q.v2, n.v1);
  c4 = high(low(c4, q.v2, n.v2), q.v2, n.v1);
  c3 = _mm512_add_epi64(c3, high(zero(), q.v2, n.v0));
  q.v3 = next_word(c3, inverse, carry);
  c4 = low(_mm512_add_epi64(c4, carry), q.v3, n.v1);
  c4 = _mm512_add_epi64(c4, high(zero(), q.v3, n.v0));
  q.v4 = next_word(c4, inverse, carry);
  return q;
}

// columns += q * N without what `quotient` has taken care of.
template <typename Number>
FEDSECURE_INLINE void add_rest(Lanes* columns, const Block& q, const Number& n, unsigned words) {
  Block c = block(Columns{columns}, kBlock);
  const Lanes n1 = n[1], n2 = n[2], n3 = n[3], n4 = n[4];
  c.v0 = high(c.v0, q.v4, n[0]);
  c.v1 = high(low(c.v1, q.v4, n2), q.v4, n1);
  c.v2 = high(low(c.v2, q.v4, n3), q.v4, n2);
  c.v3 = high(low(c.v3, q.v4, n4), q.v4, n3);
  c.v4 = high(c.v4, q.v4, n4);
  c.v0 = high(low(c.v0, q.v4, n1), q.v3, n1);
  c.v1 = high(low(c.v1, q.v3, n3), q.v3, n2);
  c.v2 = high(low(c.v2, q.v3, n4), q.v3, n3);
  c.v3 = high(c.v3, q.v3, n4);
  c.v0 = high(low(c.v0, q.v3, n2), q.v2, n2);
  c.v1 = high(low(c.v1, q.v2, n4), q.v2, n3);
  c.v2 = high(c.v2, q.v2, n4);
  c.v0 = high(low(c.v0, q.v2, n3), q.v1, n3);
  c.v1 = high(c.v1, q.v1, n4);
  c.v0 = high(low(c.v0, q.v1, n4), q.v0, n4);
  add_tiles(columns, c, q, n, kBlock, words);
}

}  // namespace
}  // namespace fedsecure::kernels
