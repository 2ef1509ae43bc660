// Floats to fixed point and back in plain C++. Compiled without contraction into fused
// multiply-add, so that every machine rounds at the same places. No call into the C library:
// floor() is built from the conversion to an integer, or from additions alone where the numbers are
// small enough.
//
// Doubles are compared as integers, by the sign of a difference: comparing them as doubles makes
// compilers jump, which would tell the value by time, and even bool results made gcc chain the
// iterations together (three times slower). Without their sign bit, doubles are ordered as their
// bit patterns are, with infinity above all numbers and NaN above infinity.

#include "fixed_point.hpp"

#if defined(__FLT_EVAL_METHOD__) && __FLT_EVAL_METHOD__ != 0
#error "fixed point needs doubles that are computed as doubles (on x86: SSE2, not x87)"
#endif

namespace fedsecure::kernels {
namespace {

constexpr Bits kHalf = Bits{1023 - 1} << 52;  // 1/2
constexpr Bits kOne = Bits{1023} << 52;

constexpr std::size_t kStrip = 64;    // elements worked on in one go
constexpr std::size_t kAhead = 8192;  // bytes to fetch ahead

template <typename T>
inline void fetch_strip_ahead(const T* from) {
  for (std::size_t line = 0; line < kStrip * sizeof(T); line += 64)
    fetch_ahead(from, kAhead + line);
}

// What inspect finds, in counts and magnitudes that are as wide as the floats. A magnitude is a bit
// pattern without its sign bit. The largest one is found for each place of a strip apart, and
// strips are long enough not to be unrolled: so compilers make vectors of it.
template <typename Size>
struct Found {
  static constexpr unsigned kTop = 8 * sizeof(Size) - 1;
  Size limit;
  Size infinity;
  Size outside = 0;
  Size nonfinite = 0;
  Size max_abs[kStrip] = {};

