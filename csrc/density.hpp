// Probabilities of the integer laws that noise is drawn from, in two ways: quickly, between bounds
// that are proven, and exactly, as quotients of products to any number of bits.
//
//   gaussian  rho(x) = exp(-x^2 / (2 s)), s = scale; all integers. Its law is the discrete Gaussian
//             of Canonne, Kamath, Steinke 2020 ("The Discrete Gaussian for Differential Privacy").
//   laplace   rho(x) = exp(-|x| s); all integers. The discrete Laplace or two-sided geometric law
//             (Ghosh, Roughgarden, Sundararajan 2009).
//   poisson   rho(x) = (s^x / x!) / (s^m / m!), m = floor(s); x >= 0
//   polya     rho(x) = exp(-x s) r (r+1) ... (r+x-1) / x!, r = shape <= 1; x >= 0. The negative
//             binomial law with success probability 1 - e^-s.
//
// All are 1 at their mode and do not rise away from it.
#pragma once

#include <cstdint>
#include <tuple>
#include <vector>

#include "wide.hpp"

namespace fedsecure {

enum class LawKind : std::uint8_t { gaussian, laplace, poisson, polya };

struct Rational {
  std::uint64_t numerator;
  std::uint64_t denominator;

  double value() const { return static_cast<double>(numerator) / static_cast<double>(denominator); }
};

struct Law {
  LawKind kind;
  Rational scale;
  Rational shape = {1, 1};  // of polya

  auto key() const {
    return std::tuple(kind, scale.numerator, scale.denominator, shape.numerator, shape.denominator);
  }
};

// Throws std::invalid_argument, naming the parameter, unless numbers of the law can be drawn:
// numerators and denominators in [1, 2^62); scale in [2^-40, 2^62] for gaussian, [2^-24, 2^40] for
// polya (whose products get long), [2^-40, 2^40] else; shape in [2^-40, 1].
void check_law(const Law& law);

struct Bounds {
  double low;
  double high;
};

// rho(x) = numerator / denominator.
struct Quotient {
  Wide numerator;
  Wide denominator;
};

class Density {
 public:
  explicit Density(const Law& law);

  std::int64_t mode() const { return mode_; }
  bool two_sided() const { return law_.kind <= LawKind::laplace; }
  bool in_support(std::int64_t x) const { return two_sided() || x >= 0; }

  // Contain rho(x), and differ by a part 2^-35 of it wherever it matters; |x| <= 2^52.
  Bounds bounds(std::int64_t x) const;
  // x in the support. Where rho < e^-4096, some number above rho: no U has enough bits to tell.
  Quotient exact(std::int64_t x, std::size_t limbs) const;
  // The sum of rho, roughly.
  double rough_total() const;
  // True only if rho falls to half or less over `width` steps outward, from x and from every number
  // of the support that is farther out.
  bool halves(std::int64_t x, std::int64_t width) const;

 private:
  double poisson_exponent(std::int64_t x) const;
  double polya_exponent(std::int64_t x) const;
  void fill_near();

  Law law_;
  double scale_;
  double shape_;
  std::int64_t mode_ = 0;
  double mode_fraction_ = 0;  // poisson: s - m, and parts of -ln rho that are the same for all x
  double mode_bend_ = 0;
  double mode_stirling_ = 0;
  std::int64_t near_first_ = 0;
  std::vector<double> near_;  // rho(near_first_ + i), each to a part 2^-40
};

}  // namespace fedsecure
