// Running products. A product of plain numbers in Montgomery arithmetic loses a factor R^2 (what a
// ciphertext's words hold); it is owed, and given back when the numbers are asked for.

#include <algorithm>
#include <cstring>
#include <stdexcept>
#include <string>

#include "paillier.hpp"
#include "parallel.hpp"

namespace fedsecure {
namespace {

constexpr std::size_t kGrain = 128;

// The plain batch that gives back `debt` > 0 lost factors, and the one that multiplying by it
// loses: the Montgomery power of R^4, which is R^2 in Montgomery form. Public, so by squares and
// products as they come.
void repay(const PublicModulus& m, std::uint64_t debt, std::uint64_t* factor) {
  Words square(m.number());
  std::memcpy(square.data(), m.repair.data(), m.number() * sizeof(std::uint64_t));
  bool any = false;
  for (; debt != 0; debt >>= 1) {
    if (debt % 2 != 0 && any) m.mul_plain(factor, square.data(), factor);
    if (debt % 2 != 0 && !any)
      std::memcpy(factor, square.data(), m.number() * sizeof(std::uint64_t));
    any = any || debt % 2 != 0;
    if (debt > 1) m.mul_plain(square.data(), square.data(), square.data());
  }
}

}  // namespace

PaillierProduct::PaillierProduct(std::shared_ptr<const PublicModulus> modulus, std::size_t count)
    : modulus_(std::move(modulus)),
      count_(count),
      numbers_((count + modulus_->pairs.lanes() - 1) / modulus_->pairs.lanes() *
               modulus_->number()),
      debts_((count + modulus_->pairs.lanes() - 1) / modulus_->pairs.lanes()) {}

PaillierProduct::PaillierProduct(const PaillierProduct& other)
    : modulus_(other.modulus_),
      count_(other.count_),
      numbers_(other.numbers_.size()),
      debts_(other.debts_) {
  std::memcpy(numbers_.data(), other.numbers_.data(), numbers_.size() * sizeof(std::uint64_t));
}

// The rows of one batch that are among these, which begin at element `first`; 1 for the others.
void PaillierProduct::multiply_batch(std::size_t batch, Rows rows, std::size_t first, Words& x) {
  const PublicModulus& m = *modulus_;
  const std::size_t lanes = m.pairs.lanes();
  const std::size_t begin = batch * lanes;
  const std::size_t end = std::min(begin + lanes, count_);
  const std::size_t last = first + rows.size() / row_bytes();
  if (first <= begin && end <= last) {
    m.load(rows.data() + (begin - first) * row_bytes(), end - begin, x.data());
  } else {
    std::vector<std::uint8_t> some(lanes * row_bytes());
    for (std::size_t i = begin; i < begin + lanes; ++i) {
      if (first <= i && i < last)
        std::memcpy(some.data() + (i - begin) * row_bytes(),
                    rows.data() + (i - first) * row_bytes(), row_bytes());
      else
        some[(i - begin) * row_bytes()] = 1;
    }
    m.load(some.data(), lanes, x.data());
  }
  std::uint64_t* const product = numbers_.data() + batch * m.number();
  if (debts_[batch]++ == 0)
    std::memcpy(product, x.data(), m.number() * sizeof(std::uint64_t));
  else
    m.mul_plain(product, x.data(), product);
}

void PaillierProduct::multiply(Rows rows, std::size_t first, unsigned threads) {
  modulus_->check(rows);
  const std::size_t count = rows.size() / row_bytes();
  if (first > count_ || count > count_ - first)
    throw std::invalid_argument("elements [" + std::to_string(first) + ", " +
                                std::to_string(first) + " + " + std::to_string(count) +
                                ") do not lie within " + std::to_string(count_));
  const std::size_t lanes = modulus_->pairs.lanes();
  if (count == 0) return;
  const std::uint64_t last = (first + count - 1) / lanes + 1;
  parallel_for({first / lanes, last, (kGrain + lanes - 1) / lanes}, threads,
               [&](std::uint64_t begin, std::uint64_t end) {
                 Words x(modulus_->number());
                 for (std::uint64_t i = begin; i < end; ++i) multiply_batch(i, rows, first, x);
               });
}

void PaillierProduct::rows(RowsOut out, unsigned threads) const {
  const PublicModulus& m = *modulus_;
  const std::size_t lanes = m.pairs.lanes();
  if (out.size() != count_ * row_bytes())
    throw std::invalid_argument("the output has not one row for each product");
  // Mostly all batches owe the same.
  const std::uint64_t usual = debts_.size() == 0 ? 0 : debts_[0];
  Words usual_factor(m.number());
  if (usual > 1) repay(m, usual - 1, usual_factor.data());
  const auto body = [&](std::uint64_t begin, std::uint64_t end) {
    Words x(m.number());
    Words other_factor(m.number());
    std::uint64_t other = 0;  // the debt that `other_factor` is for
    for (std::uint64_t i = begin; i < end; ++i) {
      const std::uint64_t debt = debts_[i];
      const std::size_t size = std::min(lanes, count_ - i * lanes);
      const std::uint64_t* product = numbers_.data() + i * m.number();
      std::uint8_t* const to = out.data() + i * lanes * row_bytes();
      if (debt == 0) {
        for (std::size_t j = 0; j < size; ++j) to[j * row_bytes()] = 1;
        continue;
      }
      if (debt > 1) {
        if (debt != usual && debt != other) repay(m, (other = debt) - 1, other_factor.data());
        const Words& factor = debt == usual ? usual_factor : other_factor;
        m.mul_plain(product, factor.data(), x.data());
        product = x.data();
      }
      m.pairs.kernels().exact_plain(m.plain, product, x.data());
      m.store(x.data(), size, to);
    }
  };
  std::memset(out.data(), 0, out.size());
  parallel_for({0, debts_.size(), (kGrain + lanes - 1) / lanes}, threads, body);
}

}  // namespace fedsecure