  // Differences are negative where the second is larger.
  template <typename Float>
  void see(const Float* x, std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) {
      const Size size = load<Size>(x + i) & (~Size{0} >> 1);
      const Size infinite = (infinity - 1 - size) >> kTop;
      outside += ((limit - size) >> kTop) - ((infinity - size) >> kTop);
      nonfinite += infinite;
      const Size candidate = size & (infinite - 1);
      const Size is_larger = 0 - ((max_abs[i] - candidate) >> kTop);
      max_abs[i] ^= (max_abs[i] ^ candidate) & is_larger;
    }
  }
};

inline Bits widened(std::uint32_t size) { return to_bits(static_cast<double>(load<float>(&size))); }
inline Bits widened(Bits size) { return size; }

template <typename Size, typename Float>
void inspect_run(const Float* x, std::size_t count, Size limit, Size infinity,
                 FloatReport* report) {
  Found<Size> found{limit, infinity};
  std::size_t i = 0;
  for (; count - i >= kStrip; i += kStrip) {
    fetch_strip_ahead(x + i);
    found.see(x + i, kStrip);
  }
  found.see(x + i, count - i);
  report->outside += found.outside;
  report->nonfinite += found.nonfinite;
  Bits max_abs = to_bits(report->max_abs);
  for (const Size size : found.max_abs) max_abs = larger(max_abs, widened(size));
  report->max_abs = to_double(max_abs);
}

void inspect(const double* x, std::size_t count, double clip, FloatReport* report) {
  inspect_run(x, count, to_bits(clip) & ~kSign, kInfinity, report);
}

void inspect(const float* x, std::size_t count, double clip, FloatReport* report) {
  constexpr std::size_t kMaxRun = std::size_t{1} << 30;  // its counts fit in 32 bits
  for (std::size_t size = 0; count != 0; count -= size, x += size) {
    size = count < kMaxRun ? count : kMaxRun;
    inspect_run(x, size, float_limit(clip), kFloatInfinity, report);
  }
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

// Rounding of a t with |t| < 2^51 without conversions to integers, which have no vector form on the
// baseline processor. Both give kRounder plus the result.

struct NearestBelowTwo51 {
  static double round(double t, std::uint32_t) { return t + kRounder; }
};

struct StochasticBelowTwo51 {
  static double round(double t, std::uint32_t random) {
    const double nearest = (t + kRounder) - kRounder;
    // -0.0 is taken for a negative number, too: its fraction is 1 then, and it goes back up.
    const Bits above = to_bits(t - nearest) >> 63;
    const double whole = nearest - to_double((Bits{0} - above) & kOne);
    // An integer is less than another's floor if 1 more is not above the other.
    const double next = to_double(kTwo52Bits | random) - kTwo52Less1;
    const Bits stays = to_bits((t - whole) * kTwo32 - next) >> 63;
    return (whole + kRounder) + to_double((stays - 1) & kOne);
  }
};

template <typename Rounding, typename Float, typename Word>
void encode_below_two_51(const Float* x, std::size_t count, double factor, double clip,
                         const std::uint32_t* random, Word* out, FloatReport* report) {
  const Bits limit = to_bits(clip);
  std::uint64_t outside = 0;
  std::uint64_t nonfinite = 0;
  for (std::size_t i = 0; i < count; ++i) {
    const Bits value = to_bits(static_cast<double>(x[i]));
    const Bits size = value & ~kSign;
    const Bits beyond = (limit - size) >> 63;
    outside += beyond - ((kInfinity - size) >> 63);
    nonfinite += (kInfinity - 1 - size) >> 63;
    const Bits clipped = select(Bits{0} - beyond, limit, size) | (value & kSign);
    const double q =
        Rounding::round(to_double(clipped) * factor, random != nullptr ? random[i] : 0);
    out[i] = static_cast<Word>(to_bits(q) - kRounderBits);
  }
  report->outside += outside;
  report->nonfinite += nonfinite;
}

template <typename Float, typename Word>
void encode(const Float* x, std::size_t count, double factor, double clip,
            const std::uint32_t* random, Word* out, FloatReport* report) {
  if (all_below_two_51(factor, clip) && random != nullptr)
    encode_below_two_51<StochasticBelowTwo51>(x, count, factor, clip, random, out, report);
  else if (all_below_two_51(factor, clip))
    encode_below_two_51<NearestBelowTwo51>(x, count, factor, clip, random, out, report);
  else if (random != nullptr)
    encode_with<Stochastic>(x, count, factor, clip, random, out, report);
  else
    encode_with<HalfToEven>(x, count, factor, clip, random, out, report);
}

// The representative in [-2^(bits-1), 2^(bits-1)): shifting up and back down (arithmetically)
// extends the sign bit of the ring. 32 bits where they are enough: only those become doubles by
// vectors.
inline std::int64_t centred(std::uint64_t x, unsigned bits) {
  return static_cast<std::int64_t>(x << (64 - bits)) >> (64 - bits);
}
inline std::int32_t centred(std::uint32_t x, unsigned bits) {
  return static_cast<std::int32_t>(x << (32 - bits)) >> (32 - bits);
}
inline std::int32_t centred(std::uint16_t x, unsigned bits) {
  return centred(std::uint32_t{x}, bits);
}

template <typename Word, typename Float>
inline void decode_strip(const Word* x, std::size_t count, unsigned bits, double factor,
                         Float* out) {
  for (std::size_t i = 0; i < count; ++i)
    out[i] = static_cast<Float>(static_cast<double>(centred(x[i], bits)) * factor);
}

template <typename Word, typename Float>
void decode(const Word* x, std::size_t count, unsigned bits, double factor, Float* out) {
  std::size_t i = 0;
  for (; count - i >= kStrip; i += kStrip) {
    fetch_strip_ahead(x + i);
    decode_strip(x + i, kStrip, bits, factor, out + i);
  }
  decode_strip(x + i, count - i, bits, factor, out + i);
}

template <typename Float>
constexpr FloatKernels<Float> kTable = {
    inspect,
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
