#include "paillier_secret.hpp"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <stdexcept>
#include <string>

#include "parallel.hpp"

namespace fedsecure {
namespace {

// A number of lanes * words, or more of them one after the other, from rows.
void load(const Modulus& m, const std::uint8_t* rows, std::size_t bytes, std::size_t count,
          std::size_t words, std::uint64_t* out) {
  m.kernels().load(rows, bytes, bytes, count, static_cast<unsigned>(words), out);
}

void enter(const Modulus& m, const std::uint64_t* x, unsigned parts, const std::uint64_t* factors,
           std::uint64_t* out) {
  m.kernels().enter(m.view(), x, parts, factors, out);
}

void leave(const Modulus& m, const std::uint64_t* x, const std::uint64_t* t, std::uint64_t* out) {
  m.kernels().leave(m.view(), x, t, out);
}

void mul_shared(const Modulus& m, const Words& x, unsigned power_of_r, Words& out) {
  Words factor(m.pair());
  m.spread(m.powers_of_r(power_of_r), 2 * m.words(), factor.data());
  m.mul(x.data(), factor.data(), out.data());
}

// x out of Montgomery form, exact, to the lanes' shared form.
void leave_shared(const Modulus& m, const Words& x, std::uint64_t* out) {
  Words exact(m.pair());
  leave(m, x.data(), nullptr, exact.data());
  m.gather(exact.data(), 2 * m.words(), out);
}

// -x modulo n for x below it, or 0.
void negate(const Modulus& m, const std::uint64_t* x, std::uint64_t less, std::uint64_t* out) {
  const unsigned radix = m.kernels().radix;
  std::uint64_t borrow = less;
  std::uint64_t any = 0;
  for (std::size_t i = 0; i < m.words(); ++i) any |= x[i];
  const std::uint64_t mask = 0 - ((any | (0 - any) | (0 - less)) >> 63);
  for (std::size_t i = 0; i < m.words(); ++i) {
    const std::uint64_t n = m.view().n[i];
    const std::uint64_t partial = n - x[i];
    const std::uint64_t first = n < x[i];
    out[i] = ((partial - borrow) & (~std::uint64_t{0} >> (64 - radix))) & mask;
    borrow = first | (partial < borrow);
  }
}

// The exponents of p's group from its bytes: p - 1 (odd p), and p - 2 (p - 1 is even).
void subtract_small(std::uint8_t* number, std::size_t size, unsigned small) {
  unsigned borrow = small;
  for (std::size_t i = 0; i < size; ++i) {
    const unsigned difference = number[i] - borrow;
    number[i] = static_cast<std::uint8_t>(difference);
    borrow = difference >> 31;
  }
}

std::vector<std::uint8_t> product(span<const std::uint8_t> x, span<const std::uint8_t> y) {
  std::vector<std::uint8_t> out(x.size() + y.size());
  for (std::size_t i = 0; i < x.size(); ++i) {
    unsigned carry = 0;
    for (std::size_t j = 0; j < y.size(); ++j) {
      carry += out[i + j] + unsigned{x[i]} * y[j];
      out[i + j] = static_cast<std::uint8_t>(carry);
      carry >>= 8;
    }
    out[i + y.size()] = static_cast<std::uint8_t>(carry);
  }
  return out;
}

// The product of the primes is public.
std::vector<std::uint8_t> public_product(span<const std::uint8_t> p, span<const std::uint8_t> q) {
  std::vector<std::uint8_t> n = product(p, q);
  for (std::uint8_t& byte : n) byte = declassify(byte);
  return n;
}

bool are_equal(span<const std::uint8_t> x, span<const std::uint8_t> y) {
  unsigned different = 0;
  for (std::size_t i = 0; i < x.size(); ++i) different |= x[i] ^ y[i];
  return declassify(different) == 0;
}

void check_prime(span<const std::uint8_t> p, const char* name) {
  if (p.size() != 128 && p.size() != 192 && p.size() != 256)
    throw std::invalid_argument(std::string(name) + " must have 128, 192 or 256 bytes, got " +
                                std::to_string(p.size()));
  if (declassify(p[0] % 2) == 0 || declassify(p[p.size() - 1] >> 7) == 0)
    throw std::invalid_argument(std::string(name) + " must be odd, with its top bit set");
}

// Gives p, once both are right.
span<const std::uint8_t> check_primes(span<const std::uint8_t> p, span<const std::uint8_t> q) {
  check_prime(p, "p");
  check_prime(q, "q");
  if (p.size() != q.size() || are_equal(p, q))
    throw std::invalid_argument("p and q must be different and equally long");
  if (public_product(p, q).back() < 128)
    throw std::invalid_argument("the top bit of p * q must be set");
  return p;
}

}  // namespace

PrimeHalf::PrimeHalf(const Kernels& kernels, span<const std::uint8_t> prime,
                     span<const std::uint8_t> other_prime)
    : modulus(kernels, prime),
      minus_one(prime.size()),
      logarithm(2 * words()),
      difference(4 * words()),
      message(4 * words()),
      combine(8 * words()) {
  const StackWiper wiper;
  std::copy(prime.begin(), prime.end(), minus_one.data());
  subtract_small(minus_one.data(), prime.size(), 1);
  Words other(modulus.number());
  load(modulus, other_prime.data(), other_prime.size(), 1, words(), other.data());
  Words pair(modulus.pair());
  Words power(modulus.pair());
  enter(modulus, other.data(), 1, modulus.entering(), pair.data());  // q R
  for (unsigned k = 0; k < 2; ++k) {
    Words shared(2 * words());
    mul_shared(modulus, pair, 3 + k, power);  // q R^(3+k)
    leave_shared(modulus, power, shared.data());
    std::memcpy(message.data() + k * 2 * words(), shared.data(), words() * sizeof(std::uint64_t));
  }
  invert(pair.data());
}

// q^-1 = q^(p-2) modulo p, and from that modulo p^2 by one step of Newton's: if x q = 1 + k p, then
// x (1 - k p) q = 1.
void PrimeHalf::invert(const std::uint64_t* other) {
  const Modulus& m = modulus;
  const std::size_t bytes = words() * sizeof(std::uint64_t);
  SecretArray<std::uint8_t> exponent(minus_one.size());
  std::copy(minus_one.view().begin(), minus_one.view().end(), exponent.data());
  subtract_small(exponent.data(), exponent.size(), 1);
  Words x(m.pair());
  Words y(m.pair());
  Words shared(2 * words());
  Power(m, exponent.size()).shared(other, exponent.view(), false, x.data());
  mul_shared(m, x, 3, y);
  leave_shared(m, y, shared.data());
  negate(m, shared.data(), 0, logarithm.data());
  m.mul(x.data(), other, y.data());
  leave_shared(m, y, shared.data());                     // 1 + k p
  negate(m, shared.data() + words(), 0, shared.data());  // -k
  Words t(m.number());
  m.spread(shared.data(), words(), t.data());
  leave(m, x.data(), t.data(), y.data());  // q^-1 modulo p^2
  mul_shared(m, y, 3, x);                  // q^-1 R^2
  m.mul(x.data(), x.data(), y.data());     // q^-2 R^3
  leave_shared(m, y, combine.data());
  mul_shared(m, y, 2, x);  // q^-2 R^4
  leave_shared(m, x, combine.data() + 2 * words());
  for (unsigned k = 0; k < 2; ++k) {
    const std::uint64_t* const from = combine.data() + 2 * k * words();
    std::uint64_t* const to = combine.data() + 2 * (k + 2) * words();
    negate(m, from, 0, to);
    negate(m, from + words(), 1, to + words());
  }
  std::memcpy(difference.data(), combine.data() + 4 * words(), bytes);
  std::memcpy(difference.data() + 2 * words(), logarithm.data(), bytes);
}

PaillierSecret::PaillierSecret(span<const std::uint8_t> p, span<const std::uint8_t> q)
    : p_(active_kernels(), check_primes(p, q), q),
      q_(p_.modulus.tier(), q, p),
      p_square_(2 * p_.words()),
      square_{static_cast<unsigned>(2 * p_.words()), 0, p_square_.data()},
      n_(public_product(p, q)),
      n_square_(product({n_.data(), n_.size()}, {n_.data(), n_.size()})) {
  const Modulus& m = p_.modulus;
  Words pair(m.pair());
  Words whole(m.pair());
  m.spread(m.view().n, m.words(), pair.data());
  for (std::size_t lane = 0; lane < m.lanes(); ++lane) pair[lane] -= 1;
  std::memcpy(pair.data() + m.number(), pair.data(), m.number() * sizeof(std::uint64_t));
  m.kernels().compose(m.view(), pair.data(), whole.data());
  m.gather(whole.data(), p_square_.size(), p_square_.data());
  p_square_[0] += 1;
}

// What one thread needs for a batch.
struct PaillierSecret::Scratch {
  explicit Scratch(const PaillierSecret& secret)
      : p_power(secret.p_.modulus, secret.p_.minus_one.size()),
        q_power(secret.q_.modulus, secret.q_.minus_one.size()),
        row(2 * secret.p_.modulus.pair()),
        parts(2 * secret.p_.modulus.pair()),
        pair(secret.p_.modulus.pair()),
        exact(secret.p_.modulus.pair()),
        result(2 * secret.p_.modulus.pair()) {}

