// The Walsh-Hadamard transform and random signs: the rotation that spreads a vector's norm over all
// coordinates before it is rounded (Kairouz, Liu, Steinke 2021, section 4; Ailon, Chazelle 2009).
#pragma once

#include <cstdint>

#include "prg.hpp"
#include "span.hpp"

namespace fedsecure {

constexpr std::uint64_t kMaxHadamard = std::uint64_t{1} << 30;

// x <- H x, H[i][j] = (-1)^popcount(i & j), in place: log2(n) passes of a + b, a - b over pairs at
// distance 1, 2, 4, ..., n / 2. H H x = n x up to rounding; dividing by sqrt(n) is the caller's.
// Only additions in a fixed graph, so the same bits on every machine and any number of threads (0:
// one per processor). Float: float or double. Throws std::invalid_argument unless the size is a
// power of two up to 2^30.
template <typename Float>
void hadamard(span<Float> x, unsigned threads);

// x[i] <- -x[i] where bit first + i of the seed's keystream (from the least significant bit of each
// byte on) is one. The seed may be public. Throws std::invalid_argument when the bits pass 2^63
// bytes.
template <typename Float>
void flip_signs(span<Float> x, const Seeds& seed, std::uint64_t first, unsigned threads);

}  // namespace fedsecure
