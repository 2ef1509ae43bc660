// Montgomery arithmetic in plain C++: words of 64 bits, one number at a time, constant-time.
//
// The words are as many as the modulus fills, with no bit to spare, so all numbers are kept exact
// (both halves of a pair below N) by masked subtractions. Products go column by column: the sum of
// all products of one weight stays in three registers, and nothing but the result is stored.

#include "montgomery.hpp"

#if defined(_MSC_VER) && !defined(__clang__)
#include <intrin.h>
#endif

#if defined(__GNUC__) || defined(__clang__)
#define FEDSECURE_INLINE inline __attribute__((always_inline))
#else
#define FEDSECURE_INLINE __forceinline
#endif

namespace fedsecure::kernels {
namespace {

using Word = std::uint64_t;

constexpr unsigned kMaxWords = 64;        // of N: 4096 bits
constexpr unsigned kMaxPlainWords = 128;  // of its square
constexpr unsigned kMaxEntries = 256;

// A sum of products of words, in two's complement.
struct Sum {
  Word low = 0;
  Word middle = 0;
  Word high = 0;
};

#if defined(__x86_64__) && (defined(__GNUC__) || defined(__clang__))
// Compilers know no carry out of 128 bits: in C++ this takes twice the instructions.
FEDSECURE_INLINE void add_product(Sum& s, Word x, Word y) {
  Word upper;
  __asm__(
      "mulq %[y]\n\t"
      "addq %%rax, %[low]\n\t"
      "adcq %%rdx, %[middle]\n\t"
      "adcq $0, %[high]"
      : [low] "+&r"(s.low), [middle] "+&r"(s.middle), [high] "+&r"(s.high), "+&a"(x), "=&d"(upper)
      : [y] "rm"(y)
      : "cc");
}
#endif

FEDSECURE_INLINE Word multiply(Word x, Word y, Word* upper) {
#if defined(_MSC_VER) && !defined(__clang__)
#if defined(_M_ARM64)
  *upper = __umulh(x, y);
  return x * y;
#else
  return _umul128(x, y, upper);
#endif
#else
  __extension__ using Wide = unsigned __int128;
  const Wide product = static_cast<Wide>(x) * y;
  *upper = static_cast<Word>(product >> 64);
  return static_cast<Word>(product);
#endif
}

FEDSECURE_INLINE void add_words(Sum& s, Word low, Word middle, Word high) {
  s.low += low;
  const Word carry = s.low < low;
  s.middle += middle;
  const Word first = s.middle < middle;
  s.middle += carry;
  s.high += high + first + (s.middle < carry);
}

#if !(defined(__x86_64__) && (defined(__GNUC__) || defined(__clang__)))
FEDSECURE_INLINE void add_product(Sum& s, Word x, Word y) {
  Word upper;
  const Word lower = multiply(x, y, &upper);
  add_words(s, lower, upper, 0);
}
#endif

FEDSECURE_INLINE void add(Sum& s, Word x) { add_words(s, x, 0, 0); }

FEDSECURE_INLINE void subtract(Sum& s, Word x) {
  const Word borrow = s.low < x;
  s.low -= x;
  const Word next = s.middle < borrow;
  s.middle -= borrow;
  s.high -= next;
}

FEDSECURE_INLINE void add_twice(Sum& s, const Sum& x) {
  add_words(s, x.low << 1, x.middle << 1 | x.low >> 63, x.high << 1 | x.middle >> 63);
}

// Gives the lowest word and goes on to the next column.
FEDSECURE_INLINE Word next_column(Sum& s) {
  const Word word = s.low;
  s.low = s.middle;
  s.middle = s.high;
  s.high = Word{0} - (s.high >> 63);
  return word;
}

// Adds x[i] * y[k - i] for i in [first, end).
FEDSECURE_INLINE void add_products(Sum& s, const Word* x, const Word* y, unsigned k, unsigned first,
                                   unsigned end) {
  Sum sum = s;
  unsigned i = first;
  for (; i + 4 <= end; i += 4) {
    add_product(sum, x[i], y[k - i]);
    add_product(sum, x[i + 1], y[k - i - 1]);
    add_product(sum, x[i + 2], y[k - i - 2]);
    add_product(sum, x[i + 3], y[k - i - 3]);
  }
  for (; i < end; ++i) add_product(sum, x[i], y[k - i]);
  s = sum;
}

// The i for which both x[i] and y[k - i] exist, of h words each.
FEDSECURE_INLINE unsigned begin_of(unsigned k, unsigned h) { return k < h ? 0 : k - h + 1; }
FEDSECURE_INLINE unsigned end_of(unsigned k, unsigned h) { return k < h ? k + 1 : h; }

FEDSECURE_INLINE void add_column(Sum& s, const Word* x, const Word* y, unsigned k, unsigned h) {
  add_products(s, x, y, k, begin_of(k, h), end_of(k, h));
}

// Twice the same.
FEDSECURE_INLINE void add_column_twice(Sum& s, const Word* x, const Word* y, unsigned k,
                                       unsigned h) {
  Sum sum;
  add_column(sum, x, y, k, h);
  add_twice(s, sum);
}

// Column k of x * x.
FEDSECURE_INLINE void add_column_of_square(Sum& s, const Word* x, unsigned k, unsigned h) {
  Sum sum;
  add_products(sum, x, x, k, begin_of(k, h), (k + 1) / 2);
  add_twice(s, sum);
  if (k % 2 == 0) add_product(s, x[k / 2], x[k / 2]);
}

// (sum + quotient * N) / R, where column(s, k) adds to s what the sum has in column k < 2h; the
// lower h words to out, the rest (small) is returned.
template <typename Column>
FEDSECURE_INLINE Word reduce(const Modulus& m, const Column& column, Word* quotient, Word* out) {
  const unsigned h = m.words;
  Sum s;
  for (unsigned k = 0; k < h; ++k) {
    column(s, k);
    add_products(s, quotient, m.n, k, 0, k);
    quotient[k] = s.low * m.inverse;
    add_product(s, quotient[k], m.n[0]);
    next_column(s);
  }
  for (unsigned k = h; k < 2 * h; ++k) {
    column(s, k);
    add_products(s, quotient, m.n, k, k - h + 1, h);
    out[k - h] = next_column(s);
  }
  return s.low;
}

// Subtracts the modulus from (top, x) if it is not larger; returns how often: 0 or 1.
FEDSECURE_INLINE Word subtract_modulus(const Modulus& m, Word* x, Word* top) {
  Word difference[kMaxPlainWords];
  Word borrow = 0;
  for (unsigned i = 0; i < m.words; ++i) {
    const Word partial = x[i] - m.n[i];
    const Word first = x[i] < m.n[i];
    difference[i] = partial - borrow;
    borrow = first | (partial < borrow);
  }
  const Word keep = Word{0} - ((*top - borrow) >> 63);  // all ones if that is negative
  for (unsigned i = 0; i < m.words; ++i) x[i] = (x[i] & keep) | (difference[i] & ~keep);
  *top = (*top & keep) | ((*top - borrow) & ~keep);
  return keep + 1;
}

FEDSECURE_INLINE Word subtract_modulus_often(const Modulus& m, Word* x, Word top, unsigned times) {
  Word count = 0;
  for (unsigned i = 0; i < times; ++i) count += subtract_modulus(m, x, &top);
  return count;
}

// Pair = first + second * N over R, where the columns of first and second are given, and are below
// times * N * R each.
//
// first = rR - qN for the remainder r and quotient q of its reduction. So -q goes to the second
// half (as ~q + 1 - R), and so does every N that is subtracted from r, which is R there. The second
// half is not negative afterwards: it is an integer above -1.
template <typename First, typename Second>
FEDSECURE_INLINE void reduce_pair(const Modulus& m, const First& first, const Second& second,
                                  unsigned times, Word* out) {
  const unsigned h = m.words;
  Word quotient[kMaxWords];
  Word other[kMaxWords];
  Word a[kMaxWords];
  Word b[kMaxWords];
  const Word top = reduce(m, first, quotient, a);
  const Word count = subtract_modulus_often(m, a, top, times);
  const auto column = [&](Sum& s, unsigned k) {
    second(s, k);
    if (k < h) add(s, ~quotient[k]);
    if (k == 0) add(s, 1);
    if (k == h) {
      add(s, count);
      subtract(s, 1);
    }
  };
  const Word rest = reduce(m, column, other, b);
  subtract_modulus_often(m, b, rest, times + 1);
  std::memcpy(out, a, h * sizeof(Word));
  std::memcpy(out + h, b, h * sizeof(Word));
}

void mul(const Modulus& m, const Word* x, const Word* y, Word* out) {
  const unsigned h = m.words;
  reduce_pair(
      m, [&](Sum& s, unsigned k) { add_column(s, x, y, k, h); },
      [&](Sum& s, unsigned k) {
        add_column(s, x, y + h, k, h);
        add_column(s, x + h, y, k, h);
      },
      1, out);
}

void square(const Modulus& m, const Word* x, Word* out) {
  const unsigned h = m.words;
  reduce_pair(
      m, [&](Sum& s, unsigned k) { add_column_of_square(s, x, k, h); },
      [&](Sum& s, unsigned k) { add_column_twice(s, x, x + h, k, h); }, 1, out);
}

void enter(const Modulus& m, const Word* x, unsigned parts, const Word* factors, Word* out) {
  const unsigned h = m.words;
  reduce_pair(
      m,
      [&](Sum& s, unsigned k) {
        for (unsigned i = 0; i < parts; ++i) add_column(s, x + i * h, factors + 2 * i * h, k, h);
      },
      [&](Sum& s, unsigned k) {
        for (unsigned i = 0; i < parts; ++i)
          add_column(s, x + i * h, factors + (2 * i + 1) * h, k, h);
      },
      parts, out);
}

void leave(const Modulus& m, const Word* x, const Word* t, Word* out) {
  const unsigned h = m.words;
  reduce_pair(
      m,
      [&](Sum& s, unsigned k) {
        if (k < h) add(s, x[k]);
      },
      [&](Sum& s, unsigned k) {
        if (k < h) add(s, x[h + k]);
        if (t != nullptr) add_column(s, x, t, k, h);
      },
      1, out);
}

void compose(const Modulus& m, const Word* pair, Word* out) {
  const unsigned h = m.words;
  Word whole[2 * kMaxPlainWords];
  Sum s;
  for (unsigned k = 0; k < 2 * h; ++k) {
    if (k < h) add(s, pair[k]);
    add_column(s, pair + h, m.n, k, h);
    whole[k] = next_column(s);
  }
  std::memcpy(out, whole, 2 * h * sizeof(Word));
}

void mul_plain(const Modulus& m, const Word* x, const Word* y, Word* out) {
  Word quotient[kMaxPlainWords];
  Word result[kMaxPlainWords];
  Word top =
      reduce(m, [&](Sum& s, unsigned k) { add_column(s, x, y, k, m.words); }, quotient, result);
  subtract_modulus(m, result, &top);
  std::memcpy(out, result, m.words * sizeof(Word));
}

// N is at least R/2, its square at least R/4.
void exact_plain(const Modulus& m, const Word* x, Word* out) {
  std::memmove(out, x, m.words * sizeof(Word));
  subtract_modulus_often(m, out, 0, 3);
}

unsigned words_for(unsigned bits) { return bits / 64; }

void load_numbers(const std::uint8_t* rows, std::size_t row_bytes, std::size_t, std::size_t,
                  unsigned words, Word* out) {
  std::memset(out, 0, words * sizeof(Word));
  std::memcpy(out, rows, row_bytes);
}

void store_numbers(const Word* x, unsigned, std::uint8_t* rows, std::size_t row_bytes, std::size_t,
                   std::size_t) {
  std::memcpy(rows, x, row_bytes);
}

// All ones if they are equal.
FEDSECURE_INLINE Word equal_mask(Word x, Word y) {
  const Word difference = x ^ y;
  return ((difference | (Word{0} - difference)) >> 63) - 1;
}

void pick_shared(const Word* table, unsigned entries, unsigned words, const Word* index,
                 std::size_t batches, Word* out) {
  Word masks[kMaxEntries];
  for (std::size_t batch = 0; batch < batches; ++batch) {
    for (unsigned e = 0; e < entries; ++e) masks[e] = equal_mask(e, index[batch]);
    for (unsigned i = 0; i < words; ++i) {
      const Word* const row = table + std::size_t{i} * entries;
      Word found = 0;
      for (unsigned e = 0; e < entries; ++e) found |= row[e] & masks[e];
      out[batch * words + i] = found;
    }
  }
}

void pick(const Word* table, unsigned entries, unsigned words, const Word* index, Word* out) {
  std::memset(out, 0, words * sizeof(Word));
  for (unsigned e = 0; e < entries; ++e) {
    const Word mask = equal_mask(e, *index);
    const Word* const row = table + std::size_t{e} * words;
    for (unsigned i = 0; i < words; ++i) out[i] |= row[i] & mask;
  }
}

}  // namespace

const MontgomeryKernels kMontgomeryPortable = {
    64,    1,     words_for, load_numbers, store_numbers, mul,       square,
    enter, leave, compose,   pick_shared,  pick,          mul_plain, exact_plain};

}  // namespace fedsecure::kernels
