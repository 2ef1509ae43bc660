// A modulus for the kernels of modular arithmetic (kernels/montgomery.hpp), and powers modulo its
// square.
//
// A batch is as many numbers as the kernels take at a time; "number" and "pair" are the words of
// one batch of them.
#pragma once

#include <cstdint>
#include <memory>

#include "dispatch.hpp"
#include "kernels/montgomery.hpp"
#include "secret.hpp"
#include "span.hpp"

namespace fedsecure {

using kernels::MontgomeryKernels;

// Words that begin where a cache line does, zeroed when made and wiped when they die.
class Words {
 public:
  explicit Words(std::size_t size);

  std::size_t size() const { return array_.size() - kSlack; }
  std::uint64_t* data() { return array_.data() + skip_; }
  const std::uint64_t* data() const { return array_.data() + skip_; }
  std::uint64_t& operator[](std::size_t i) { return array_[skip_ + i]; }
  std::uint64_t operator[](std::size_t i) const { return array_.data()[skip_ + i]; }

 private:
  static constexpr std::size_t kSlack = 8;

  SecretArray<std::uint64_t> array_;
  std::size_t skip_;
};

class Modulus {
 public:
  // n: an odd number of 128, 192, 256, 384 or 512 bytes, little-endian, its top bit set. Constant
  // time in it.
  Modulus(const Kernels& kernels, span<const std::uint8_t> n);

  const Kernels& tier() const { return tier_; }
  const MontgomeryKernels& kernels() const { return *tier_.montgomery; }
  const kernels::Modulus& view() const { return view_; }
  std::size_t words() const { return view_.words; }
  std::size_t lanes() const { return kernels().lanes; }
  std::size_t number() const { return words() * lanes(); }
  std::size_t pair() const { return 2 * number(); }

  // R^k modulo N^2, 1 <= k <= 5, as exact pairs shared by the lanes, one after the other: factors
  // to enter numbers of several parts.
  const std::uint64_t* powers_of_r(unsigned k) const {
    return powers_.data() + (k - 1) * 2 * words();
  }
  const std::uint64_t* entering() const { return powers_of_r(2); }

  // Numbers shared by the lanes, to a batch.
  void spread(const std::uint64_t* shared, std::size_t count, std::uint64_t* batch) const;
  // The first lane's.
  void gather(const std::uint64_t* batch, std::size_t count, std::uint64_t* shared) const;

  void mul(const std::uint64_t* x, const std::uint64_t* y, std::uint64_t* out) const {
    kernels().mul(view_, x, y, out);
  }
  void square(const std::uint64_t* x, std::uint64_t* out) const { kernels().square(view_, x, out); }

 private:
  void make_powers(std::size_t bits);

  const Kernels& tier_;
  Words n_;
  kernels::Modulus view_;
  Words powers_;
};

// -n^-1 modulo 2^radix, for odd n.
std::uint64_t montgomery_inverse(std::uint64_t n, unsigned radix);

// Bits [position, position + width) of a little-endian number, zero beyond its end; width <= 8.
std::uint64_t bits_at(span<const std::uint8_t> number, std::size_t position, unsigned width);

// Raises pairs to powers: fixed windows from the top, each entry of the table looked up.
class Power {
 public:
  // For exponents of so many bytes.
  Power(const Modulus& modulus, std::size_t exponent_bytes);

  // out = x to the exponent, in Montgomery form as x. Constant time in both; `is_public` exponents
  // save the scanning of the table.
  void shared(const std::uint64_t* x, span<const std::uint8_t> exponent, bool is_public,
              std::uint64_t* out);

  // The same with an exponent for every lane, one after the other; `count` of them.
  void each(const std::uint64_t* x, span<const std::uint8_t> exponents, std::size_t count,
            std::uint64_t* out);

 private:
  void fill_table(const std::uint64_t* x);
  template <typename Look>
  void climb(const Look& look, std::uint64_t* out);

  const Modulus& modulus_;
  std::size_t exponent_bytes_;
  unsigned width_;
  Words table_;
  Words entry_;
  Words index_;
};

}  // namespace fedsecure
