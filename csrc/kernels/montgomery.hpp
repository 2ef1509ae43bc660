// The contract of the kernels for modular arithmetic on big numbers; see kernels.hpp for what all
// kernels have in common.
//
// Numbers come in batches: `lanes` of them at a time (8 with vectors, 1 without), word i of number
// l at [i * lanes + l], each word `radix` bits of it in 64. The modulus and tables that say so are
// the same for all lanes: one word after the other.
//
// An element modulo N^2 is a pair, a + b*N, in Montgomery form (times R = 2^(radix * words)): the
// words of a, then those of b, so 2 * words * lanes in all ("a pair" below). Both are modulo N, but
// each tier keeps them only as small as it needs
// ("loose"); what comes out of `enter`, `mul`, `square`, and exact pairs, may go in anywhere. The
// product is
//   (a + b*N)(c + d*N) = ac + (ad + bc)*N   modulo N^2,
// one Montgomery reduction of ac giving its remainder and the quotient that belongs to the other
// half.
//
// Constant time in all numbers and table indices; sizes and counts are public. Stack copies are
// wiped by the caller (wipe_dead_stack), so kernels keep what they need there.
#pragma once

#include "kernels.hpp"

namespace fedsecure::kernels {

// An odd modulus. N of 1024, 1536, 2048, 3072 or 4096 bits, top bit set; for mul_plain and
// exact_plain the square of one.
struct Modulus {
  unsigned words;         // h: of N
  std::uint64_t inverse;  // -N^-1 modulo 2^radix
  const std::uint64_t* n;
};

struct MontgomeryKernels {
  unsigned radix;  // bits of a number in one word: 52 or 64
  unsigned lanes;  // numbers in a batch

  // Words for a modulus of so many bits. words(2 * bits) == 2 * words(bits).
  unsigned (*words)(unsigned bits);

  // `count` <= lanes numbers of row_bytes bytes, little-endian, each `stride` bytes after the one
  // before, to words, and back. Numbers have at most `words` words; the lanes beyond `count` become
  // copies of the first. Nothing beyond row_bytes is read or written. store takes exact numbers.
  void (*load)(const std::uint8_t* rows, std::size_t row_bytes, std::size_t stride,
               std::size_t count, unsigned words, std::uint64_t* out);
  void (*store)(const std::uint64_t* x, unsigned words, std::uint8_t* rows, std::size_t row_bytes,
                std::size_t stride, std::size_t count);

  // Pairs: out = x * y / R, out = x * x / R. out may be x or y.
  void (*mul)(const Modulus& m, const std::uint64_t* x, const std::uint64_t* y, std::uint64_t* out);
  void (*square)(const Modulus& m, const std::uint64_t* x, std::uint64_t* out);

  // out = sum of x_i * factors_i / R, a pair, where x_i are `parts` <= 4 plain numbers of m.words
  // words each, one after the other, (any value that fits the words: they are parts of a longer
  // number), and factors_i are exact pairs, each 2 * words, shared by the lanes.
  void (*enter)(const Modulus& m, const std::uint64_t* x, unsigned parts,
                const std::uint64_t* factors, std::uint64_t* out);

  // out = x * (1 + t*N) / R as an exact pair: both halves below N. t: plain numbers below N (words
  // * lanes), or null for 0.
  void (*leave)(const Modulus& m, const std::uint64_t* x, const std::uint64_t* t,
                std::uint64_t* out);

  // out = a + b*N, an exact pair as plain numbers of 2 * words words. Here N may also be a square.
  void (*compose)(const Modulus& m, const std::uint64_t* pair, std::uint64_t* out);

  // Looks up without letting the index show: every entry is read. `index` has one entry per lane
  // and batch.
  //   pick_shared  one table for all lanes, [words][entries]; `batches` batches at a time, out
  //   [batches][words * lanes],
  //                index [batches * lanes]. entries: 16 to 256, a power of 2.
  //   pick         a table of batches, [entries][words * lanes], each lane taking from its own
  //   column; entries <= 64.
  void (*pick_shared)(const std::uint64_t* table, unsigned entries, unsigned words,
                      const std::uint64_t* index, std::size_t batches, std::uint64_t* out);
  void (*pick)(const std::uint64_t* table, unsigned entries, unsigned words,
               const std::uint64_t* index, std::uint64_t* out);

  // Plain Montgomery arithmetic, for products of numbers that come and go in plain form: out = x *
  // y / 2^(radix * words) modulo m, loose. exact_plain makes that the number below m.
  void (*mul_plain)(const Modulus& m, const std::uint64_t* x, const std::uint64_t* y,
                    std::uint64_t* out);
  void (*exact_plain)(const Modulus& m, const std::uint64_t* x, std::uint64_t* out);
};

extern const MontgomeryKernels kMontgomeryPortable;
extern const MontgomeryKernels
    kMontgomeryIfma;  // linked on x86-64 if the compiler knows the instructions

}  // namespace fedsecure::kernels
