#include "montgomery.hpp"

#include <algorithm>
#include <cstring>

namespace fedsecure {
namespace {

constexpr unsigned kMaxWidth = 6;

std::uint64_t mask_of(unsigned bits) { return ~std::uint64_t{0} >> (64 - bits); }

// x = 2x + carry, in words of `radix` bits; gives the bit that falls out.
std::uint64_t double_number(std::uint64_t* x, std::size_t words, unsigned radix,
                            std::uint64_t carry) {
  for (std::size_t i = 0; i < words; ++i) {
    const std::uint64_t top = x[i] >> (radix - 1);
    x[i] = (x[i] << 1 | carry) & mask_of(radix);
    carry = top;
  }
  return carry;
}

// Subtracts n from (top, x) unless it is larger; says whether.
std::uint64_t subtract_once(std::uint64_t* x, std::uint64_t top, const std::uint64_t* n,
                            std::size_t words, unsigned radix) {
  std::uint64_t borrow = 0;
  for (std::size_t i = 0; i < words; ++i) {
    const std::uint64_t partial = x[i] - n[i];
    borrow = (x[i] < n[i]) | (partial < borrow);
  }
  const std::uint64_t take = top | (borrow ^ 1);
  const std::uint64_t mask = std::uint64_t{0} - take;
  borrow = 0;
  for (std::size_t i = 0; i < words; ++i) {
    const std::uint64_t other = n[i] & mask;
    const std::uint64_t partial = x[i] - other;
    const std::uint64_t next = (x[i] < other) | (partial < borrow);
    x[i] = (partial - borrow) & mask_of(radix);
    borrow = next;
  }
  return take;
}

// An exact pair, doubled modulo N^2.
void double_pair(std::uint64_t* pair, const kernels::Modulus& m, unsigned radix) {
  const std::size_t h = m.words;
  const std::uint64_t top = double_number(pair, h, radix, 0);
  const std::uint64_t wrapped = subtract_once(pair, top, m.n, h, radix);
  const std::uint64_t rest = double_number(pair + h, h, radix, wrapped);
  subtract_once(pair + h, rest, m.n, h, radix);
}

}  // namespace

Words::Words(std::size_t size)
    : array_(size + kSlack),
      skip_((64 - reinterpret_cast<std::uintptr_t>(array_.data()) % 64) % 64 / 8) {}

std::uint64_t montgomery_inverse(std::uint64_t n, unsigned radix) {
  std::uint64_t inverse = n;  // right in the lowest 3 bits; each step doubles that
  for (int i = 0; i < 5; ++i) inverse *= 2 - n * inverse;
  return (0 - inverse) & mask_of(radix);
}

Modulus::Modulus(const Kernels& kernels, span<const std::uint8_t> n)
    : tier_(kernels),
      n_(tier_.montgomery->words(static_cast<unsigned>(8 * n.size()))),
      view_{static_cast<unsigned>(n_.size()), 0, n_.data()},
      powers_(5 * 2 * n_.size()) {
  const StackWiper wiper;
  Words batch(number());
  this->kernels().load(n.data(), n.size(), n.size(), 1, view_.words, batch.data());
  gather(batch.data(), words(), n_.data());
  view_.inverse = montgomery_inverse(n_[0], this->kernels().radix);
  make_powers(8 * n.size());
}

// R by doubling 2^(bits - 1), which is below N; R^2 = R * 2^e, where e = radix * words, by doubling
// on and then squaring, which doubles the exponent of that 2; the others as products.
void Modulus::make_powers(std::size_t bits) {
  const unsigned radix = kernels().radix;
  const std::size_t exponent = radix * words();
  std::size_t odd = exponent;
  while (odd % 2 == 0) odd /= 2;
  Words shared(2 * words());
  shared[(bits - 1) / radix] = std::uint64_t{1} << (bits - 1) % radix;
  for (std::size_t i = bits - 1; i < exponent; ++i) double_pair(shared.data(), view_, radix);
  std::memcpy(powers_.data(), shared.data(), 2 * words() * sizeof(std::uint64_t));
  for (std::size_t i = 0; i < odd; ++i) double_pair(shared.data(), view_, radix);
  Words second(pair());  // R^2
  spread(shared.data(), 2 * words(), second.data());
  for (std::size_t i = odd; i < exponent; i *= 2) square(second.data(), second.data());
  Words next(pair());
  Words exact(pair());
  std::memcpy(next.data(), second.data(), pair() * sizeof(std::uint64_t));
  for (unsigned k = 2; k <= 5; ++k) {
    mul(next.data(), second.data(), next.data());  // R^(k+1)
    kernels().leave(view_, next.data(), nullptr, exact.data());
    gather(exact.data(), 2 * words(), powers_.data() + (k - 1) * 2 * words());
  }
}

void Modulus::spread(const std::uint64_t* shared, std::size_t count, std::uint64_t* batch) const {
  for (std::size_t i = 0; i < count; ++i) std::fill_n(batch + i * lanes(), lanes(), shared[i]);
}

void Modulus::gather(const std::uint64_t* batch, std::size_t count, std::uint64_t* shared) const {
  for (std::size_t i = 0; i < count; ++i) shared[i] = batch[i * lanes()];
}

std::uint64_t bits_at(span<const std::uint8_t> number, std::size_t position, unsigned width) {
  const std::size_t first = position / 8;
  std::uint64_t word = 0;
  for (std::size_t i = 0; i < 2 && first + i < number.size(); ++i)
    word |= std::uint64_t{number[first + i]} << (8 * i);
  return word >> position % 8 & mask_of(width);
}

// The width with the least work, in products: those that make the table, then for each window one,
// and the scan of the table, which takes about a product for 64 entries.
static unsigned best_width(std::size_t bits) {
  unsigned best = 1;
  const auto cost = [&](unsigned width) {
    const std::size_t entries = std::size_t{1} << width;
    return 64 * entries + (bits + width - 1) / width * (64 + entries);
  };
  for (unsigned width = 2; width <= kMaxWidth; ++width)
    if (cost(width) < cost(best)) best = width;
  return best;
}

Power::Power(const Modulus& modulus, std::size_t exponent_bytes)
    : modulus_(modulus),
      exponent_bytes_(exponent_bytes),
      width_(best_width(8 * exponent_bytes)),
      table_(modulus.pair() << width_),
      entry_(modulus.pair()),
      index_(modulus.lanes()) {}

void Power::fill_table(const std::uint64_t* x) {
  const std::size_t pair = modulus_.pair();
  std::uint64_t* const table = table_.data();
  modulus_.spread(modulus_.powers_of_r(1), 2 * modulus_.words(), table);
  std::memcpy(table + pair, x, pair * sizeof(std::uint64_t));
  for (std::size_t e = 2; e < std::size_t{1} << width_; ++e) {
    if (e % 2 == 0)
      modulus_.square(table + e / 2 * pair, table + e * pair);
    else
      modulus_.mul(table + (e - 1) * pair, table + pair, table + e * pair);
  }
}

// look(position) gives the entry of every lane for the window of the exponents from that bit on.
template <typename Look>
void Power::climb(const Look& look, std::uint64_t* out) {
  const std::size_t windows = (8 * exponent_bytes_ + width_ - 1) / width_;
  for (std::size_t i = windows; i-- > 0;) {
    if (i + 1 < windows)
      for (unsigned j = 0; j < width_; ++j) modulus_.square(out, out);
    const std::uint64_t* const entry = look(i * width_);
    if (i + 1 < windows)
      modulus_.mul(out, entry, out);
    else
      std::memcpy(out, entry, modulus_.pair() * sizeof(std::uint64_t));
  }
  if (windows == 0) modulus_.spread(modulus_.powers_of_r(1), 2 * modulus_.words(), out);
}

void Power::shared(const std::uint64_t* x, span<const std::uint8_t> exponent, bool is_public,
                   std::uint64_t* out) {
  fill_table(x);
  const std::size_t pair = modulus_.pair();
  const auto words = static_cast<unsigned>(2 * modulus_.words());
  climb(
      [&](std::size_t position) -> const std::uint64_t* {
        const std::uint64_t digit = bits_at(exponent, position, width_);
        if (is_public) return table_.data() + digit * pair;
        std::fill_n(index_.data(), modulus_.lanes(), digit);
        modulus_.kernels().pick(table_.data(), 1u << width_, words, index_.data(), entry_.data());
        return entry_.data();
      },
      out);
}

void Power::each(const std::uint64_t* x, span<const std::uint8_t> exponents, std::size_t count,
                 std::uint64_t* out) {
  fill_table(x);
  const auto words = static_cast<unsigned>(2 * modulus_.words());
  climb(
      [&](std::size_t position) -> const std::uint64_t* {
        for (std::size_t lane = 0; lane < count; ++lane)
          index_[lane] =
              bits_at(exponents.subspan(lane * exponent_bytes_, exponent_bytes_), position, width_);
        modulus_.kernels().pick(table_.data(), 1u << width_, words, index_.data(), entry_.data());
        return entry_.data();
      },
      out);
}

}  // namespace fedsecure
