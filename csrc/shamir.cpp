#include "shamir.hpp"

#include <algorithm>
#include <numeric>
#include <stdexcept>
#include <string>
#include <vector>

#include "parallel.hpp"
#include "prg.hpp"
#include "secret.hpp"

namespace fedsecure {
namespace {

#if !defined(__SIZEOF_INT128__)
#error "Shamir shares need 128-bit products: build with a 64-bit GCC or Clang, or port mul()"
#endif
__extension__ using Wide = unsigned __int128;
using Element = std::uint64_t;

constexpr Element kPrime = (Element{1} << 61) - 1;
constexpr unsigned kLimbBits = 52;
constexpr unsigned kLastLimbBits = 8 * kSecretBytes - 4 * kLimbBits;
constexpr Element kLimbMask = (Element{1} << kLimbBits) - 1;

// x < 2p -> x mod p, without a branch.
Element reduce_once(Element x) {
  const Element less = x - kPrime;  // wraps when x < p
  const Element keep = Element{0} - (less >> 63);
  return (less & ~keep) | (x & keep);
}

Element add(Element a, Element b) { return reduce_once(a + b); }

Element negate(Element a) { return reduce_once(kPrime - a); }

// 2^61 = 1 mod p, so the high part of the product folds onto the low one.
Element mul(Element a, Element b) {
  const Wide product = static_cast<Wide>(a) * b;
  const Element low = static_cast<Element>(product) & kPrime;
  const Element high = static_cast<Element>(product >> 61);
  return reduce_once(low + high);
}

// 8a * b = 2^64 high + low stands for ab = 2^61 high + low / 8, so high + low / 8 is ab mod p
// again, and not much above p. For a factor below 2^35 in place of 8a, and another below 2^63, the
// result is below 2^61 + 2^34: sums of it with an element need no reduction before they are a
// factor.
Element mul_lazily(Element eightfold, Element b) {
  const Wide product = static_cast<Wide>(eightfold) * b;
  return static_cast<Element>(product >> 64) + (static_cast<Element>(product) >> 3);
}

// Any 128 bits mod p.
Element reduce(Wide x) {
  x = (x & kPrime) + (x >> 61);  // below 2^68
  return reduce_once(static_cast<Element>(x & kPrime) + static_cast<Element>(x >> 61));
}

// a^(p - 2) (Fermat); the exponent is public. p - 2 has all 61 bits set but bit 1.
Element inverse(Element a) {
  Element result = 1;
  for (int bit = 60; bit >= 0; --bit) {
    result = mul(result, result);
    if (bit != 1) result = mul(result, a);
  }
  return result;
}

void secret_to_limbs(const std::uint8_t* secret, Element (&limbs)[kSecretLimbs]) {
  Secret<Element[4]> words;
  for (std::size_t i = 0; i < 4; ++i) (*words)[i] = kernels::load<Element>(secret + 8 * i);
  for (std::size_t l = 0; l < kSecretLimbs; ++l) {
    const std::size_t word = l * kLimbBits / 64;
    const unsigned shift = l * kLimbBits % 64;
    Element limb = (*words)[word] >> shift;
    if (shift + kLimbBits > 64 && word + 1 < 4) limb |= (*words)[word + 1] << (64 - shift);
    limbs[l] = limb & kLimbMask;
  }
}

// Returns non-zero bits if a limb is too large. Constant time.
Element limbs_to_secret(const Element (&limbs)[kSecretLimbs], std::uint8_t* secret) {
  Element excess = limbs[kSecretLimbs - 1] >> kLastLimbBits;
  Secret<Element[5]> words;  // one more than needed: the excess of the last limb lands there
  for (std::size_t l = 0; l < kSecretLimbs; ++l) {
    excess |= limbs[l] >> kLimbBits;
    const std::size_t word = l * kLimbBits / 64;
    const unsigned shift = l * kLimbBits % 64;
    (*words)[word] |= limbs[l] << shift;
    if (shift + kLimbBits > 64) (*words)[word + 1] |= limbs[l] >> (64 - shift);
  }
  for (std::size_t i = 0; i < 4; ++i) kernels::store(secret + 8 * i, (*words)[i]);
  return excess;
}

// Uniform field elements from a keystream, by rejection. Whether a word is skipped says nothing
// about the ones that are kept.
class Coefficients {
 public:
  explicit Coefficients(const Seeds& seed) : keys_(active_kernels(), seed) {}