  Power p_power;
  Power q_power;
  Words row;    // a ciphertext, in four parts
  Words parts;  // the same of what is put together
  Words pair;
  Words exact;
  Words result;
};

// out = L(c^(p-1)), where L(1 + b p) = b, of the ciphertexts in scratch.row; zero is returned if
// all have such a power.
std::uint64_t PaillierSecret::take_logarithm(const PrimeHalf& half, Scratch& scratch,
                                             std::uint64_t* out) const {
  const Modulus& m = half.modulus;
  Power& power = &half == &p_ ? scratch.p_power : scratch.q_power;
  enter(m, scratch.row.data(), 4, m.entering(), scratch.pair.data());
  power.shared(scratch.pair.data(), half.minus_one.view(), false, scratch.pair.data());
  leave(m, scratch.pair.data(), nullptr, scratch.exact.data());
  std::uint64_t other = 0;
  for (std::size_t i = 0; i < m.number(); ++i) other |= scratch.exact[i] ^ (i < m.lanes() ? 1 : 0);
  std::memcpy(out, scratch.exact.data() + m.number(), m.number() * sizeof(std::uint64_t));
  return other;
}

// m modulo p is -L q^-1; then m = m_p + p u, where u = (m_q - m_p) p^-1 modulo q.
std::uint64_t PaillierSecret::decrypt_batch(const std::uint8_t* rows, std::size_t count,
                                            Scratch& scratch, std::uint8_t* plaintexts) const {
  const Modulus& p = p_.modulus;
  const Modulus& q = q_.modulus;
  const std::size_t number = p.number();
  load(p, rows, row_bytes(), count, 4 * p.words(), scratch.row.data());
  std::uint64_t* const parts = scratch.parts.data();
  std::uint64_t other = take_logarithm(q_, scratch, parts);
  other |= take_logarithm(p_, scratch, parts + number);
  enter(p, parts + number, 1, p_.logarithm.data(), scratch.pair.data());
  leave(p, scratch.pair.data(), nullptr, scratch.result.data());
  std::memcpy(parts + number, scratch.result.data(), number * sizeof(std::uint64_t));
  enter(q, parts, 2, q_.difference.data(), scratch.pair.data());
  leave(q, scratch.pair.data(), nullptr, scratch.exact.data());
  std::memcpy(scratch.result.data() + number, scratch.exact.data(), number * sizeof(std::uint64_t));
  p.kernels().compose(p.view(), scratch.result.data(), parts);
  p.kernels().store(parts, static_cast<unsigned>(2 * p.words()), plaintexts, key_bytes(),
                    key_bytes(), count);
  return other;
}

void PaillierSecret::decrypt(Rows rows, RowsOut out, unsigned threads) const {
  check_rows(rows, {n_square_.data(), n_square_.size()});
  const std::size_t count = rows.size() / row_bytes();
  if (out.size() != count * key_bytes())
    throw std::invalid_argument("the output has not one row for each ciphertext");
  const std::size_t lanes = p_.modulus.lanes();
  std::atomic<std::uint64_t> wrong{0};
  parallel_for({0, count, lanes, lanes}, threads, [&](std::uint64_t begin, std::uint64_t end) {
    Scratch scratch(*this);
    for (std::uint64_t i = begin; i < end; i += lanes) {
      const std::size_t size = std::min<std::size_t>(lanes, end - i);
      const std::uint64_t other =
          decrypt_batch(rows.data() + i * row_bytes(), size, scratch, out.data() + i * key_bytes());
      if (declassify(other) != 0) wrong = 1;
    }
  });
  if (wrong == 0) return;
  wipe(out.data(), out.size());
  throw std::invalid_argument("a ciphertext has no inverse modulo n**2");
}

// (1 + m q p) * factor modulo p^2: t = m q modulo p.
void PaillierSecret::half_message(const PrimeHalf& half, const std::uint64_t* factor,
                                  const std::uint64_t* message, Scratch& scratch,
                                  std::uint64_t* out) const {
  const Modulus& m = half.modulus;
  enter(m, message, 2, half.message.data(), scratch.pair.data());
  leave(m, scratch.pair.data(), nullptr, scratch.exact.data());
  leave(m, factor, scratch.exact.data(), scratch.pair.data());
  m.kernels().compose(m.view(), scratch.pair.data(), out);
}

// c = y_p + p^2 u, where u = (y_q - y_p) p^-2 modulo q^2.
void PaillierSecret::encrypt_batch(const std::uint64_t* p_factor, const std::uint64_t* q_factor,
                                   const std::uint8_t* plaintexts, std::size_t count,
                                   Scratch& scratch, std::uint8_t* rows) const {
  const Modulus& p = p_.modulus;
  const Modulus& q = q_.modulus;
  const std::size_t pair = p.pair();
  std::uint64_t* const parts = scratch.parts.data();
  load(p, plaintexts, key_bytes(), count, 2 * p.words(), scratch.row.data());
  half_message(q_, q_factor, scratch.row.data(), scratch, parts);
  half_message(p_, p_factor, scratch.row.data(), scratch, parts + pair);
  enter(q, parts, 4, q_.combine.data(), scratch.pair.data());
  leave(q, scratch.pair.data(), nullptr, scratch.exact.data());
  std::memcpy(scratch.row.data(), parts + pair, pair * sizeof(std::uint64_t));
  q.kernels().compose(q.view(), scratch.exact.data(), scratch.row.data() + pair);
  p.kernels().compose(square_, scratch.row.data(), scratch.result.data());
  p.kernels().store(scratch.result.data(), static_cast<unsigned>(4 * p.words()), rows, row_bytes(),
                    row_bytes(), count);
}

void PaillierSecret::make_factors(const PrimeHalf& half, const Comb* comb,
                                  span<const std::uint8_t> drawn, std::size_t bytes,
                                  std::uint64_t* out) const {
  if (comb != nullptr) {
    comb->powers(drawn, out);
    return;
  }
  const Modulus& m = half.modulus;
  const std::size_t count = drawn.size() / bytes;
  Words number(2 * m.pair());
  Words pair(m.pair());
  Power power(m, key_bytes());
  for (std::size_t i = 0; i < count; i += m.lanes()) {
    load(m, drawn.data() + i * bytes, bytes, std::min(m.lanes(), count - i), 4 * m.words(),
         number.data());
    enter(m, number.data(), 4, m.entering(), pair.data());
    power.shared(pair.data(), n(), true, out + i / m.lanes() * m.pair());
  }
}

void PaillierSecret::encrypt(Rows plaintexts, const PaillierSecretBase* base,
                             const Randomness& randomness, RowsOut out, unsigned threads) const {
  if (base != nullptr && &base->secret() != this)
    throw std::invalid_argument("the base was made for another key");
  check_plaintexts(plaintexts, n());
  const std::size_t count = plaintexts.size() / key_bytes();
  if (out.size() != count * row_bytes())
    throw std::invalid_argument("the output has not one row for each plaintext");
  const std::size_t bytes = base != nullptr ? base->p().bits() / 8 : key_bytes() + 16;
  check_randomness(randomness, count, bytes);
  const PrgKeys keys(p_.modulus.tier(), {Prg::aes256, randomness.seed, 1});
  const std::size_t lanes = p_.modulus.lanes();
  const std::size_t pair = p_.modulus.pair();
  const std::uint64_t grain = base != nullptr ? comb_group(count) : lanes;
  parallel_for({0, count, grain, lanes}, threads, [&](std::uint64_t begin, std::uint64_t end) {
    const std::size_t number = static_cast<std::size_t>(end - begin);
    SecretArray<std::uint8_t> drawn(number * bytes);
    draw_exponents(keys, randomness.first + begin, bytes, drawn.view());
    Words p_factors((number + lanes - 1) / lanes * pair);
    Words q_factors(p_factors.size());
    make_factors(p_, base != nullptr ? &base->p() : nullptr, drawn.view(), bytes, p_factors.data());
    make_factors(q_, base != nullptr ? &base->q() : nullptr, drawn.view(), bytes, q_factors.data());
    Scratch scratch(*this);
    for (std::size_t i = 0; i < number; i += lanes)
      encrypt_batch(p_factors.data() + i / lanes * pair, q_factors.data() + i / lanes * pair,
                    plaintexts.data() + (begin + i) * key_bytes(), std::min(lanes, number - i),
                    scratch, out.data() + (begin + i) * row_bytes());
  });
}

PaillierSecretBase::PaillierSecretBase(std::shared_ptr<const PaillierSecret> secret,
                                       span<const std::uint8_t> value, std::size_t bits,
                                       unsigned threads)
    : secret_(std::move(secret)) {
  check_base(value, secret_->row_bytes(), bits);
  check_rows(value, secret_->n_square());
  const Modulus& p = secret_->p().modulus;
  Words number(2 * p.pair());
  Words pair(p.pair());
  load(p, value.data(), value.size(), 1, 4 * p.words(), number.data());
  enter(p, number.data(), 4, p.entering(), pair.data());
  p_ = std::make_unique<Comb>(p, pair.data(), bits, threads);
  const Modulus& q = secret_->q().modulus;
  enter(q, number.data(), 4, q.entering(), pair.data());
  q_ = std::make_unique<Comb>(q, pair.data(), bits, threads);
}

}  // namespace fedsecure
