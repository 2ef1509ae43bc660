// Positive numbers of a few hundred bits that know how far below the truth they are: what decides a
// comparison that double precision cannot. Slow, and rarely called (see sampler.hpp).
//
// A Wide stands for an unknown real z with v <= z <= v (1 + c 2^-(32 L - 2)): v is its value, L its
// limbs, c its count of roundings. Every operation rounds down, and none subtracts, so counts add
// up in products and take the larger one in sums. v = m 2^e with 2^(32 L - 1) <= m < 2^(32 L), so
// one rounding loses less than a part 2^-(32 L - 1); and (1 + d)^c <= 1 + 2 c d while c d <= 1/2.
#pragma once

#include <cstddef>
#include <cstdint>

namespace fedsecure {

constexpr std::size_t kMaxLimbs = 48;

class Wide {
 public:
  // value > 0; 2 <= limbs <= kMaxLimbs.
  Wide(std::size_t limbs, std::uint64_t value);
  // The integer of `size` <= 2 kMaxLimbs + 2 limbs, least significant first; not zero.
  Wide(std::size_t limbs, const std::uint32_t* integer, std::size_t size);
  Wide(const Wide&) = default;
  Wide& operator=(const Wide&) = default;
  ~Wide();

  void multiply(std::uint64_t factor);  // > 0
  void multiply(const Wide& factor);
  void divide(std::uint64_t divisor);  // 0 < divisor < 2^63
  void add(const Wide& term);
  void scale(std::int64_t bits) { exponent_ += bits; }  // times 2^bits

  std::size_t limbs() const { return size_; }
  // The least integer k with v < 2^k.
  std::int64_t magnitude() const;
  // Says that the sum of positive terms lacks at most a part 2^-(32 L - 1).
  void truncated() { ++roundings_; }
  // A Wide whose value is above z.
  Wide upper() const;
  bool value_at_most(const Wide& other) const;

 private:
  void assign(const std::uint32_t* integer, std::size_t size, std::int64_t exponent);

  std::uint32_t limbs_[kMaxLimbs] = {};
  std::size_t size_;
  std::int64_t exponent_ = 0;
  std::uint64_t roundings_ = 0;
};

// e^x; x > 0.
Wide exponential(const Wide& x);

}  // namespace fedsecure