  void fill(span<Element> out) {
    for (Element& coefficient : out) {
      do coefficient = next_word() & kPrime;
      while (declassify(coefficient == kPrime));
    }
  }

 private:
  static constexpr std::size_t kBuffered = 128;  // words: one batch of the portable kernel

  Element next_word() {
    if (used_ == kBuffered) {
      const span<std::uint8_t> bytes(reinterpret_cast<std::uint8_t*>(*buffer_), sizeof *buffer_);
      keys_.keystream(0, offset_, bytes);
      offset_ += sizeof *buffer_;
      used_ = 0;
    }
    return (*buffer_)[used_++];
  }

  PrgKeys keys_;
  Secret<Element[kBuffered]> buffer_;
  std::size_t used_ = kBuffered;
  std::uint64_t offset_ = 0;
};

// How many points are worked on together: each is a chain of products that wait for each other.
constexpr std::size_t kAbreast = 8;

// constant + coefficients[0] x + coefficients[1] x^2 + ... (Horner) at kAbreast points; 0 is one.
void evaluate(Element constant, span<const Element> coefficients,
              const std::uint32_t (&xs)[kAbreast], Element (&values)[kAbreast]) {
  Element eightfold[kAbreast];
  Element sums[kAbreast] = {};
  for (std::size_t j = 0; j < kAbreast; ++j) eightfold[j] = Element{xs[j]} << 3;
  for (std::size_t i = coefficients.size(); i-- > 0;) {
    const Element coefficient = coefficients[i];
    for (std::size_t j = 0; j < kAbreast; ++j)
      sums[j] = mul_lazily(eightfold[j], sums[j] + coefficient);
  }
  for (std::size_t j = 0; j < kAbreast; ++j) values[j] = add(reduce_once(sums[j]), constant);
}

void check_points(span<const std::uint32_t> xs) {
  std::vector<std::uint32_t> sorted(xs.begin(), xs.end());
  std::sort(sorted.begin(), sorted.end());
  if (sorted.empty()) throw std::invalid_argument("xs is empty: no points to share at");
  if (sorted.front() == 0) throw std::invalid_argument("xs holds 0, which is where the secret is");
  if (std::adjacent_find(sorted.begin(), sorted.end()) != sorted.end())
    throw std::invalid_argument("xs holds a point twice");
}

// below[i] = xs[i] * product over j != i of |xs[j] - xs[i]|, for kAbreast of the i from `first`.
void denominators(span<const std::uint32_t> xs, std::size_t first, span<Element> below) {
  const std::size_t count = std::min(kAbreast, xs.size() - first);
  Element at[kAbreast] = {};
  Element products[kAbreast];
  for (std::size_t i = 0; i < count; ++i) at[i] = xs[first + i];
  for (std::size_t i = 0; i < kAbreast; ++i) products[i] = at[i];
  for (std::size_t j = 0; j < xs.size(); ++j) {
    const Element other = xs[j];
    for (std::size_t i = 0; i < kAbreast; ++i) {
      const Element distance = other > at[i] ? other - at[i] : at[i] - other;
      const Element factor = j == first + i ? 1 : distance;
      products[i] = mul_lazily(factor << 3, products[i]);
    }
  }
  for (std::size_t i = 0; i < count; ++i) below[first + i] = reduce_once(products[i]);
}

// The Lagrange basis at zero for t points: weight i is the product over j != i of
// xs[j] / (xs[j] - xs[i]). One inversion serves them all (P. Montgomery, "Speeding the Pollard and
// elliptic curve methods of factorization", 1987).
class Weights {
 public:
  explicit Weights(std::size_t size) : weights_(size), products_(size) {}

  // Throws std::invalid_argument for points that are zero or not distinct.
  void set(span<const std::uint32_t> xs) {
    for (std::size_t i = 0; i < xs.size(); i += kAbreast)
      denominators(xs, i, {weights_.data(), weights_.size()});
    Element above = 1;
    Element product = 1;
    for (std::size_t i = 0; i < xs.size(); ++i) {
      above = mul(above, xs[i]);
      products_[i] = product;
      product = mul(product, weights_[i]);
    }
    if (xs.empty() || product == 0) check_points(xs);
    Element rest = mul(above, inverse(product));
    for (std::size_t i = xs.size(); i-- > 0;) {
      const Element weight = mul(rest, products_[i]);
      rest = mul(rest, weights_[i]);
      const auto before = std::count_if(xs.begin(), xs.end(), [&](auto x) { return x < xs[i]; });
      weights_[i] = before % 2 == 0 ? weight : negate(weight);
    }
  }

