#include "paillier.hpp"

#include <algorithm>
#include <cstring>
#include <stdexcept>
#include <string>

#include "parallel.hpp"

namespace fedsecure {
namespace {

constexpr std::size_t kGrain = 64;  // products worth a thread

// Compares public numbers of the same size.
bool less(const std::uint8_t* a, const std::uint8_t* b, std::size_t size) {
  for (std::size_t i = size; i-- > 0;)
    if (a[i] != b[i]) return a[i] < b[i];
  return false;
}

void check_out(RowsOut out, std::size_t count, std::size_t row_bytes) {
  if (out.size() != count * row_bytes)
    throw std::invalid_argument("the output has not one row for each result");
}

// Calls body(first, count) for batches of numbers, `grain` of them worth a thread.
template <typename Body>
void for_batches(std::size_t count, std::size_t lanes, std::size_t grain, unsigned threads,
                 const Body& body) {
  parallel_for({0, count, grain, lanes}, threads, [&](std::uint64_t begin, std::uint64_t end) {
    body(static_cast<std::size_t>(begin), static_cast<std::size_t>(end - begin));
  });
}

// Batch for batch within what a thread has.
template <typename Body>
void each_batch(std::size_t count, std::size_t lanes, const Body& body) {
  for (std::size_t i = 0; i < count; i += lanes) body(i, std::min(lanes, count - i));
}

// Montgomery forms of `count` random factors, batch after batch.
void make_factors(const PublicModulus& m, const PaillierBase* base, const PrgKeys& keys,
                  std::uint64_t first, std::size_t count, std::uint64_t* out) {
  const Modulus& pairs = m.pairs;
  const std::size_t bytes = base != nullptr ? base->comb().bits() / 8 : m.key_bytes() + 16;
  SecretArray<std::uint8_t> drawn(count * bytes);
  draw_exponents(keys, first, bytes, drawn.view());
  if (base != nullptr) {
    base->comb().powers(drawn.view(), out);
    return;
  }
  Words number(m.number());
  Words entered(pairs.pair());
  Power power(pairs, m.key_bytes());
  each_batch(count, pairs.lanes(), [&](std::size_t i, std::size_t size) {
    pairs.kernels().load(drawn.data() + i * bytes, bytes, bytes, size,
                         static_cast<unsigned>(2 * pairs.words()), number.data());
    pairs.kernels().enter(pairs.view(), number.data(), 2, pairs.entering(), entered.data());
    power.shared(entered.data(), {m.n_bytes.data(), m.key_bytes()}, true,
                 out + i / pairs.lanes() * pairs.pair());
  });
}

std::size_t factor_bytes(const PublicModulus& m, const PaillierBase* base) {
  return base != nullptr ? base->comb().bits() / 8 : m.key_bytes() + 16;
}

}  // namespace

bool is_below(const std::uint8_t* a, span<const std::uint8_t> b) {
  unsigned borrow = 0;
  for (std::size_t i = 0; i < b.size(); ++i)
    borrow = (static_cast<unsigned>(a[i]) - b[i] - borrow) >> 31;
  return declassify(borrow != 0);
}

void check_plaintexts(Rows plaintexts, span<const std::uint8_t> n) {
  if (plaintexts.size() % n.size() != 0)
    throw std::invalid_argument("plaintexts must have " + std::to_string(n.size()) + " bytes each");
  for (std::size_t i = 0; i < plaintexts.size(); i += n.size())
    if (!is_below(plaintexts.data() + i, n))
      throw std::invalid_argument("plaintext " + std::to_string(i / n.size()) + " is not below n");
}

void check_rows(Rows rows, span<const std::uint8_t> n_square) {
  const std::size_t size = n_square.size();
  if (rows.size() % size != 0)
    throw std::invalid_argument("ciphertexts must have " + std::to_string(size) + " bytes each");
  for (std::size_t i = 0; i < rows.size(); i += size)
    if (!less(rows.data() + i, n_square.data(), size))
      throw std::invalid_argument("ciphertext " + std::to_string(i / size) + " is not below n**2");
}

void check_base(span<const std::uint8_t> value, std::size_t row_bytes, std::size_t bits) {
  if (value.size() != row_bytes)
    throw std::invalid_argument("the base must have " + std::to_string(row_bytes) + " bytes, got " +
                                std::to_string(value.size()));
  if (bits == 0 || bits % 8 != 0 || bits > 8 * row_bytes)
    throw std::invalid_argument("bits must be a multiple of 8 in [8, " +
                                std::to_string(8 * row_bytes) + "], got " + std::to_string(bits));
}

void draw_exponents(const PrgKeys& keys, std::uint64_t first, std::size_t bytes,
                    span<std::uint8_t> out) {
  keys.keystream(0, first * bytes, out);
}

void check_randomness(const Randomness& randomness, std::size_t count, std::size_t bytes) {
  const std::uint64_t most = kKeystreamLimit / bytes;
  if (randomness.first > most || count > most - randomness.first)
    throw std::invalid_argument("first + count must not pass 2**63 bytes of keystream");
}

PublicModulus::PublicModulus(const Kernels& kernels, span<const std::uint8_t> n)
    : pairs(kernels, n),
      square(2 * pairs.words()),
      plain{static_cast<unsigned>(2 * pairs.words()), 0, square.data()},
      repair(pairs.pair()),
      n_bytes(n.begin(), n.end()),
      square_bytes(2 * n.size()) {
  const MontgomeryKernels& k = pairs.kernels();
  Words pair(pairs.pair());
  Words whole(number());
  // n^2 - 1 = (n - 1) + (n - 1) * n, and n is odd.
  pairs.spread(pairs.view().n, pairs.words(), pair.data());
  for (std::size_t lane = 0; lane < pairs.lanes(); ++lane) pair[lane] -= 1;
  std::memcpy(pair.data() + pairs.number(), pair.data(), pairs.number() * sizeof(std::uint64_t));
  k.compose(pairs.view(), pair.data(), whole.data());
  pairs.gather(whole.data(), square.size(), square.data());
  square[0] += 1;
  plain.inverse = montgomery_inverse(square[0], k.radix);
  pairs.spread(square.data(), square.size(), whole.data());
  store(whole.data(), 1, square_bytes.data());
  pairs.spread(pairs.powers_of_r(4), 2 * pairs.words(), pair.data());
  k.compose(pairs.view(), pair.data(), repair.data());
}

void PublicModulus::load(const std::uint8_t* rows, std::size_t count, std::uint64_t* out) const {
  pairs.kernels().load(rows, row_bytes(), row_bytes(), count, plain.words, out);
}

void PublicModulus::store(const std::uint64_t* x, std::size_t count, std::uint8_t* rows) const {
  pairs.kernels().store(x, plain.words, rows, row_bytes(), row_bytes(), count);
}

void PublicModulus::mul_plain(const std::uint64_t* x, const std::uint64_t* y,
                              std::uint64_t* out) const {
  pairs.kernels().mul_plain(plain, x, y, out);
}

void PublicModulus::enter(const std::uint8_t* rows, std::size_t count, std::uint64_t* pair) const {
  Words whole(number());
  load(rows, count, whole.data());
  pairs.kernels().enter(pairs.view(), whole.data(), 2, pairs.entering(), pair);
}

void PublicModulus::leave(const std::uint64_t* pair, const std::uint64_t* t, std::size_t count,
                          std::uint8_t* rows) const {
  Words exact(pairs.pair());
  Words whole(number());
  pairs.kernels().leave(pairs.view(), pair, t, exact.data());
  pairs.kernels().compose(pairs.view(), exact.data(), whole.data());
  store(whole.data(), count, rows);
}

void PublicModulus::check(Rows rows) const { check_rows(rows, {square_bytes.data(), row_bytes()}); }

PaillierBase::PaillierBase(std::shared_ptr<const PublicModulus> modulus,
                           span<const std::uint8_t> value, std::size_t bits, unsigned threads)
    : modulus_(std::move(modulus)) {
  check_base(value, modulus_->row_bytes(), bits);
  modulus_->check(value);
  Words pair(modulus_->pairs.pair());
  modulus_->enter(value.data(), 1, pair.data());
  comb_ = std::make_unique<Comb>(modulus_->pairs, pair.data(), bits, threads);
}

PaillierPublic::PaillierPublic(span<const std::uint8_t> n) {
  if (n.size() != 256 && n.size() != 384 && n.size() != 512)
    throw std::invalid_argument("n must have 256, 384 or 512 bytes, got " +
                                std::to_string(n.size()));
  if (n[0] % 2 == 0 || n[n.size() - 1] < 128)
    throw std::invalid_argument("n must be odd, with its top bit set");
  modulus_ = std::make_shared<const PublicModulus>(active_kernels(), n);
}

namespace {

// The modulus to work with, which is the base's if there is one: both come from the same n.
const PublicModulus& modulus_of(const PublicModulus& own, const PaillierBase* base) {
  if (base == nullptr) return own;
  if (base->modulus().n_bytes != own.n_bytes)
    throw std::invalid_argument("the base was made for another n");
  return base->modulus();
}

// Calls body(i, size, factors) for batches of numbers with their random factors.
template <typename Body>
void with_factors(const PublicModulus& m, const PaillierBase* base, const Randomness& randomness,
                  std::size_t count, unsigned threads, const Body& body) {
  check_randomness(randomness, count, factor_bytes(m, base));
  const PrgKeys keys(m.pairs.tier(), {Prg::aes256, randomness.seed, 1});
  const std::size_t lanes = m.pairs.lanes();
  const std::size_t grain = base != nullptr ? comb_group(count) : lanes;
  for_batches(count, lanes, grain, threads, [&](std::size_t first, std::size_t number) {
    Words factors((number + lanes - 1) / lanes * m.pairs.pair());
    make_factors(m, base, keys, randomness.first + first, number, factors.data());
    each_batch(number, lanes, [&](std::size_t i, std::size_t size) {
      body(first + i, size, factors.data() + i / lanes * m.pairs.pair());
    });
  });
}

}  // namespace

void PaillierPublic::encrypt(Rows plaintexts, const PaillierBase* base,
                             const Randomness& randomness, RowsOut out, unsigned threads) const {
  const PublicModulus& m = modulus_of(*modulus_, base);
  const std::size_t bytes = key_bytes();
  check_plaintexts(plaintexts, {m.n_bytes.data(), bytes});
  const std::size_t count = plaintexts.size() / bytes;
  check_out(out, count, row_bytes());
  with_factors(m, base, randomness, count, threads,
               [&](std::size_t i, std::size_t size, const std::uint64_t* factors) {
                 Words t(m.pairs.number());
                 m.pairs.kernels().load(plaintexts.data() + i * bytes, bytes, bytes, size,
                                        m.pairs.view().words, t.data());
                 m.leave(factors, t.data(), size, out.data() + i * row_bytes());
               });
}

void PaillierPublic::randomize(Rows rows, const PaillierBase* base, const Randomness& randomness,
                               RowsOut out, unsigned threads) const {
  const PublicModulus& m = modulus_of(*modulus_, base);
  m.check(rows);
  const std::size_t count = rows.size() / row_bytes();
  check_out(out, count, row_bytes());
  with_factors(m, base, randomness, count, threads,
               [&](std::size_t i, std::size_t size, const std::uint64_t* factors) {
                 Words pair(m.pairs.pair());
                 m.enter(rows.data() + i * row_bytes(), size, pair.data());
                 m.pairs.mul(pair.data(), factors, pair.data());
                 m.leave(pair.data(), nullptr, size, out.data() + i * row_bytes());
               });
}

void PaillierPublic::power(Rows rows, span<const std::uint8_t> exponent, RowsOut out,
                           unsigned threads) const {
  const PublicModulus& m = *modulus_;
  m.check(rows);
  const std::size_t count = rows.size() / row_bytes();
  const std::size_t lanes = m.pairs.lanes();
  check_out(out, count, row_bytes());
  for_batches(count, lanes, lanes, threads, [&](std::size_t first, std::size_t number) {
    Power power(m.pairs, exponent.size());
    Words pair(m.pairs.pair());
    each_batch(number, lanes, [&](std::size_t i, std::size_t size) {
      m.enter(rows.data() + (first + i) * row_bytes(), size, pair.data());
      power.shared(pair.data(), exponent, false, pair.data());
      m.leave(pair.data(), nullptr, size, out.data() + (first + i) * row_bytes());
    });
  });
}

void PaillierPublic::power_each(Rows rows, span<const std::uint8_t> exponents, RowsOut out,
                                unsigned threads) const {
  const PublicModulus& m = *modulus_;
  m.check(rows);
  const std::size_t count = rows.size() / row_bytes();
  const std::size_t lanes = m.pairs.lanes();
  check_out(out, count, row_bytes());
  if (count == 0) return;
  if (exponents.size() % count != 0)
    throw std::invalid_argument("exponents must be as many as the ciphertexts");
  const std::size_t bytes = exponents.size() / count;
  for_batches(count, lanes, lanes, threads, [&](std::size_t first, std::size_t number) {
    Power power(m.pairs, bytes);
    Words pair(m.pairs.pair());
    each_batch(number, lanes, [&](std::size_t i, std::size_t size) {
      m.enter(rows.data() + (first + i) * row_bytes(), size, pair.data());
      power.each(pair.data(), exponents.subspan((first + i) * bytes, size * bytes), size,
                 pair.data());
      m.leave(pair.data(), nullptr, size, out.data() + (first + i) * row_bytes());
    });
  });
}

void PaillierPublic::multiply(Rows a, Rows b, RowsOut out, unsigned threads) const {
  const PublicModulus& m = *modulus_;
  m.check(a);
  m.check(b);
  if (a.size() != b.size()) throw std::invalid_argument("a and b must have equally many rows");
  const std::size_t count = a.size() / row_bytes();
  const std::size_t lanes = m.pairs.lanes();
  check_out(out, count, row_bytes());
  for_batches(count, lanes, kGrain, threads, [&](std::size_t first, std::size_t number) {
    Words x(m.number());
    Words y(m.number());
    each_batch(number, lanes, [&](std::size_t i, std::size_t size) {
      const std::size_t at = (first + i) * row_bytes();
      m.load(a.data() + at, size, x.data());
      m.load(b.data() + at, size, y.data());
      m.mul_plain(x.data(), y.data(), x.data());
      m.mul_plain(x.data(), m.repair.data(), x.data());
      m.pairs.kernels().exact_plain(m.plain, x.data(), x.data());
      m.store(x.data(), size, out.data() + at);
    });
  });
}

bool PaillierPublic::below(Rows rows) const {
  const PublicModulus& m = *modulus_;
  if (rows.size() % row_bytes() != 0)
    throw std::invalid_argument("ciphertexts must have " + std::to_string(row_bytes()) +
                                " bytes each");
  for (std::size_t i = 0; i < rows.size(); i += row_bytes()) {
    const std::uint8_t* const row = rows.data() + i;
    if (!less(row, m.square_bytes.data(), row_bytes())) return false;
    if (std::all_of(row, row + row_bytes(), [](std::uint8_t byte) { return byte == 0; }))
      return false;
  }
  return true;
}

}  // namespace fedsecure
