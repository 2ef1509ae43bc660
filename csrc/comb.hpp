// Powers of one base modulo N^2, many at a time: base^e is the product, over the windows of e, of
// entries of a table that has base^(d * 2^(w * i)) for every window i and digit d (Brickell,
// Gordon, McCurley, Wilson, "Fast exponentiation with precomputation", EUROCRYPT 1992). No
// squarings remain.
#pragma once

#include <algorithm>

#include "montgomery.hpp"

namespace fedsecure {

// How many of `count` numbers should share one reading of a table: many, as long as some threads
// get their part.
inline std::size_t comb_group(std::size_t count) {
  constexpr std::size_t kLeast = 64, kMost = 256, kShares = 8;
  return std::min(std::max(count / kShares, kLeast), kMost);
}

class Comb {
 public:
  // base: a pair in Montgomery form, one for all lanes ([2 * words * lanes]). For exponents of
  // `bits` bits.
  Comb(const Modulus& modulus, const std::uint64_t* base, std::size_t bits, unsigned threads);

  std::size_t bits() const { return bits_; }

  // Powers for exponents of bits / 8 bytes each, one after the other, in Montgomery form, batch
  // after batch. The table, megabytes of it, is read once for all of them. Constant time.
  void powers(span<const std::uint8_t> exponents, std::uint64_t* out) const;

 private:
  void fill_windows(const std::uint64_t* bases, std::size_t first, std::size_t count);

  const Modulus& modulus_;
  std::size_t bits_;
  std::size_t windows_;
  Words table_;  // [windows][2 * words][entries]
};

}  // namespace fedsecure