  std::size_t size() const { return weights_.size(); }
  Element operator[](std::size_t i) const { return weights_[i]; }

 private:
  std::vector<Element> weights_;
  std::vector<Element> products_;
};

// Constant time but for the verdict.
bool is_canonical(span<const std::uint8_t> shares) {
  Element excess = 0;
  for (std::size_t i = 0; i < shares.size(); i += sizeof(Element)) {
    const auto y = kernels::load<Element>(shares.data() + i);
    excess |= y >> 61 | (y + 1) >> 61;
  }
  return declassify(excess == 0);
}

void check_canonical(span<const std::uint8_t> shares) {
  for (std::size_t i = 0; i < shares.size(); i += sizeof(Element))
    if (!is_canonical({shares.data() + i, sizeof(Element)}))
      throw std::invalid_argument("share element " + std::to_string(i / sizeof(Element)) +
                                  " is not canonical (below 2**61 - 1)");
}

void check_product(std::size_t size, std::size_t rows, std::size_t row_bytes, const char* what) {
  if (row_bytes == 0 || size % row_bytes != 0 || size / row_bytes != rows)
    throw std::invalid_argument(std::string(what) + " has the wrong size");
}

// One secret: limb by limb, every share of it.
FEDSECURE_NOINLINE void split_secret(const std::uint8_t* secret, span<const std::uint32_t> xs,
                                     Coefficients& source, SecretArray<Element>& coefficients,
                                     std::uint8_t* shares) {
  Secret<Element[kSecretLimbs]> limbs;
  secret_to_limbs(secret, *limbs);
  for (std::size_t l = 0; l < kSecretLimbs; ++l) {
    source.fill(coefficients.view());
    for (std::size_t first = 0; first < xs.size(); first += kAbreast) {
      const std::size_t count = std::min(kAbreast, xs.size() - first);
      std::uint32_t at[kAbreast] = {};
      Element values[kAbreast];
      std::copy_n(xs.begin() + first, count, at);
      evaluate((*limbs)[l], coefficients.view(), at, values);
      for (std::size_t j = 0; j < count; ++j)
        kernels::store(shares + (first + j) * kShareBytes + l * sizeof(Element), values[j]);
    }
  }
}

// One secret from its shares; non-zero bits if it is none.
FEDSECURE_NOINLINE Element combine_secret(const Weights& weights, const std::uint8_t* shares,
                                          std::uint8_t* secret) {
  constexpr std::size_t kLazily = 32;  // so many products below 2^122 fit into 128 bits, and a rest
  Wide sums[kSecretLimbs] = {};
  for (std::size_t first = 0; first < weights.size(); first += kLazily) {
    const std::size_t end = std::min(first + kLazily, weights.size());
    for (std::size_t j = first; j < end; ++j)
      for (std::size_t l = 0; l < kSecretLimbs; ++l) {
        const auto y = kernels::load<Element>(shares + j * kShareBytes + l * sizeof(Element));
        sums[l] += static_cast<Wide>(y) * weights[j];
      }
    for (Wide& sum : sums) sum = (sum & kPrime) + (sum >> 61);
  }
  Secret<Element[kSecretLimbs]> limbs;
  for (std::size_t l = 0; l < kSecretLimbs; ++l) (*limbs)[l] = reduce(sums[l]);
  return limbs_to_secret(*limbs, secret);
}

// The points of many secrets: a row of them for each, or one row for all (stride 0).
struct Points {
  const std::uint32_t* rows;
  std::size_t count;  // in a row
  std::size_t stride;

