// Products of powers with public exponents: every vector goes into the bucket of each digit of its
// weight, and the buckets are put together by running products (N. Pippenger, "On the evaluation of
// powers and related problems", FOCS 1976).

#include <algorithm>
#include <cstring>
#include <stdexcept>
#include <string>

#include "paillier.hpp"
#include "parallel.hpp"

namespace fedsecure {
namespace {

// Products: one bucket for each window and digit of the weights.
class Buckets {
 public:
  Buckets(const Modulus& modulus, const std::vector<std::uint64_t>& weights)
      : modulus_(modulus),
        width_(choose_width(weights)),
        windows_(windows_for(weights, width_)),
        products_(modulus.pair() * (windows_ << width_)),
        used_(windows_ << width_),
        running_(modulus.pair()),
        total_(modulus.pair()) {}

  void clear() { std::fill(used_.begin(), used_.end(), false); }

  void multiply(const std::uint64_t* x, std::uint64_t weight) {
    for (std::size_t window = 0; window < windows_; ++window) {
      const std::uint64_t digit = weight >> window * width_ & ((std::uint64_t{1} << width_) - 1);
      if (digit != 0) into(bucket(window, digit), x);
    }
  }

  // The product over all of bucket to the digit times 2^(width * window). False if it is 1.
  bool combine(std::uint64_t* out) {
    bool any = false;
    for (std::size_t window = windows_; window-- > 0;) {
      for (unsigned i = 0; any && i < width_; ++i) modulus_.square(out, out);
      if (!combine_window(window)) continue;
      if (any)
        modulus_.mul(out, total_.data(), out);
      else
        std::memcpy(out, total_.data(), modulus_.pair() * sizeof(std::uint64_t));
      any = true;
    }
    return any;
  }

 private:
  static constexpr std::size_t kMost = 512;  // buckets: more would leave the caches

  static unsigned bits_of(const std::vector<std::uint64_t>& weights) {
    std::uint64_t all = 1;
    for (const std::uint64_t weight : weights) all |= weight;
    unsigned bits = 0;
    for (; all != 0; all >>= 1) ++bits;
    return bits;
  }

  static std::size_t windows_for(const std::vector<std::uint64_t>& weights, unsigned width) {
    return (bits_of(weights) + width - 1) / width;
  }

  static unsigned choose_width(const std::vector<std::uint64_t>& weights) {
    const std::size_t bits = bits_of(weights);
    const auto cost = [&](unsigned width) {
      return (bits + width - 1) / width * (weights.size() + (std::size_t{2} << width));
    };
    unsigned best = 1;
    for (unsigned width = 2; width <= 8; ++width)
      if ((bits + width - 1) / width << width <= kMost && cost(width) < cost(best)) best = width;
    return best;
  }

  std::size_t bucket(std::size_t window, std::size_t digit) const {
    return (window << width_) + digit;
  }

  void into(std::size_t which, const std::uint64_t* x) {
    std::uint64_t* const product = products_.data() + which * modulus_.pair();
    if (used_[which])
      modulus_.mul(product, x, product);
    else
      std::memcpy(product, x, modulus_.pair() * sizeof(std::uint64_t));
    used_[which] = true;
  }

  // total = product of bucket to the digit, by running products from the largest digit down.
  bool combine_window(std::size_t window) {
    bool any = false;
    for (std::size_t digit = (std::size_t{1} << width_) - 1; digit > 0; --digit) {
      const std::size_t which = bucket(window, digit);
      const std::uint64_t* const product = products_.data() + which * modulus_.pair();
      if (!any && !used_[which]) continue;
      if (!any) {
        std::memcpy(running_.data(), product, modulus_.pair() * sizeof(std::uint64_t));
        std::memcpy(total_.data(), product, modulus_.pair() * sizeof(std::uint64_t));
        any = true;
        continue;
      }
      if (used_[which]) modulus_.mul(running_.data(), product, running_.data());
      modulus_.mul(total_.data(), running_.data(), total_.data());
    }
    return any;
  }

  const Modulus& modulus_;
  unsigned width_;
  std::size_t windows_;
  Words products_;
  std::vector<bool> used_;
  Words running_;
  Words total_;
};

void check_weights(const std::vector<Rows>& vectors, const std::vector<std::uint64_t>& weights,
                   RowsOut out) {
  if (vectors.size() != weights.size())
    throw std::invalid_argument("vectors and weights must be equally many, got " +
                                std::to_string(vectors.size()) + " and " +
                                std::to_string(weights.size()));
  for (const Rows& rows : vectors)
    if (rows.size() != out.size())
      throw std::invalid_argument("all vectors must have equally many rows");
  for (const std::uint64_t weight : weights)
    if (weight >> 63 != 0) throw std::invalid_argument("weights must lie in [0, 2**63)");
}

}  // namespace

void PaillierPublic::weighted_product(const std::vector<Rows>& vectors,
                                      const std::vector<std::uint64_t>& weights, RowsOut out,
                                      unsigned threads) const {
  const PublicModulus& m = *modulus_;
  check_weights(vectors, weights, out);
  for (const Rows& rows : vectors) m.check(rows);
  const std::size_t lanes = m.pairs.lanes();
  const std::size_t total = out.size() / row_bytes();
  parallel_for({0, total, lanes, lanes}, threads, [&](std::uint64_t begin, std::uint64_t end) {
    Buckets buckets(m.pairs, weights);
    Words pair(m.pairs.pair());
    for (std::uint64_t i = begin; i < end; i += lanes) {
      const std::size_t size = std::min<std::size_t>(lanes, end - i);
      const std::size_t at = i * row_bytes();
      buckets.clear();
      for (std::size_t j = 0; j < vectors.size(); ++j) {
        if (weights[j] == 0) continue;
        m.enter(vectors[j].data() + at, size, pair.data());
        buckets.multiply(pair.data(), weights[j]);
      }
      if (!buckets.combine(pair.data()))
        m.pairs.spread(m.pairs.powers_of_r(1), 2 * m.pairs.words(), pair.data());
      m.leave(pair.data(), nullptr, size, out.data() + at);
    }
  });
}

}  // namespace fedsecure
