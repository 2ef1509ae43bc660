// Floats to fixed point and back in plain C++. Compiled without contraction into fused
// multiply-add, so that every machine rounds at the same places. No call into the C library:
// floor() is built from the conversion to an integer.
//
// Doubles are compared as integers, by the sign of a difference: comparing them as doubles makes
// compilers jump, which would tell the value by time, and even bool results made gcc chain the
// iterations together (three times slower). Without their sign bit, doubles are ordered as their
// bit patterns are, with infinity above all numbers and NaN above infinity.

#include "kernels.hpp"

#if defined(__FLT_EVAL_METHOD__) && __FLT_EVAL_METHOD__ != 0
#error "fixed point needs doubles that are computed as doubles (on x86: SSE2, not x87)"
#endif

namespace fedsecure::kernels {
namespace {

using Bits = std::uint64_t;

constexpr Bits kSign = Bits{1} << 63;
constexpr Bits kInfinity = Bits{0x7FF} << 52;
constexpr Bits kTooLarge = Bits{1023 + 62} << 52;  // 2^62
constexpr Bits kHalf = Bits{1023 - 1} << 52;       // 1/2

inline Bits to_bits(double x) { return load<Bits>(&x); }
inline double to_double(Bits bits) { return load<double>(&bits); }

// All ones if a < b, else zero; a, b < 2^63. Masks count as -1 each.
inline Bits less(Bits a, Bits b) {
  return static_cast<Bits>(static_cast<std::int64_t>(a - b) >> 63);
}

inline Bits select(Bits mask, Bits yes, Bits no) { return (yes & mask) | (no & ~mask); }

template <typename Float>
void inspect(const Float* x, std::size_t count, double clip, FloatReport* report) {
  const Bits limit = to_bits(clip) & ~kSign;
  std::uint64_t outside = 0;
  std::uint64_t nonfinite = 0;
  Bits max_abs = to_bits(report->max_abs);
  for (std::size_t i = 0; i < count; ++i) {
    const Bits size = to_bits(static_cast<double>(x[i])) & ~kSign;
    const Bits finite = less(size, kInfinity);
    const Bits nan = less(kInfinity, size);
    outside -= less(limit, size) & ~nan;
    nonfinite -= ~finite;
    const Bits candidate = size & finite;
    max_abs = select(less(max_abs, candidate), candidate, max_abs);
  }
  report->outside += outside;
  report->nonfinite += nonfinite;
  report->max_abs = to_double(max_abs);
}

// t = whole + fraction with whole = floor(t). Exact but for one rounding of the fraction, which
// only happens for t in (-1/2, 0) and may give 1.0. |t| < 2^62.
struct Split {
  std::int64_t whole;
  double fraction;
};

inline Split split(double t) {
  std::int64_t whole = static_cast<std::int64_t>(t);          // towards zero
  const Bits rest = to_bits(t - static_cast<double>(whole));  // of something in (-1, 1)
  const Bits negative = Bits{0} - (rest >> 63);               // or -0.0
  const Bits nonzero = less(0, rest & ~kSign);
  whole += static_cast<std::int64_t>(negative & nonzero);
  return {whole, t - static_cast<double>(whole)};
}

struct Stochastic {
  static std::int64_t round(Split t, std::uint32_t random) {
    const auto threshold = static_cast<std::int64_t>(t.fraction * 4294967296.0);
    return t.whole - static_cast<std::int64_t>(less(random, static_cast<Bits>(threshold)));
  }
};

struct HalfToEven {
  static std::int64_t round(Split t, std::uint32_t) {
    const Bits fraction = to_bits(t.fraction) & ~kSign;  // never negative, but maybe -0.0
    const Bits above = less(kHalf, fraction);
    const Bits tie = ~above & ~less(fraction, kHalf);
    const Bits odd = Bits{0} - (static_cast<Bits>(t.whole) & 1);
    return t.whole - static_cast<std::int64_t>(above | (tie & odd));
  }
};

template <typename Rounding, typename Float, typename Word>
void encode_with(const Float* x, std::size_t count, double factor, double clip,
                 const std::uint32_t* random, Word* out, FloatReport* report) {
  const Bits limit = to_bits(clip);
  std::uint64_t outside = 0;
  std::uint64_t nonfinite = 0;
  std::uint64_t too_large = 0;
  for (std::size_t i = 0; i < count; ++i) {
    const Bits value = to_bits(static_cast<double>(x[i]));
    const Bits size = value & ~kSign;
    const Bits beyond = less(limit, size);
    const Bits clipped = select(beyond, limit, size) | (value & kSign);
    const Bits t = to_bits(to_double(clipped) * factor);
    const Bits fits = less(t & ~kSign, kTooLarge);  // otherwise converting it would be undefined
    outside -= beyond & ~less(kInfinity, size);
    nonfinite -= ~less(size, kInfinity);
    too_large -= ~fits;
    const Split parts = split(to_double(t & fits));
    out[i] = static_cast<Word>(Rounding::round(parts, random != nullptr ? random[i] : 0));
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