  span<const std::uint32_t> of(std::size_t secret) const { return {rows + secret * stride, count}; }
};

bool equal(span<const std::uint32_t> a, span<const std::uint32_t> b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end());
}

// Secrets with the same points behind each other, so that their weights are made once.
std::vector<std::size_t> by_points(const Points& points, std::size_t num_secrets) {
  std::vector<std::size_t> order(num_secrets);
  std::iota(order.begin(), order.end(), std::size_t{0});
  if (points.stride != 0)
    std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
      const auto x = points.of(a);
      const auto y = points.of(b);
      return std::lexicographical_compare(x.begin(), x.end(), y.begin(), y.end());
    });
  return order;
}

// All secrets; good[i] says whether the shares of secret i gave one. Those that did not are zeroed.
void combine_all(const Points& points, span<const std::uint8_t> shares, span<std::uint8_t> secrets,
                 span<std::uint8_t> good, unsigned threads) {
  constexpr std::uint64_t kGrain = 128;  // some hundred microseconds, if all points differ
  const std::vector<std::size_t> order = by_points(points, good.size());
  const std::size_t row_bytes = points.count * kShareBytes;
  const RangeBody body = [&](std::uint64_t begin, std::uint64_t end) {
    Weights weights(points.count);
    for (std::uint64_t i = begin; i < end; ++i) {
      const std::size_t at = order[i];
      if (i == begin || !equal(points.of(at), points.of(order[i - 1]))) weights.set(points.of(at));
      std::uint8_t* const secret = secrets.data() + at * kSecretBytes;
      const std::uint8_t* const from = shares.data() + at * row_bytes;
      const Element excess = combine_secret(weights, from, secret);
      good[at] = declassify(excess == 0) && is_canonical({from, row_bytes}) ? 1 : 0;
      if (good[at] == 0) wipe(secret, kSecretBytes);
    }
  };
  try {
    parallel_for({0, order.size(), kGrain}, threads, body);
  } catch (...) {
    wipe(secrets.data(), secrets.size());
    throw;
  }
}

}  // namespace

void shamir_split(span<const std::uint8_t> secrets, std::size_t threshold,
                  span<const std::uint32_t> xs, const Seeds& seed, span<std::uint8_t> shares) {
  check_points(xs);
  if (threshold < 1 || threshold > xs.size())
    throw std::invalid_argument(
        "threshold must lie in [1, number of points = " + std::to_string(xs.size()) + "]");
  const std::size_t num_secrets = secrets.size() / kSecretBytes;
  const std::size_t row_bytes = xs.size() * kShareBytes;
  check_product(secrets.size(), num_secrets, kSecretBytes, "secrets");
  check_product(shares.size(), num_secrets, row_bytes, "shares");
  Coefficients source(seed);
  SecretArray<Element> coefficients(threshold - 1);
  const StackWiper wiper;
  for (std::size_t i = 0; i < num_secrets; ++i)
    split_secret(secrets.data() + i * kSecretBytes, xs, source, coefficients,
                 shares.data() + i * row_bytes);
}

void shamir_combine(span<const std::uint32_t> xs, span<const std::uint8_t> shares,
                    span<std::uint8_t> secrets, unsigned threads) {
  check_points(xs);
  const std::size_t num_secrets = secrets.size() / kSecretBytes;
  check_product(secrets.size(), num_secrets, kSecretBytes, "secrets");
  check_product(shares.size(), num_secrets, xs.size() * kShareBytes, "shares");
  check_canonical(shares);
  std::vector<std::uint8_t> good(num_secrets);
  const span<std::uint8_t> verdicts(good.data(), good.size());
  combine_all({xs.data(), xs.size(), 0}, shares, secrets, verdicts, threads);
  if (std::find(good.begin(), good.end(), 0) != good.end()) {
    wipe(secrets.data(), secrets.size());
    throw std::invalid_argument("the shares give no 32-byte secret; at least one is wrong");
  }
}

void shamir_combine_each(span<const std::uint32_t> xs, span<const std::uint8_t> shares,
                         span<std::uint8_t> secrets, span<std::uint8_t> good, unsigned threads) {
  const std::size_t num_secrets = good.size();
  if (num_secrets == 0) return;
  const std::size_t count = xs.size() / num_secrets;
  check_product(secrets.size(), num_secrets, kSecretBytes, "secrets");
  check_product(xs.size(), num_secrets, count, "xs");
  check_product(shares.size(), num_secrets, count * kShareBytes, "shares");
  combine_all({xs.data(), count, count}, shares, secrets, good, threads);
}

}  // namespace fedsecure
