// Shamir's secret sharing (A. Shamir, "How to share a secret", CACM 22(11), 1979) of 32-byte
// secrets over GF(p), p = 2^61 - 1.
//
// A secret is 5 limbs of 52 bits, little-endian (the last one has 48). Each limb is the constant
// term of its own polynomial of degree threshold - 1. A share is 5 field elements, each 8 bytes
// little-endian and canonical (< p). Constant time in secrets, coefficients and share values;
// evaluation points, counts and the verdict "no valid secret" are public.
#pragma once

#include <cstdint>

#include "prg.hpp"
#include "span.hpp"

namespace fedsecure {

constexpr std::size_t kSecretBytes = 32;
constexpr std::size_t kSecretLimbs = 5;
constexpr std::size_t kShareBytes = 8 * kSecretLimbs;

// shares[i][j] (row-major, kShareBytes each) = share of secret i at point xs[j].
//
// Coefficients come from the PRG of the one seed: its keystream is read as 64-bit
// little-endian words, the low 61 bits of each are taken, the value p is skipped. They are used in
// the order secret by secret, limb by limb, from the linear coefficient up. A seed must be used
// once.
//
// Throws std::invalid_argument when sizes do not match, when not 1 <= threshold <= xs.size(), or
// when the points are zero or not distinct. threshold 1 hands every party the secret itself.
void shamir_split(span<const std::uint8_t> secrets, std::size_t threshold,
                  span<const std::uint32_t> xs, const Seeds& seed, span<std::uint8_t> shares);

// Interpolates at zero all secrets from shares[i][j] of secret i at point xs[j]; exactly the given
// shares are used, so pass `threshold` of them. Throws std::invalid_argument when sizes or points
// are wrong, a share is not canonical, or a result is no 32-byte secret (a share was wrong;
// `secrets` is then zeroed). Wrong shares may also give a wrong secret: whoever can, checks it.
// The result does not depend on `threads` (0: one per processor).
void shamir_combine(span<const std::uint32_t> xs, span<const std::uint8_t> shares,
                    span<std::uint8_t> secrets, unsigned threads);

// The same for secrets with points of their own, shares[i][j] of secret i being at xs[i][j], and
// for callers that want to know whose shares are wrong: good[i] is 1, or 0 if a share of secret i
// is not canonical or they give no 32-byte secret; that secret is then zeroed. Secrets that have
// the same points cost least. Throws std::invalid_argument when sizes or points are wrong.
void shamir_combine_each(span<const std::uint32_t> xs, span<const std::uint8_t> shares,
                         span<std::uint8_t> secrets, span<std::uint8_t> good, unsigned threads);

}  // namespace fedsecure
