#include "wide.hpp"

#include <algorithm>
#include <stdexcept>

#include "secret.hpp"

namespace fedsecure {
namespace {

constexpr std::uint64_t kMaxRoundings = std::uint64_t{1} << 40;
constexpr std::size_t kScratch = 2 * kMaxLimbs + 2;

// 32 bits of an integer from bit `position` on; bits outside it are zero.
std::uint32_t bits_at(const std::uint32_t* integer, std::size_t size, std::int64_t position) {
  std::uint32_t bits = 0;
  const std::int64_t last = 32 * static_cast<std::int64_t>(size);
  for (std::int64_t part = 0; part < 2; ++part) {
    const std::int64_t shift = ((position % 32) + 32) % 32;
    const std::int64_t at = position - shift + 32 * part;
    if (at < 0 || at >= last || (part == 1 && shift == 0)) continue;
    const std::uint32_t limb = integer[at / 32];
    bits |= part == 0 ? limb >> shift : limb << (32 - shift);
  }
  return bits;
}

}  // namespace

Wide::Wide(std::size_t limbs, std::uint64_t value) : size_(limbs) {
  Secret<std::uint32_t[2]> integer;
  (*integer)[0] = static_cast<std::uint32_t>(value);
  (*integer)[1] = static_cast<std::uint32_t>(value >> 32);
  assign(*integer, 2, 0);
}

Wide::Wide(std::size_t limbs, const std::uint32_t* integer, std::size_t size) : size_(limbs) {
  assign(integer, size, 0);
}

Wide::~Wide() { wipe(limbs_, sizeof limbs_); }

// The integer times 2^exponent, rounded down to what fits.
void Wide::assign(const std::uint32_t* integer, std::size_t size, std::int64_t exponent) {
  while (size > 0 && integer[size - 1] == 0) --size;
  if (size == 0) throw std::logic_error("a Wide is positive");
  std::int64_t top = 32 * static_cast<std::int64_t>(size);
  while ((integer[size - 1] >> ((top - 1) % 32) & 1) == 0) --top;
  const std::int64_t from = top - 32 * static_cast<std::int64_t>(size_);
  for (std::size_t i = 0; i < size_; ++i)
    limbs_[i] = bits_at(integer, size, from + 32 * static_cast<std::int64_t>(i));
  exponent_ = exponent + from;
  if (from > 0) ++roundings_;
  if (roundings_ > kMaxRoundings) throw std::logic_error("too many roundings");
}

void Wide::multiply(std::uint64_t factor) { multiply(Wide(size_, factor)); }

void Wide::multiply(const Wide& factor) {
  Secret<std::uint32_t[kScratch]> product;
  for (std::size_t i = 0; i < factor.size_; ++i) {
    const std::uint64_t times = factor.limbs_[i];
    if (times == 0) continue;  // short factors have few limbs
    std::uint64_t carry = 0;
    for (std::size_t j = 0; j < size_; ++j) {
      carry += times * limbs_[j] + (*product)[i + j];
      (*product)[i + j] = static_cast<std::uint32_t>(carry);
      carry >>= 32;
    }
    (*product)[i + size_] = static_cast<std::uint32_t>(carry);
  }
  roundings_ += factor.roundings_;
  assign(*product, factor.size_ + size_, exponent_ + factor.exponent_);
}

// Bit by bit: the remainder stays below the divisor, and twice that in 64 bits.
void Wide::divide(std::uint64_t divisor) {
  Secret<std::uint32_t[kScratch]> quotient;
  const std::size_t size = size_ + 2;
  std::uint64_t remainder = 0;
  for (std::size_t i = 32 * size; i-- > 0;) {
    const std::size_t limb = i / 32;
    const std::uint32_t bit = limb < 2 ? 0 : limbs_[limb - 2] >> (i % 32) & 1;
    remainder = 2 * remainder + bit;
    if (remainder < divisor) continue;
    remainder -= divisor;
    (*quotient)[limb] |= std::uint32_t{1} << (i % 32);
  }
  ++roundings_;
  assign(*quotient, size, exponent_ - 64);
}

void Wide::add(const Wide& term) {
  const bool first = exponent_ >= term.exponent_;
  const Wide& high = first ? *this : term;
  const Wide& low = first ? term : *this;
  const std::int64_t exponent = low.exponent_;
  const std::int64_t shift = high.exponent_ - exponent;
  const std::uint64_t roundings = std::max(roundings_, term.roundings_) + 1;
  const auto bits = 32 * static_cast<std::int64_t>(size_);
  if (shift > bits) {  // less than one unit of the last bit
    if (!first) *this = term;
  } else {
    Secret<std::uint32_t[kScratch]> sum;
    const std::size_t size = 2 * size_ + 1;
    std::uint64_t carry = 0;
    for (std::size_t i = 0; i < size; ++i) {
      const std::int64_t position = 32 * static_cast<std::int64_t>(i) - shift;
      carry += bits_at(high.limbs_, size_, position);
      if (i < size_) carry += low.limbs_[i];
      (*sum)[i] = static_cast<std::uint32_t>(carry);
      carry >>= 32;
    }
    assign(*sum, size, exponent);
  }
  roundings_ = roundings;
}

std::int64_t Wide::magnitude() const { return exponent_ + 32 * static_cast<std::int64_t>(size_); }

Wide Wide::upper() const {
  Wide margin(*this);
  margin.multiply(roundings_ + 4);
  margin.scale(2 - 32 * static_cast<std::int64_t>(size_));
  margin.add(*this);
  return margin;
}

bool Wide::value_at_most(const Wide& other) const {
  if (magnitude() != other.magnitude()) return magnitude() < other.magnitude();
  for (std::size_t i = size_; i-- > 0;)
    if (limbs_[i] != other.limbs_[i]) return limbs_[i] < other.limbs_[i];
  return true;
}

// The series at y = x 2^-j < 1, squared j times. Once a term is below 2^-(32 L + 1), so is the sum
// of those after it, and the sum is above 1.
Wide exponential(const Wide& x) {
  Wide y(x);
  const std::int64_t halvings = std::max<std::int64_t>(0, x.magnitude());
  y.scale(-halvings);
  const std::size_t limbs = y.limbs();
  Wide sum(limbs, 1);
  Wide term(limbs, 1);
  const auto least = -32 * static_cast<std::int64_t>(limbs) - 2;
  for (std::uint64_t i = 1; term.magnitude() > least; ++i) {
    term.multiply(y);
    term.divide(i);
    sum.add(term);
  }
  sum.truncated();
  for (std::int64_t i = 0; i < halvings; ++i) sum.multiply(Wide(sum));
  return sum;
}

}  // namespace fedsecure
