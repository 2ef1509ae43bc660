// Paillier's secret key: decryption, and encryption by who has it, modulo p^2 and q^2 instead of
// n^2 (Chinese remainders; section 7 of the paper). Constant time in p, q and all that is made of
// them.
#pragma once

#include "paillier.hpp"

namespace fedsecure {

// One of the two primes, with what is needed of the other.
struct PrimeHalf {
  PrimeHalf(const Kernels& kernels, span<const std::uint8_t> prime,
            span<const std::uint8_t> other_prime);

  Modulus modulus;
  SecretArray<std::uint8_t> minus_one;  // p - 1, in bytes
  // Factors to enter with, pairs shared by the lanes. q is the other prime.
  Words logarithm;   // -q^-1 R^2 modulo p (the upper half is zero)
  Words difference;  // -q^-2 R^2, -q^-1 R^2 modulo p (the upper halves do not matter)
  Words message;     // q R^2, q R^3 modulo p (the upper halves are zero)
  Words combine;     // q^-2 R^2, q^-2 R^3 modulo p^2, then minus these

  std::size_t words() const { return modulus.words(); }

 private:
  void invert(const std::uint64_t* other);
};

class PaillierSecretBase;

class PaillierSecret {
 public:
  // Primes of the same size, different, with their top bits set, n = p * q with its top bit set.
  PaillierSecret(span<const std::uint8_t> p, span<const std::uint8_t> q);

  std::size_t key_bytes() const { return n_.size(); }
  std::size_t row_bytes() const { return 2 * n_.size(); }
  const PrimeHalf& p() const { return p_; }
  const PrimeHalf& q() const { return q_; }
  span<const std::uint8_t> n() const { return {n_.data(), n_.size()}; }
  span<const std::uint8_t> n_square() const { return {n_square_.data(), n_square_.size()}; }

  // Throws if a ciphertext has no inverse; out is then zeroed.
  void decrypt(Rows rows, RowsOut out, unsigned threads) const;

  // What PaillierPublic::encrypt gives.
  void encrypt(Rows plaintexts, const PaillierSecretBase* base, const Randomness& randomness,
               RowsOut out, unsigned threads) const;

 private:
  struct Scratch;

  void half_message(const PrimeHalf& half, const std::uint64_t* factor,
                    const std::uint64_t* message, Scratch& scratch, std::uint64_t* out) const;
  void encrypt_batch(const std::uint64_t* p_factor, const std::uint64_t* q_factor,
                     const std::uint8_t* plaintexts, std::size_t count, Scratch& scratch,
                     std::uint8_t* rows) const;
  std::uint64_t decrypt_batch(const std::uint8_t* rows, std::size_t count, Scratch& scratch,
                              std::uint8_t* plaintexts) const;
  std::uint64_t take_logarithm(const PrimeHalf& half, Scratch& scratch, std::uint64_t* out) const;
  void make_factors(const PrimeHalf& half, const Comb* comb, span<const std::uint8_t> drawn,
                    std::size_t bytes, std::uint64_t* out) const;

  PrimeHalf p_;
  PrimeHalf q_;
  Words p_square_;
  kernels::Modulus square_;  // p^2
  std::vector<std::uint8_t> n_;
  std::vector<std::uint8_t> n_square_;
};

// Powers of one base modulo p^2 and q^2.
class PaillierSecretBase {
 public:
  PaillierSecretBase(std::shared_ptr<const PaillierSecret> secret, span<const std::uint8_t> value,
                     std::size_t bits, unsigned threads);

  const PaillierSecret& secret() const { return *secret_; }
  const Comb& p() const { return *p_; }
  const Comb& q() const { return *q_; }

 private:
  std::shared_ptr<const PaillierSecret> secret_;
  std::unique_ptr<Comb> p_;
  std::unique_ptr<Comb> q_;
};

}  // namespace fedsecure
