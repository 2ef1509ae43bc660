#include "density.hpp"

#include <algorithm>
#include <cmath>
#include <stdexcept>
#include <string>

namespace fedsecure {
namespace {

// Each formula below says how far its exponent is from the true one; exp_minus adds less than a
// part 2^-44, and everything together stays below this.
constexpr double kRelativeError = 0x1p-36;
constexpr double kLargestExponent = 600;
constexpr double kAboveTiny = 0x1p-800;  // > e^-600 + errors
constexpr std::int64_t kLargestMagnitude = 13;
constexpr std::int64_t kNear = 1024;
constexpr double kLn2High = 0x1.62e42feep-1;  // 32 bits, so that products with k < 2^11 are exact
constexpr double kLn2Low = 0x1.a39ef35793c76p-33;

constexpr double kInverse[] = {0,       1.0,     1.0 / 2, 1.0 / 3,  1.0 / 4,  1.0 / 5,  1.0 / 6,
                               1.0 / 7, 1.0 / 8, 1.0 / 9, 1.0 / 10, 1.0 / 11, 1.0 / 12, 1.0 / 13};

// e^-x for 0 <= x <= 700 to a part 2^-44. With k = round(x / ln 2) and r = x - k ln 2, |r| <= 0.35,
// the series to r^13 / 13! lacks less than 0.35^14 / 14! < 2^-57, and r is wrong by less than
// 2^-50.
double exp_minus(double x) {
  const double k = std::floor(x * 1.4426950408889634 + 0.5);
  const double r = (x - k * kLn2High) - k * kLn2Low;
  double sum = 1;
  for (int i = 13; i > 0; --i) sum = 1 - sum * r * kInverse[i];
  return std::ldexp(sum, -static_cast<int>(k));
}

// ln x for 2^-80 <= x <= 2^80, wrong by less than 2^-46: x = 2^k m, m in [sqrt(1/2), sqrt(2)], and
// ln m = 2 artanh(y), y = (m - 1) / (m + 1), |y| < 0.172, by its series to y^21 / 21.
double natural_log(double x) {
  int k = 0;
  double m = std::frexp(x, &k);
  if (m < 0.70710678118654752) {
    m *= 2;
    --k;
  }
  const double y = (m - 1) / (m + 1);
  double sum = 0;
  for (int i = 21; i > 0; i -= 2) sum = sum * y * y + 1.0 / i;
  return k * kLn2High + (k * kLn2Low + 2 * y * sum);
}

// (1 + t) ln(1 + t) - t = sum over j >= 0 of t^2 (-t)^j / ((j + 1) (j + 2)), |t| <= 1/8, to a part
// 2^-48: what is left out after j = 15 is below a part 2^-48 / 100.
double bend(double t) {
  double sum = 0;
  for (int j = 15; j >= 0; --j) sum = 1.0 / ((j + 1) * (j + 2)) - t * sum;
  return t * t * sum;
}

// ln(1 + t), |t| <= 2^-9, to a part 2^-50.
double log_near_one(double t) {
  double sum = 0;
  for (int j = 7; j > 0; --j) sum = 1.0 / j - t * sum;
  return t * sum;
}

// ln Gamma(z) = (z - 1/2) ln z - z + ln(2 pi)/2 + stirling(z), wrong by less than 1 / (1260 z^5).
double stirling(double z) { return (1 - 1 / (30 * z * z)) / (12 * z); }

Bounds around(double value) { return {value * (1 - kRelativeError), value * (1 + kRelativeError)}; }

// Of rho = e^-exponent.
Bounds from_exponent(double exponent) {
  if (exponent > kLargestExponent) return {0, kAboveTiny};
  return around(exp_minus(exponent < 0 ? 0 : exponent));
}

void check_rational(const char* name, const Rational& x, double least, double most) {
  constexpr std::uint64_t kLimit = std::uint64_t{1} << 62;
  if (x.numerator == 0 || x.denominator == 0 || x.numerator >= kLimit || x.denominator >= kLimit)
    throw std::invalid_argument(std::string(name) +
                                " must be a fraction of integers in [1, 2**62)");
  if (!(x.value() >= least && x.value() <= most))
    throw std::invalid_argument(std::string(name) + " must lie in [2**" +
                                std::to_string(std::ilogb(least)) + ", 2**" +
                                std::to_string(std::ilogb(most)) + "]");
}

// factor^exponent
Wide power(Wide factor, std::uint64_t exponent) {
  Wide result(factor.limbs(), 1);
  for (; exponent != 0; exponent >>= 1) {
    if ((exponent & 1) != 0) result.multiply(factor);
    factor.multiply(Wide(factor));
  }
  return result;
}

std::uint64_t magnitude(std::int64_t x) {
  return x < 0 ? std::uint64_t{0} - static_cast<std::uint64_t>(x) : static_cast<std::uint64_t>(x);
}

}  // namespace

void check_law(const Law& law) {
  const double most = law.kind == LawKind::gaussian ? 0x1p62 : 0x1p40;
  const char* const name = law.kind == LawKind::gaussian  ? "the variance"
                           : law.kind == LawKind::poisson ? "the mean"
                                                          : "the rate";
  const double least = law.kind == LawKind::polya ? 0x1p-24 : 0x1p-40;
  check_rational(name, law.scale, least, most);
  check_rational("the shape", law.shape, 0x1p-40, 1);
}

Density::Density(const Law& law) : law_(law), scale_(law.scale.value()), shape_(law.shape.value()) {
  check_law(law);
  if (law.kind == LawKind::poisson) {
    const Rational& s = law.scale;
    mode_ = static_cast<std::int64_t>(s.numerator / s.denominator);
    mode_fraction_ = Rational{s.numerator % s.denominator, s.denominator}.value();
    mode_bend_ = bend(-mode_fraction_ / scale_);
    mode_stirling_ = stirling(static_cast<double>(mode_));
  }
  fill_near();
}

// Step by step from the mode: at most 1024 steps, each wrong by at most 5 parts 2^-53.
void Density::fill_near() {
  const auto kind = law_.kind;
  if (kind == LawKind::gaussian || kind == LawKind::laplace) return;
  const std::int64_t below = mode_ < kNear ? mode_ : kNear;
  near_first_ = mode_ - below;
  near_.assign(static_cast<std::size_t>(below + kNear + 1), 1);
  const double step = kind == LawKind::polya ? exp_minus(scale_ < 600 ? scale_ : 600) : 0;
  for (std::int64_t i = below; i > 0; --i)
    near_[static_cast<std::size_t>(i - 1)] =
        near_[static_cast<std::size_t>(i)] * static_cast<double>(near_first_ + i) / scale_;
  for (std::int64_t i = below + 1; i <= below + kNear; ++i) {
    const auto x = static_cast<double>(near_first_ + i);
    const double ratio = kind == LawKind::poisson ? scale_ / x : step * ((shape_ + (x - 1)) / x);
    near_[static_cast<std::size_t>(i)] = near_[static_cast<std::size_t>(i - 1)] * ratio;
  }
}

// By Stirling's formula, with bend() for the large terms (after Loader 2000, "Fast and Accurate
// Computation of Binomial Probabilities"):
//   -ln rho(x) = s (h(t_x) - h(t_m)) + ln(x / m) / 2 + stirling(x) - stirling(m), t_x = x / s - 1
// x - s is exact but for its fraction, so terms up to 600 are wrong by less than 2^-38 in all.
double Density::poisson_exponent(std::int64_t x) const {
  const double steps = static_cast<double>(x - mode_);
  const double far = bend((steps - mode_fraction_) / scale_);
  const auto to = static_cast<double>(x);
  const double ratio = to / static_cast<double>(mode_);
  return scale_ * (far - mode_bend_) + natural_log(ratio) / 2 + (stirling(to) - mode_stirling_);
}

// For x above the last of near_, by Stirling's formula for Gamma(x + r) / Gamma(x + 1), relative to
// a = that last one:
//   ln of it = (x + 1/2) ln(1 - (1-r)/(x+1)) + (r - 1) ln(x + r) + stirling(x+r) - stirling(x+1) +
//   c
// Terms up to 600 are wrong by less than 2^-39 in all.
double Density::polya_exponent(std::int64_t x) const {
  const double rest = 1 - shape_;
  const auto part = [&](double k) {
    return (k + 0.5) * log_near_one(-rest / (k + 1)) + (stirling(k + shape_) - stirling(k + 1));
  };
  const auto to = static_cast<double>(x);
  const auto from = static_cast<double>(kNear);
  return scale_ * (to - from) + rest * natural_log((to + shape_) / (from + shape_)) -
         (part(to) - part(from));
}

Bounds Density::bounds(std::int64_t x) const {
  if (!in_support(x)) return {0, 0};
  const auto size = static_cast<double>(magnitude(x));
  if (law_.kind == LawKind::gaussian) return from_exponent(size * size / (2 * scale_));
  if (law_.kind == LawKind::laplace) return from_exponent(size * scale_);
  const std::int64_t i = x - near_first_;
  if (i >= 0 && i < static_cast<std::int64_t>(near_.size())) {
    const double value = near_[static_cast<std::size_t>(i)];
    return value > kAboveTiny ? around(value) : Bounds{0, 2 * kAboveTiny};
  }
  if (law_.kind == LawKind::polya) {
    if (near_.back() < kAboveTiny) return {0, 2 * kAboveTiny};
    const Bounds ratio = from_exponent(polya_exponent(x));
    return {ratio.low * near_.back() * (1 - 0x1p-38), ratio.high * near_.back() * (1 + 0x1p-38)};
  }
  // Beyond 1/8 of the mean, 8 standard deviations or more: no more than at the edge, which is
  // known.
  const bool above = x > mode_;
  const auto edge = static_cast<std::int64_t>(scale_ * (above ? 1.125 : 0.875));
  const bool series = scale_ >= 4096;
  if (series && (above ? x < edge : x > edge)) return from_exponent(poisson_exponent(x));
  if (series) return {0, from_exponent(poisson_exponent(above ? edge - 1 : edge + 1)).high};
  const double value = above ? near_.back() : near_.front();
  return {0, value > kAboveTiny ? around(value).high : 2 * kAboveTiny};
}

Quotient Density::exact(std::int64_t x, std::size_t limbs) const {
  Quotient q{Wide(limbs, 1), Wide(limbs, 1)};
  const Rational& s = law_.scale;
  const std::uint64_t size = magnitude(x);
  if (law_.kind == LawKind::poisson) {
    const bool above = x > mode_;
    const std::uint64_t steps = magnitude(x - mode_);
    Wide& scaled = above ? q.numerator : q.denominator;   // s^steps
    Wide& product = above ? q.denominator : q.numerator;  // of the integers between x and m
    for (std::int64_t i = above ? mode_ + 1 : x + 1; i <= (above ? x : mode_); ++i)
      product.multiply(static_cast<std::uint64_t>(i));
    scaled.multiply(power(Wide(limbs, s.numerator), steps));
    product.multiply(power(Wide(limbs, s.denominator), steps));
    return q;
  }
  if (law_.kind == LawKind::polya) {
    for (std::uint64_t i = 0; i < size; ++i) {  // (r + i) / (1 + i)
      Wide term(limbs, law_.shape.denominator);
      if (i != 0) {
        term.multiply(i);
        term.add(Wide(limbs, law_.shape.numerator));
      } else {
        term = Wide(limbs, law_.shape.numerator);
      }
      q.numerator.multiply(term);
      q.denominator.multiply(i + 1);
    }
    q.denominator.multiply(power(Wide(limbs, law_.shape.denominator), size));
  }
  if (size == 0) return q;
  Wide exponent(limbs, size);
  if (law_.kind == LawKind::gaussian) exponent.multiply(size);
  const bool inverse = law_.kind == LawKind::gaussian;  // x^2 / (2 s), not x s
  exponent.multiply(inverse ? s.denominator : s.numerator);
  exponent.divide(inverse ? s.numerator : s.denominator);
  if (inverse) exponent.scale(-1);
  if (exponent.magnitude() > kLargestMagnitude)
    exponent = Wide(limbs, std::uint64_t{1} << (kLargestMagnitude - 1));
  q.denominator.multiply(exponential(exponent));
  return q;
}

// From basic operations only, since tables must come out alike on all machines.
double Density::rough_total() const {
  constexpr double kTwoPi = 6.283185307179586;
  const double from_one = scale_ < 0x1p-10 ? scale_ : 1 - exp_minus(std::min(scale_, 600.0));
  switch (law_.kind) {
    case LawKind::gaussian:
      return std::max(1.0, std::sqrt(kTwoPi * scale_));
    case LawKind::poisson:
      if (scale_ < 1) return 1 / exp_minus(scale_);
      return std::sqrt(kTwoPi * scale_) * (1 + 1 / (12 * scale_));
    case LawKind::laplace:
      return 2 / from_one - 1;
    case LawKind::polya:
      return 1 / exp_minus(-shape_ * natural_log(from_one));
  }
  throw std::logic_error("no such law");
}

// By what rho falls over w steps from x outward, at least:
//   gaussian e^-((2 |x| w + w^2) / (2 s)), growing outward; laplace and polya (e^-s)^w; poisson
//   (s / (x + 1))^w upward and (x / s)^w downward, both growing outward.
// 0.6932 is above ln 2 by more than the errors, as long as w <= 2^36 for poisson.
bool Density::halves(std::int64_t x, std::int64_t width) const {
  constexpr double kEnough = 0.6932;
  const auto steps = static_cast<double>(width);
  if (law_.kind == LawKind::gaussian)
    return (2 * static_cast<double>(magnitude(x)) + steps) * steps / (2 * scale_) >= kEnough;
  if (law_.kind != LawKind::poisson) return steps * scale_ >= kEnough;
  if (width > std::int64_t{1} << 36) return false;
  if (x == 0 && mode_ > 0) return true;  // downward there is nothing more
  const auto at = static_cast<double>(x);
  const double fall = x < mode_ ? scale_ / at : (at + 1) / scale_;
  return steps * natural_log(fall) >= kEnough;
}

}  // namespace fedsecure
