// Montgomery arithmetic with AVX-512 IFMA: words of 52 bits, 8 numbers at a time. Not for MSVC: see
// clear_zmm.hpp.
//
// Between two calls words are below 2^52; within one, columns collect products (see
// montgomery_ifma.hpp). Products and reductions alternate by blocks of five words: the words of a
// quotient come one after the other, slowly, and the product that follows them in the program keeps
// the multipliers busy meanwhile.
//
// Bounds. R = 2^(52 h) is at least 2^16 N, and 2^32 N where N is a square.
// - A pair is loose if a, b < 5 N: it fits h words. Exact pairs are loose.
// - mul, square: r = (a c + q N) / R < 25 N * N / R + N < 1.001 N; the other half is
//   b' = (a d + b c - q + q' N) / R < 50 N * N / R + N < 1.001 N, and not negative: it is an
//   integer above -q / R > -1. So no modulus is ever subtracted. Twice a number fits h words.
// - enter: (sum of up to 4 x_i f_i + q N) / R < 5 N, for any x_i < R and f_i < N; so loose.
// - leave: r = (a + q N) / R < N + 5 N / R, so r <= N. If r == N, it becomes 0 and the other half
//   gets 1 (1 N = 0 + 1 N). That half is at most (b + a t + q' N) / R + 1 < 1.001 N + 2, so one
//   subtraction makes it exact.
// - mul_plain: x y / R + N < 2 N if x y <= R N, as for x and y < 2^16 N, or x < R and y <= N.
//   exact_plain takes anything below 2 N.
#include "montgomery_ifma.hpp"

#include "clear_zmm.hpp"
#include "montgomery_ifma_rows.hpp"

