// Floats to fixed point and back in plain C++. Compiled without contraction into fused
// multiply-add, so that every machine rounds at the same places. No call into the C library:
// floor() is built from the conversion to an integer.

#include "kernels.hpp"

namespace fedsecure::kernels {
namespace {

constexpr double kLargestFinite = 1.7976931348623157e308;
constexpr double kTooLarge = 4611686018427387904.0;  // 2^62

inline double absolute(double x) { return x < 0 ? -x : x; }

// False for NaN and infinities, of float too: widening keeps them.
inline bool is_finite(double x) { return absolute(x) <= kLargestFinite; }

template <typename Float>
void inspect(const Float* x, std::size_t count, double clip, FloatReport* report) {
  std::uint64_t outside = 0;
  std::uint64_t nonfinite = 0;
  double max_abs = report->max_abs;
  for (std::size_t i = 0; i < count; ++i) {
    const double size = absolute(static_cast<double>(x[i]));
    const bool finite = size <= kLargestFinite;
    outside += size > clip ? 1 : 0;
    nonfinite += finite ? 0 : 1;
    const double candidate = finite ? size : 0.0;
    max_abs = candidate > max_abs ? candidate : max_abs;
  }
  report->outside += outside;
  report->nonfinite += nonfinite;
  report->max_abs = max_abs;
}

// t = whole + fraction with whole = floor(t). Exact but for one rounding of the fraction, which
// only happens for t in (-1/2, 0) and may give 1.0. |t| < 2^62.
struct Split {
  std::int64_t whole;
  double fraction;
};

inline Split split(double t) {
  std::int64_t whole = static_cast<std::int64_t>(t);  // towards zero
  whole -= static_cast<double>(whole) > t ? 1 : 0;
  return {whole, t - static_cast<double>(whole)};
}

struct Stochastic {
  static std::int64_t round(Split t, std::uint32_t random) {
    const auto threshold = static_cast<std::int64_t>(t.fraction * 4294967296.0);
    return t.whole + (static_cast<std::int64_t>(random) < threshold ? 1 : 0);
  }
};

struct HalfToEven {
  static std::int64_t round(Split t, std::uint32_t) {
    const int above = t.fraction > 0.5 ? 1 : 0;
    const int tie = t.fraction == 0.5 ? 1 : 0;
    return t.whole + (above | (tie & static_cast<int>(t.whole & 1)));
  }
};

template <typename Rounding, typename Float, typename Word>
void encode_with(const Float* x, std::size_t count, double factor, double clip,
                 const std::uint32_t* random, Word* out, FloatReport* report) {
  std::uint64_t outside = 0;
  std::uint64_t nonfinite = 0;
  std::uint64_t too_large = 0;
  for (std::size_t i = 0; i < count; ++i) {
    const double value = static_cast<double>(x[i]);
    const bool above = value > clip;
    const bool below = value < -clip;
    double clipped = above ? clip : value;
    clipped = below ? -clip : clipped;
    double t = clipped * factor;
    const bool fits = absolute(t) < kTooLarge;  // false for NaN
    t = fits ? t : 0.0;                         // converting it would be undefined
    outside += above || below ? 1 : 0;
    nonfinite += is_finite(value) ? 0 : 1;
    too_large += fits ? 0 : 1;
    const std::int64_t q = Rounding::round(split(t), random != nullptr ? random[i] : 0);
    out[i] = static_cast<Word>(q);
  }
  report->outside += outside;
  report->nonfinite += nonfinite;
  report->too_large += too_large;
}

template <typename Float, typename Word>
void encode(const Float* x, std::size_t count, double factor, double clip,
            const std::uint32_t* random, Word* out, FloatReport* report) {
  if (random != nullptr)
    encode_with<Stochastic>(x, count, factor, clip, random, out, report);
  else
    encode_with<HalfToEven>(x, count, factor, clip, random, out, report);
}

template <typename Word, typename Float>
void decode(const Word* x, std::size_t count, unsigned bits, double factor, Float* out) {
  const unsigned unused = 64 - bits;
  for (std::size_t i = 0; i < count; ++i) {
    // Shifting up and back down (arithmetically) extends the sign bit of the ring.
    const auto high = static_cast<std::int64_t>(static_cast<std::uint64_t>(x[i]) << unused);
    out[i] = static_cast<Float>(static_cast<double>(high >> unused) * factor);
  }
}

template <typename Float>
constexpr FloatKernels<Float> kTable = {
    inspect<Float>,
    encode<Float, std::uint16_t>,
    encode<Float, std::uint32_t>,
    encode<Float, std::uint64_t>,
    decode<std::uint16_t, Float>,
    decode<std::uint32_t, Float>,
    decode<std::uint64_t, Float>,
};

}  // namespace

const FixedPointKernels kFixedPointPortable = {kTable<float>, kTable<double>};

}  // namespace fedsecure::kernels
