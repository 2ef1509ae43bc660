// Floats to ring elements (fixed point, two's complement) and back.
//
// encode: t = double(x clipped to [-clip, clip]) * factor, then
//   nearest:    q = t rounded half to even;
//   stochastic: q = floor(t) + (u < floor((t - floor(t)) * 2^32)), with u = the 32-bit word of the
//               PRG that belongs to this element. E[q] = t up to 2^-32.
// All in double, each operation rounded once, no fused multiply-add: the same bits on every
// machine. out[i] = q mod 2^lane.
#pragma once

#include <cstdint>
#include <functional>

#include "kernels/kernels.hpp"
#include "parallel.hpp"
#include "prg.hpp"
#include "span.hpp"

namespace fedsecure {

using kernels::FloatReport;

// Counts values outside [-clip, clip] and non-finite ones, and finds the largest finite magnitude.
// clip >= 0. Float: float or double.
template <typename Float>
FloatReport inspect(span<const Float> x, double clip, unsigned threads);

struct EncodeOptions {
  double factor;        // units per 1.0 of x; finite, > 0
  double clip;          // finite, > 0
  Seeds seed;           // one for stochastic rounding, none for nearest
  std::uint64_t first;  // element i uses 32-bit PRG word first + i
  unsigned threads;     // 0: one per processor
};

// Throws std::invalid_argument unless the options are possible for that many elements.
void check_options(const EncodeOptions& options, std::uint64_t size);

// What parallel_for calls, with a report of its own for each chunk; and the report of the whole
// range, put together from those of the chunks (their order does not matter).
using ReportingBody =
    std::function<void(std::uint64_t begin, std::uint64_t end, FloatReport* report)>;
FloatReport collect(const Range& range, unsigned threads, const ReportingBody& body);

// How many values were clipped; throws std::invalid_argument when some could not be encoded.
std::uint64_t checked(const FloatReport& report);

// Returns how many x were outside [-clip, clip] (and were clipped). Throws std::invalid_argument,
// with out unspecified, when an x is not finite or a |t| is 2^62 or more; with out unchanged when
// the options are wrong or the words pass 2^63 bytes of keystream. Random words are wiped.
template <typename Float, typename Word>
std::uint64_t encode(span<const Float> x, const EncodeOptions& options, span<Word> out);

// out[i] = Float(double(c) * factor), c = the representative of x[i] mod 2^bits in
// [-2^(bits-1), 2^(bits-1)). Throws std::invalid_argument on sizes, bits, or a non-finite factor.
template <typename Word, typename Float>
void decode(span<const Word> x, unsigned bits, double factor, span<Float> out, unsigned threads);

}  // namespace fedsecure