namespace fedsecure::kernels {
namespace {

constexpr unsigned kMaxWords = 80;        // of N: 4096 bits
constexpr unsigned kMaxPlainWords = 160;  // of its square

unsigned words_for(unsigned bits) { return bits / 512 * 10; }

// Makes words of columns.
FEDSECURE_INLINE void put_words(const Lanes* columns, unsigned words, Lanes carry, Word* out) {
  for (unsigned i = 0; i < words; ++i) {
    const Lanes sum = _mm512_add_epi64(columns[i], carry);
    put(out, i, _mm512_and_si512(sum, all(kMask)));
    carry = carry_of(sum);
  }
}

// x of up to 2 N to its value modulo N; returns -1 for the lanes where N was subtracted, else 0.
FEDSECURE_INLINE Lanes make_exact(const Modulus& m, Word* x) {
  Lanes difference[kMaxPlainWords];
  const Shared n{m.n};
  Lanes borrow = zero();
  for (unsigned i = 0; i < m.words; ++i) {
    borrow = _mm512_add_epi64(_mm512_sub_epi64(Own{x}[i], n[i]), borrow);
    difference[i] = _mm512_and_si512(borrow, all(kMask));
    borrow = carry_of(borrow);
  }
  for (unsigned i = 0; i < m.words; ++i)  // the borrow is -1 or 0 in all bits
    put(x, i, _mm512_ternarylogic_epi64(borrow, Own{x}[i], difference[i], 0xCA));
  return _mm512_xor_si512(borrow, all(~Word{0}));
}

FEDSECURE_INLINE void clear(Lanes* columns, unsigned begin, unsigned end) {
  for (unsigned i = begin; i < end; ++i) columns[i] = zero();
}

FEDSECURE_INLINE Block subtract(const Block& x, const Block& y) {
  return {_mm512_sub_epi64(x.v0, y.v0), _mm512_sub_epi64(x.v1, y.v1), _mm512_sub_epi64(x.v2, y.v2),
          _mm512_sub_epi64(x.v3, y.v3), _mm512_sub_epi64(x.v4, y.v4)};
}

// out = (T + U * N) / R. add_t(i) and add_u(i) add the products of the words i to i + 4 of what is
// multiplied to the columns t and u, of 2 * m.words each, of which the lower half is set already.
// put_t puts the words of the first half of the result; returns what is carried into the other.
template <typename AddT, typename AddU, typename PutT>
FEDSECURE_INLINE void reduce_pair(const Modulus& m, Lanes* t, Lanes* u, const AddT& add_t,
                                  const AddU& add_u, const PutT& put_t, Word* out) {
  const unsigned words = m.words;
  const Shared n{m.n};
  const Block lowest = block(n, 0);
  const Lanes inverse = all(m.inverse);
  Lanes carry_t = zero();
  Lanes carry_u = zero();
  Block qu{};
  put(t + words, Block{});
  add_t(0);
  FEDSECURE_ROLLED
  for (unsigned i = 0; i < words; i += kBlock) {
    const Block qt = quotient(block(Columns{t}, i), lowest, inverse, carry_t);
    if (i != 0) add_rest(u + i - kBlock, qu, n, words);
    put(u + i + words, Block{});
    add_u(i);
    qu = quotient(subtract(block(Columns{u}, i), qt), lowest, inverse, carry_u);
    add_rest(t + i, qt, n, words);
    if (i + kBlock == words) break;
    put(t + i + kBlock + words, Block{});
    add_t(i + kBlock);
  }
  carry_u = _mm512_add_epi64(carry_u, put_t(carry_t));
  add_rest(u + words - kBlock, qu, n, words);
  put_words(u + words, words, carry_u, out + 8 * words);
}

// Products: both sums begin with nothing, and the first half needs no more work.
template <typename AddT, typename AddU>
FEDSECURE_INLINE void reduce_products(const Modulus& m, const AddT& add_t, const AddU& add_u,
                                      Word* out) {
  Lanes t[2 * kMaxWords];
  Lanes u[2 * kMaxWords];
  clear(t, 0, m.words);
  clear(u, 0, m.words);
  const auto put_t = [&](Lanes carry) {
    put_words(t + m.words, m.words, carry, out);
    return zero();
  };
  reduce_pair(
      m, t, u, [&](unsigned i) { add_t(t, i); }, [&](unsigned i) { add_u(u, i); }, put_t, out);
  clear_zmm();
}

void mul(const Modulus& m, const Word* x, const Word* y, Word* out) {
  const unsigned words = m.words;
  const Own a{x}, b{x + 8 * words}, c{y}, d{y + 8 * words};
  reduce_products(
      m, [&](Lanes* t, unsigned i) { add_product(t + i, block(a, i), c, words); },
      [&](Lanes* u, unsigned i) { add_products(u + i, block(a, i), d, block(b, i), c, words); },
      out);
}

// Ten columns += the square of five words x. `twice` are the words of twice the whole number, so
// the lowest bit of each belongs to the word before it: to be left out where that is x_(j - 1).
FEDSECURE_INLINE void add_square_tile(Block& a, Block& b, const Block& x, const Columns& twice,
                                      std::size_t i) {
  const Lanes even = all(~Word{1});
  const Lanes d1 = twice[i + 1], d2 = twice[i + 2], d3 = twice[i + 3], d4 = twice[i + 4];
  const Lanes e1 = _mm512_and_si512(d1, even), e2 = _mm512_and_si512(d2, even);
  const Lanes e3 = _mm512_and_si512(d3, even), e4 = _mm512_and_si512(d4, even);
  a.v0 = low(a.v0, x.v0, x.v0);
  a.v1 = high(low(a.v1, x.v0, e1), x.v0, x.v0);
  a.v2 = high(low(low(a.v2, x.v1, x.v1), x.v0, d2), x.v0, e1);
  a.v3 = high(low(low(a.v3, x.v1, e2), x.v0, d3), x.v0, d2);
  a.v3 = high(a.v3, x.v1, x.v1);
  a.v4 = high(low(low(a.v4, x.v2, x.v2), x.v1, d3), x.v0, d3);
  a.v4 = high(low(a.v4, x.v0, d4), x.v1, e2);
  b.v0 = high(low(low(b.v0, x.v2, e3), x.v1, d4), x.v0, d4);
  b.v0 = high(high(b.v0, x.v1, d3), x.v2, x.v2);
  b.v1 = high(low(low(b.v1, x.v3, x.v3), x.v2, d4), x.v1, d4);
  b.v1 = high(b.v1, x.v2, e3);
  b.v2 = high(high(low(b.v2, x.v3, e4), x.v2, d4), x.v3, x.v3);
  b.v3 = high(low(b.v3, x.v4, x.v4), x.v3, e4);
  b.v4 = high(b.v4, x.v4, x.v4);
}

// t += the products of the words i to i + 4 of a with themselves and, twice, with all above.
FEDSECURE_INLINE void add_square(Lanes* t, const Own& a, const Columns& twice, unsigned i,
                                 unsigned words) {
  const Block x = block(a, i);
  Block lower = block(Columns{t}, 2 * i);
  Block upper = block(Columns{t}, 2 * i + kBlock);
  add_square_tile(lower, upper, x, twice, i);
  put(t + 2 * i, lower);
  // Takes back x4 times the bit that came from x4 itself. (The highest word of all has no such
  // bit.)
  const __mmask8 bit = _mm512_test_epi64_mask(x.v4, all(Word{1} << (kRadix - 1)));
  upper.v4 = _mm512_mask_sub_epi64(upper.v4, bit, upper.v4, x.v4);
  add_tiles(t + i, upper, x, twice, i + kBlock, words);
}

void square(const Modulus& m, const Word* x, Word* out) {
  const unsigned words = m.words;
  Lanes doubled[kMaxWords];
  const Own a{x}, b{x + 8 * words};
  Lanes carry = zero();
  for (unsigned i = 0; i < words; ++i) {  // the bits above 52 are ignored where it is used
    doubled[i] = _mm512_add_epi64(_mm512_add_epi64(a[i], a[i]), carry);
    carry = _mm512_srli_epi64(a[i], kRadix - 1);
  }
  const Columns twice{doubled};
  reduce_products(
      m, [&](Lanes* t, unsigned i) { add_square(t, a, twice, i, words); },
      [&](Lanes* u, unsigned i) { add_product(u + i, block(b, i), twice, words); }, out);
}

void enter(const Modulus& m, const Word* x, unsigned parts, const Word* factors, Word* out) {
  const unsigned words = m.words;
  const auto add = [&](Lanes* columns, unsigned i, unsigned half) {
    for (unsigned p = 0; p < parts; ++p) {
      const Shared factor{factors + (2 * p + half) * words};
      add_product(columns + i, block(Own{x + 8 * p * words}, i), factor, words);
    }
  };
  reduce_products(
      m, [&](Lanes* t, unsigned i) { add(t, i, 0); }, [&](Lanes* u, unsigned i) { add(u, i, 1); },
      out);
}

void leave(const Modulus& m, const Word* x, const Word* plain, Word* out) {
  const unsigned words = m.words;
  Lanes t[2 * kMaxWords];
  Lanes u[2 * kMaxWords];
  const Own a{x}, b{x + 8 * words}, p{plain};
  for (unsigned i = 0; i < words; ++i) t[i] = a[i];
  for (unsigned i = 0; i < words; ++i) u[i] = b[i];
  const auto put_t = [&](Lanes carry) {
    put_words(t + words, words, carry, out);
    return _mm512_sub_epi64(zero(), make_exact(m, out));
  };
  const auto add_u = [&](unsigned i) {
    if (plain != nullptr) add_product(u + i, block(a, i), p, words);
  };
  reduce_pair(m, t, u, [](unsigned) {}, add_u, put_t, out);
  make_exact(m, out + 8 * words);
  clear_zmm();
}

void compose(const Modulus& m, const Word* pair, Word* out) {
  const unsigned words = m.words;
  Lanes t[2 * kMaxPlainWords];
  const Own a{pair}, b{pair + 8 * words};
  for (unsigned i = 0; i < words; ++i) t[i] = a[i];
  clear(t, words, 2 * words);
  FEDSECURE_ROLLED
  for (unsigned i = 0; i < words; i += kBlock) add_product(t + i, block(b, i), Shared{m.n}, words);
  put_words(t, 2 * words, zero(), out);
  clear_zmm();
}

void mul_plain(const Modulus& m, const Word* x, const Word* y, Word* out) {
  const unsigned words = m.words;
  Lanes t[2 * kMaxPlainWords];
  clear(t, 0, words + kBlock);
  const Shared n{m.n};
  const Block lowest = block(n, 0);
  const Lanes inverse = all(m.inverse);
  Lanes carry = zero();
  add_product(t, block(Own{x}, 0), Own{y}, words);
  FEDSECURE_ROLLED
  for (unsigned i = 0; i < words; i += kBlock) {
    const Block q = quotient(block(Columns{t}, i), lowest, inverse, carry);
    const unsigned next = i + kBlock;
    if (next < words) {
      put(t + next + words, Block{});
      add_product(t + next, block(Own{x}, next), Own{y}, words);
    }
    add_rest(t + i, q, n, words);
  }
  put_words(t + words, words, carry, out);
  clear_zmm();
}

void exact_plain(const Modulus& m, const Word* x, Word* out) {
  for (unsigned i = 0; i < m.words; ++i) put(out, i, Own{x}[i]);
  make_exact(m, out);
  clear_zmm();
}

}  // namespace

const MontgomeryKernels kMontgomeryIfma = {kRadix,      8,      words_for, load,       store,
                                           mul,         square, enter,     leave,      compose,
                                           pick_shared, pick,   mul_plain, exact_plain};

}  // namespace fedsecure::kernels
