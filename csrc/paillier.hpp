// Paillier's cryptosystem (P. Paillier, "Public-key cryptosystems based on composite degree
// residuosity classes", EUROCRYPT 1999) with g = 1 + n, on many numbers at a time.
//
// Numbers are little-endian bytes in rows: plaintexts below n of key_bytes, ciphertexts below n^2
// of twice as many. Functions throw std::invalid_argument for sizes and values that are wrong,
// before anything is done. Constant time in plaintexts, exponents and randomness; ciphertexts and n
// are public.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "comb.hpp"
#include "montgomery.hpp"
#include "prg.hpp"
#include "span.hpp"

namespace fedsecure {

using Rows = span<const std::uint8_t>;
using RowsOut = span<std::uint8_t>;

// Where the randomness of encryptions comes from: for number i of a call, exponent first + i of the
// keystream of an AES-256 seed. An exponent is as long as the base's; without a base, it is a
// number of key_bytes + 16 bytes that is raised to n.
struct Randomness {
  const std::uint8_t* seed;
  std::uint64_t first;
};

// n and what is derived from it; shared by everything made for it.
struct PublicModulus {
  PublicModulus(const Kernels& kernels, span<const std::uint8_t> n);

  Modulus pairs;           // n, for pairs modulo n^2
  Words square;            // n^2
  kernels::Modulus plain;  // n^2, for plain numbers
  Words repair;  // (R^2)^2 modulo n^2, a plain batch, R^2 being what a plain product loses
  std::vector<std::uint8_t> n_bytes;
  std::vector<std::uint8_t> square_bytes;

  std::size_t key_bytes() const { return n_bytes.size(); }
  std::size_t row_bytes() const { return square_bytes.size(); }
  std::size_t number() const { return pairs.pair(); }  // words of a batch of plain numbers

  void load(const std::uint8_t* rows, std::size_t count, std::uint64_t* out) const;
  void store(const std::uint64_t* x, std::size_t count, std::uint8_t* rows) const;
  void mul_plain(const std::uint64_t* x, const std::uint64_t* y, std::uint64_t* out) const;

  // A number as a pair in Montgomery form, and back: out of it times 1 + t*n (t may be null).
  void enter(const std::uint8_t* rows, std::size_t count, std::uint64_t* pair) const;
  void leave(const std::uint64_t* pair, const std::uint64_t* t, std::size_t count,
             std::uint8_t* rows) const;

  void check(Rows rows) const;  // throws unless all are below n^2
};

// Powers of one base modulo n^2.
class PaillierBase {
 public:
  PaillierBase(std::shared_ptr<const PublicModulus> modulus, span<const std::uint8_t> value,
               std::size_t bits, unsigned threads);

  const PublicModulus& modulus() const { return *modulus_; }
  const Comb& comb() const { return *comb_; }

 private:
  std::shared_ptr<const PublicModulus> modulus_;
  std::unique_ptr<Comb> comb_;
};

class PaillierPublic {
 public:
  explicit PaillierPublic(span<const std::uint8_t> n);

  const std::shared_ptr<const PublicModulus>& modulus() const { return modulus_; }
  std::size_t key_bytes() const { return modulus_->key_bytes(); }
  std::size_t row_bytes() const { return modulus_->row_bytes(); }

  // (1 + m * n) * r modulo n^2; without a base, r is a number to the power of n.
  void encrypt(Rows plaintexts, const PaillierBase* base, const Randomness& randomness, RowsOut out,
               unsigned threads) const;
  // c * r.
  void randomize(Rows rows, const PaillierBase* base, const Randomness& randomness, RowsOut out,
                 unsigned threads) const;
  // Constant time in the exponents.
  void power(Rows rows, span<const std::uint8_t> exponent, RowsOut out, unsigned threads) const;
  void power_each(Rows rows, span<const std::uint8_t> exponents, RowsOut out,
                  unsigned threads) const;
  void multiply(Rows a, Rows b, RowsOut out, unsigned threads) const;
  // The product of vectors[j] to the weights[j], which are public and decide how long it takes.
  void weighted_product(const std::vector<Rows>& vectors, const std::vector<std::uint64_t>& weights,
                        RowsOut out, unsigned threads) const;
  // Whether all lie in [1, n^2).
  bool below(Rows rows) const;

 private:
  std::shared_ptr<const PublicModulus> modulus_;
};

// A vector of products, starting at 1.
class PaillierProduct {
 public:
  PaillierProduct(std::shared_ptr<const PublicModulus> modulus, std::size_t count);
  PaillierProduct(const PaillierProduct& other);
  PaillierProduct& operator=(const PaillierProduct&) = delete;

  std::size_t size() const { return count_; }
  std::size_t row_bytes() const { return modulus_->row_bytes(); }

  // Elements from `first` on, times these rows.
  void multiply(Rows rows, std::size_t first, unsigned threads);
  void rows(RowsOut out, unsigned threads) const;

 private:
  void multiply_batch(std::size_t batch, Rows rows, std::size_t first, Words& x);

  std::shared_ptr<const PublicModulus> modulus_;
  std::size_t count_;
  Words numbers_;
  // What was multiplied: batch i is short of R^2 to the debts_[i] - 1; 0 where it is still 1.
  std::vector<std::uint64_t> debts_;
};

// Whether a is below b, both little-endian of the same size. Constant time.
bool is_below(const std::uint8_t* a, span<const std::uint8_t> b);

// Throws unless all plaintexts are below n. Constant time but for the verdict.
void check_plaintexts(Rows plaintexts, span<const std::uint8_t> n);

// Throws unless all rows are below n^2, the value of a base is a row, and so on.
void check_rows(Rows rows, span<const std::uint8_t> n_square);
void check_base(span<const std::uint8_t> value, std::size_t row_bytes, std::size_t bits);

// Exponents [first, first + out.size() / bytes) of `bytes` bytes each.
void draw_exponents(const PrgKeys& keys, std::uint64_t first, std::size_t bytes,
                    span<std::uint8_t> out);
// Throws where the keystream has no so many.
void check_randomness(const Randomness& randomness, std::size_t count, std::size_t bytes);

}  // namespace fedsecure
