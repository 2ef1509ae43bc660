// Exact integer noise from the keyed generator.
//
// Method: rejection from a histogram. The integers around the mode are cut into pieces of 2^k
// neighbors; piece b holds n_b of 4096 slots, and each slot stands for the same area A, so the
// histogram's height over the piece is n_b A / 2^k, at least rho everywhere on it. One tail per
// side holds a slot too: it is cut into cells of 2^k integers, of which the g-th is taken with
// probability 2^-(g+1), exactly the number of leading zeros of random bits; rho halves from each
// cell to the next (Density::halves), so the height stays above it. A slot at random, a place in
// the piece at random, then: accept if U < rho(x) / height(x). Whatever the heights are, as long as
// they are at least rho, what is accepted has the law rho / sum(rho) (von Neumann 1951; histograms
// as in Ahrens 1993, "Sampling from General Distributions by Suboptimal Division of Domains").
//
// Exactness: U is a real number of which bits are looked at as needed. 32 of them are enough but
// for a part 2^-31 or so of all cases, by bounds of rho whose errors are proven (density.cpp); the
// rest is decided in integers of hundreds of bits (wide.hpp), which ends with probability one.
// Every proposal has bits of its own for all of this, so its outcome is a function of the keystream
// that mathematics defines: neither rounding, compiler nor kernel set has a part in it. (Proposals
// have 1312 bits for U and 512 for a tail; where those run out, with a probability below 2^-500,
// the call fails.) Table sizes, too, change only which of many exact samplers this is; they are
// part of what a seed means and covered by known answers.
//
// The keystream of a seed, in bytes; a block is 128 numbers, counted from number 0 on:
//   [block R, block R + R)                    words of proposals 0..159, R = 1280 or 2560 (wide)
//   [2^62 + block 2^24 + j 256, ... + 256)    proposal j: its word if j >= 160 [0, 16), bits that
//                                             choose a tail cell [16, 80), the place in it [80,
//                                             88), more bits of U [96, 256)
// A difference takes blocks 2b and 2b + 1. Word: slot in bits 0..11, place in bits 12..31 (wide:
// the second word), U in bits 32..63.
//
// Secrets: the numbers drawn, everything on the way to them, and the seed; all wiped. Not constant
// time: how many proposals a block needed, and which of them the bounds could not decide, shows in
// the time (together a function of rejected randomness, and weakly of the accepted), and the slot
// is an index into a table of 8 KB and its piece into one of some KB, so whoever watches this
// process' cache lines learns to which piece a number belongs.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "density.hpp"
#include "prg.hpp"
#include "span.hpp"

namespace fedsecure {

constexpr std::size_t kNumbersPerBlock = 128;
constexpr std::uint64_t kMaxNumbers = std::uint64_t{1} << 44;

// How comparisons are decided. Both give the same numbers; `exactly` is thousands of times slower.
enum class Decide : std::uint8_t { by_bounds, exactly };

class Sampler {
 public:
  // slack: how many times larger than needed a slot's area is, >= 1. More makes pieces coarser,
  // tails begin nearer and rejections frequent, for tests of just these; the law is the same.
  explicit Sampler(const Law& law, Decide decide = Decide::by_bounds, double slack = 1);

  // The block's 128 numbers.
  void draw(const PrgKeys& keys, std::uint64_t block, std::int64_t* out) const;

  // Share of proposals that are accepted, roughly.
  double acceptance() const;

 private:
  struct Piece {
    std::int64_t first;
    std::uint32_t accept;  // u < accept: accepted whatever x is
    std::uint32_t last;    // u > last: rejected whatever x is
    std::uint64_t mask;    // 2^bits - 1
    std::uint16_t slots;   // 0: none of the law, everything is rejected
    std::uint8_t bits;
    std::int8_t tail;  // +1: upwards from first; -1: downwards; 0: first, ..., first + mask
  };
  struct Proposal;

  bool build(double area);
  void add_side(int direction, std::int64_t from);
  void add_piece(Piece piece, const Bounds& nearest, const Bounds& farthest);
  bool resolve(const Proposal& proposal, const Piece& piece, std::int64_t* x) const;
  bool accept_exactly(const Proposal& proposal, const Piece& piece, std::int64_t x,
                      unsigned cell) const;

  Density density_;
  Decide decide_;
  double area_ = 0;  // of a slot; 32 bits of mantissa
  bool wide_ = false;
  std::size_t used_ = 0;
  std::vector<Piece> pieces_;
  std::vector<std::uint16_t> slots_;
};

// The sampler of a law, kept for further calls (a few of them; tables tell nothing secret).
std::shared_ptr<const Sampler> sampler_of(const Law& law);

// A law, or the difference of two independent numbers of it.
struct Noise {
  std::shared_ptr<const Sampler> sampler;
  bool difference = false;
};

// The laws by their usual parameters; all throw std::invalid_argument as check_law.
Noise discrete_gaussian(const Rational& variance_parameter);  // sigma^2
Noise skellam(const Rational& variance);       // Poisson - Poisson, each of mean variance / 2
Noise discrete_laplace(const Rational& rate);  // P[k] ~ e^(-rate |k|)
// Polya(shape, p) - Polya(shape, p), p = e^-rate: 1 / shape of them sum to discrete_laplace(rate).
Noise polya_difference(const Rational& shape, const Rational& rate);

// out[i] = number first + i of the seed (Word = int64_t), or out[i] += that, mod 2^lane. On the
// calling thread; first + size at most kMaxNumbers.
template <typename Word>
void draw_noise(const Noise& noise, const PrgKeys& keys, std::uint64_t first, span<Word> out);

// The same on `threads` threads (0: one per processor); the same bits for any number of them.
// Throws std::invalid_argument when first + size passes 2^44.
template <typename Word>
void draw_noise(const Noise& noise, const Seeds& seed, std::uint64_t first, span<Word> out,
                unsigned threads);

}  // namespace fedsecure
