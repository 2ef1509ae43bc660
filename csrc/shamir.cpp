#include "shamir.hpp"

#include <algorithm>
#include <stdexcept>
#include <string>
#include <vector>

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

// constant + coefficients[0] x + coefficients[1] x^2 + ... (Horner).
Element evaluate(Element constant, span<const Element> coefficients, Element x) {
  Element sum = 0;
  for (std::size_t i = coefficients.size(); i-- > 0;) sum = mul(add(sum, coefficients[i]), x);
  return add(sum, constant);
}

void check_points(span<const std::uint32_t> xs) {
  std::vector<std::uint32_t> sorted(xs.begin(), xs.end());
  std::sort(sorted.begin(), sorted.end());
  if (sorted.empty()) throw std::invalid_argument("xs is empty: no points to share at");
  if (sorted.front() == 0) throw std::invalid_argument("xs holds 0, which is where the secret is");
  if (std::adjacent_find(sorted.begin(), sorted.end()) != sorted.end())
    throw std::invalid_argument("xs holds a point twice");
}

// Lagrange basis at zero: weights[i] = product over j != i of xs[j] / (xs[j] - xs[i]).
std::vector<Element> weights_at_zero(span<const std::uint32_t> xs) {
  std::vector<Element> weights(xs.size());
  for (std::size_t i = 0; i < xs.size(); ++i) {
    Element above = 1;
    Element below = 1;
    for (std::size_t j = 0; j < xs.size(); ++j) {
      if (j == i) continue;
      above = mul(above, xs[j]);
      below = mul(below, add(xs[j], negate(xs[i])));
    }
    weights[i] = mul(above, inverse(below));
  }
  return weights;
}

void check_canonical(span<const std::uint8_t> shares) {
  for (std::size_t i = 0; i < shares.size(); i += sizeof(Element))
    if (declassify(kernels::load<Element>(shares.data() + i) >= kPrime))
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
    for (std::size_t j = 0; j < xs.size(); ++j) {
      const Element y = evaluate((*limbs)[l], coefficients.view(), xs[j]);
      kernels::store(shares + j * kShareBytes + l * sizeof(Element), y);
    }
  }
}

// One secret from its shares; non-zero bits if it is none.
FEDSECURE_NOINLINE Element combine_secret(const std::vector<Element>& weights,
                                          const std::uint8_t* shares, std::uint8_t* secret) {
  Secret<Element[kSecretLimbs]> limbs;
  for (std::size_t j = 0; j < weights.size(); ++j) {
    for (std::size_t l = 0; l < kSecretLimbs; ++l) {
      const auto y = kernels::load<Element>(shares + j * kShareBytes + l * sizeof(Element));
      (*limbs)[l] = add((*limbs)[l], mul(y, weights[j]));
    }
  }
  return limbs_to_secret(*limbs, secret);
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
                    span<std::uint8_t> secrets) {
  check_points(xs);
  const std::size_t num_secrets = secrets.size() / kSecretBytes;
  const std::size_t row_bytes = xs.size() * kShareBytes;
  check_product(secrets.size(), num_secrets, kSecretBytes, "secrets");
  check_product(shares.size(), num_secrets, row_bytes, "shares");
  check_canonical(shares);
  const std::vector<Element> weights = weights_at_zero(xs);
  const StackWiper wiper;
  Element excess = 0;
  for (std::size_t i = 0; i < num_secrets; ++i)
    excess |=
        combine_secret(weights, shares.data() + i * row_bytes, secrets.data() + i * kSecretBytes);
  if (declassify(excess != 0)) {
    wipe(secrets.data(), secrets.size());
    throw std::invalid_argument("the shares give no 32-byte secret; at least one is wrong");
  }
}

}  // namespace fedsecure
