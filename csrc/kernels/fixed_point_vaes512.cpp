// Floats to fixed point and back with AVX-512 (F, BW, VL, DQ; compiled with the flags of the tier,
// and without contraction into fused multiply-add). One step is 16 elements, as two registers of
// doubles; what is too little for a step is left to the portable kernel, the specification.
//
// Comparisons give mask registers, which select and are counted, but never decide a jump.

#include "clear_zmm.hpp"
#include "fixed_point.hpp"

namespace fedsecure::kernels {
namespace {

constexpr std::size_t kStep = 16;
constexpr std::size_t kAhead = 4096;  // bytes to fetch ahead
constexpr int kFloor = _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC;
constexpr int kNearest = _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC;

inline __m512i repeat(std::uint64_t value) {
  return _mm512_set1_epi64(static_cast<long long>(value));
}

inline __mmask8 low(__mmask16 mask) { return static_cast<__mmask8>(mask); }
inline __mmask8 high(__mmask16 mask) { return static_cast<__mmask8>(mask >> 8); }
inline __mmask16 join(__mmask8 first, __mmask8 second) {
  return static_cast<__mmask16>(_mm512_kunpackb(second, first));
}

inline std::uint64_t ones(__mmask16 mask) {
  return static_cast<std::uint64_t>(_mm_popcnt_u32(mask));
}

template <typename T>
inline void fetch_step_ahead(const T* from) {
  for (std::size_t line = 0; line < kStep * sizeof(T); line += 64) fetch_ahead(from, kAhead + line);
}

struct Doubles {
  __m512d low;
  __m512d high;
};

// A step of floats or doubles: as doubles, and their magnitudes as integers.
struct FloatStep {
  __m512i bits;
  Doubles value;

  explicit FloatStep(const float* x)
      : bits(_mm512_loadu_si512(x)),
        value{_mm512_cvtps_pd(_mm256_loadu_ps(x)), _mm512_cvtps_pd(_mm256_loadu_ps(x + 8))} {}

  __mmask16 negative() const { return _mm512_movepi32_mask(bits); }
  __m512i size() const { return _mm512_and_si512(bits, _mm512_set1_epi32(0x7FFFFFFF)); }
  __mmask16 above(__m512i limit) const { return _mm512_cmpgt_epi32_mask(size(), limit); }

  // The larger magnitudes of this and earlier steps, but for those of masked elements.
  __m512i maximum(__m512i earlier, __mmask16 without) const {
    return _mm512_mask_max_epi32(earlier, _mm512_knot(without), earlier, size());
  }
  static Bits largest_of(__m512i sizes) {
    const int largest = _mm512_reduce_max_epi32(sizes);
    return to_bits(static_cast<double>(load<float>(&largest)));
  }

  static __m512i limit(double clip) {
    return _mm512_set1_epi32(static_cast<int>(float_limit(clip)));
  }
  static __m512i largest() { return _mm512_set1_epi32(kFloatInfinity - 1); }
  static __m512i infinity() { return _mm512_set1_epi32(kFloatInfinity); }
};

struct DoubleStep {
  Doubles value;

  explicit DoubleStep(const double* x) : value{_mm512_loadu_pd(x), _mm512_loadu_pd(x + 8)} {}

  static __m512i bits(__m512d x) { return _mm512_castpd_si512(x); }
  static __m512i size(__m512d x) { return _mm512_and_si512(bits(x), repeat(~kSign)); }
  __mmask16 negative() const {
    return join(_mm512_movepi64_mask(bits(value.low)), _mm512_movepi64_mask(bits(value.high)));
  }
  __mmask16 above(__m512i limit) const {
    return join(_mm512_cmpgt_epi64_mask(size(value.low), limit),
                _mm512_cmpgt_epi64_mask(size(value.high), limit));
  }

  __m512i maximum(__m512i earlier, __mmask16 without) const {
    const __mmask16 with = _mm512_knot(without);
    earlier = _mm512_mask_max_epi64(earlier, low(with), earlier, size(value.low));
    return _mm512_mask_max_epi64(earlier, high(with), earlier, size(value.high));
  }
  static Bits largest_of(__m512i sizes) {
    return static_cast<Bits>(_mm512_reduce_max_epi64(sizes));
  }

  static __m512i limit(double clip) { return repeat(to_bits(clip) & ~kSign); }
  static __m512i largest() { return repeat(kInfinity - 1); }
  static __m512i infinity() { return repeat(kInfinity); }
};

template <typename Float>
struct StepOf {
  using Type = FloatStep;
};
template <>
struct StepOf<double> {
  using Type = DoubleStep;
};
template <typename Float>
using Step = typename StepOf<Float>::Type;

template <typename Float>
void inspect(const Float* x, std::size_t count, double clip, FloatReport* report) {
  const __m512i limit = Step<Float>::limit(clip);
  __m512i sizes = _mm512_setzero_si512();
  std::uint64_t outside = 0;
  std::uint64_t nonfinite = 0;
  std::size_t done = 0;
  for (; count - done >= kStep; done += kStep) {
    fetch_step_ahead(x + done);
    const Step<Float> step(x + done);
    const __mmask16 special = step.above(Step<Float>::largest());
    outside += ones(step.above(limit)) - ones(step.above(Step<Float>::infinity()));
    nonfinite += ones(special);
    sizes = step.maximum(sizes, special);
  }
  const Bits max_abs = Step<Float>::largest_of(sizes);
  report->max_abs = to_double(larger(to_bits(report->max_abs), max_abs));
  report->outside += outside;
  report->nonfinite += nonfinite;
  clear_zmm();
  portable<Float>().inspect(x + done, count - done, clip, report);
}

// 8 of the 16 elements of a step on their way to integers.
struct Lane {
  __m512d value;  // clipped
  __mmask8 negative;
  const std::uint32_t* random;

  __m512i word() const {
    return _mm512_cvtepu32_epi64(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(random)));
  }
};

// The ways to round. Each gives a 64-bit integer whose bits from kShift on are the result, plus 1
// for negative values if kMoved, and counts in `fits` the values that are not too large.

struct NearestBelowTwo51 {
  static constexpr bool kRandom = false, kMoved = false;
  static constexpr unsigned kShift = 0;
  __m512d factor;

  explicit NearestBelowTwo51(double f) : factor(_mm512_set1_pd(f)) {}
  __m512i round(const Lane& x, std::uint64_t*) const {
    const __m512d t = _mm512_mul_pd(x.value, factor);
    const __m512d sum = _mm512_add_pd(t, _mm512_set1_pd(kRounder));
    return _mm512_sub_epi64(_mm512_castpd_si512(sum), repeat(kRounderBits));
  }
};

// In steps of 2^-32, to which the complement of the random word is added: it carries into the whole
// part where the fraction is larger than the word. Adding 1 to a negative t rounds its fraction as
// the specification does.
struct StochasticBelowTwo30 {
  static constexpr bool kRandom = true, kMoved = true;
  static constexpr unsigned kShift = 32;
  __m512d factor;

  explicit StochasticBelowTwo30(double f) : factor(_mm512_set1_pd(f * kTwo32)) {}
  __m512i round(const Lane& x, std::uint64_t*) const {
    const __m512d t = _mm512_mul_pd(x.value, factor);
    const __m512d moved = _mm512_mask_add_pd(t, x.negative, t, _mm512_set1_pd(kTwo32));
    const __m512i steps = _mm512_cvt_roundpd_epi64(moved, kFloor);
    return _mm512_add_epi64(_mm512_sub_epi64(steps, x.word()), repeat(0xFFFFFFFF));
  }
};

// Any factor: what is too large becomes 0.
template <bool kStochastic>
struct AnySize {
  static constexpr bool kRandom = kStochastic, kMoved = false;
  static constexpr unsigned kShift = 0;
  __m512d factor;

  explicit AnySize(double f) : factor(_mm512_set1_pd(f)) {}
  __m512i round(const Lane& x, std::uint64_t* too_large) const {
    __m512d t = _mm512_mul_pd(x.value, factor);
    const __mmask8 fits = _mm512_cmplt_epi64_mask(DoubleStep::size(t), repeat(kTooLarge));
    *too_large += 8 - ones(fits);
    t = _mm512_maskz_mov_pd(fits, t);
    if constexpr (!kStochastic) return _mm512_cvt_roundpd_epi64(t, kNearest);
    const __m512i whole = _mm512_cvt_roundpd_epi64(t, kFloor);
    const __m512d fraction = _mm512_sub_pd(t, _mm512_cvtepi64_pd(whole));
    const __m512i steps = _mm512_cvttpd_epi64(_mm512_mul_pd(fraction, _mm512_set1_pd(kTwo32)));
    const __m512i sum = _mm512_add_epi64(_mm512_sub_epi64(steps, x.word()), repeat(0xFFFFFFFF));
    return _mm512_add_epi64(whole, _mm512_srli_epi64(sum, 32));
  }
};

inline __m512d clipped(__m512d x, __mmask8 beyond, __m512i limit) {
  constexpr int kAndOr = 0xEA;  // (x & sign) | limit
  return _mm512_castsi512_pd(
      _mm512_mask_ternarylogic_epi64(_mm512_castpd_si512(x), beyond, repeat(kSign), limit, kAndOr));
}

// Writes the bits from kShift on of 16 integers, less 1 where `moved`.
template <unsigned kShift, typename Word>
inline void put(Word* out, __m512i first, __m512i second, __mmask16 moved) {
  if constexpr (sizeof(Word) == 8) {
    const __m512i one = repeat(1);
    first = _mm512_srai_epi64(first, kShift);
    second = _mm512_srai_epi64(second, kShift);
    _mm512_storeu_si512(out, _mm512_mask_sub_epi64(first, low(moved), first, one));
    _mm512_storeu_si512(out + 8, _mm512_mask_sub_epi64(second, high(moved), second, one));
  } else {
    constexpr int k = kShift / 32;
    const __m512i halves =
        _mm512_set_epi32(30 + k, 28 + k, 26 + k, 24 + k, 22 + k, 20 + k, 18 + k, 16 + k, 14 + k,
                         12 + k, 10 + k, 8 + k, 6 + k, 4 + k, 2 + k, k);
    __m512i all = _mm512_permutex2var_epi32(first, halves, second);
    all = _mm512_mask_sub_epi32(all, moved, all, _mm512_set1_epi32(1));
    if constexpr (sizeof(Word) == 4)
      _mm512_storeu_si512(out, all);
    else
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(out), _mm512_cvtepi32_epi16(all));
  }
}

// Returns how many elements it encoded.
template <typename Rounding, typename Float, typename Word>
inline std::size_t encode_steps(const Float* x, std::size_t count, double factor, double clip,
                                const std::uint32_t* random, Word* out, FloatReport* report) {
  const Rounding rounding(factor);
  const __m512i limit = Step<Float>::limit(clip);
  const __m512i clip_bits = repeat(to_bits(clip));
  std::uint64_t outside = 0;
  std::uint64_t nonfinite = 0;
  std::uint64_t too_large = 0;
  std::size_t done = 0;
  for (; count - done >= kStep; done += kStep) {
    fetch_step_ahead(x + done);
    const Step<Float> step(x + done);
    const __mmask16 beyond = step.above(limit);
    outside += ones(beyond) - ones(step.above(Step<Float>::infinity()));
    nonfinite += ones(step.above(Step<Float>::largest()));
    const __mmask16 negative = Rounding::kMoved ? step.negative() : __mmask16{0};
    const std::uint32_t* const words = Rounding::kRandom ? random + done : nullptr;
    const Lane first{clipped(step.value.low, low(beyond), clip_bits), low(negative), words};
    const Lane second{clipped(step.value.high, high(beyond), clip_bits), high(negative),
                      Rounding::kRandom ? words + 8 : nullptr};
    put<Rounding::kShift>(out + done, rounding.round(first, &too_large),
                          rounding.round(second, &too_large), negative);
  }
  report->outside += outside;
  report->nonfinite += nonfinite;
  report->too_large += too_large;
  clear_zmm();
  return done;
}

template <typename Float, typename Word>
void encode(const Float* x, std::size_t count, double factor, double clip,
            const std::uint32_t* random, Word* out, FloatReport* report) {
  std::size_t done;
  if (random == nullptr && all_below_two_51(factor, clip))
    done = encode_steps<NearestBelowTwo51>(x, count, factor, clip, random, out, report);
  else if (random == nullptr)
    done = encode_steps<AnySize<false>>(x, count, factor, clip, random, out, report);
  else if (all_below_two_30(factor, clip))
    done = encode_steps<StochasticBelowTwo30>(x, count, factor, clip, random, out, report);
  else
    done = encode_steps<AnySize<true>>(x, count, factor, clip, random, out, report);
  portable_encode<Float, Word>()(x + done, count - done, factor, clip,
                                 random == nullptr ? nullptr : random + done, out + done, report);
}

// 8 ring elements as doubles. Shifting up and back down (arithmetically) extends the sign bit.
inline __m512d centred(const std::uint64_t* x, __m128i unused) {
  const __m512i high = _mm512_sll_epi64(_mm512_loadu_si512(x), unused);
  return _mm512_cvtepi64_pd(_mm512_sra_epi64(high, unused));
}

inline __m512d centred(__m256i x, __m128i unused) {
  return _mm512_cvtepi32_pd(_mm256_sra_epi32(_mm256_sll_epi32(x, unused), unused));
}

inline __m512d centred(const std::uint32_t* x, __m128i unused) {
  return centred(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(x)), unused);
}

inline __m512d centred(const std::uint16_t* x, __m128i unused) {
  const __m128i words = _mm_loadu_si128(reinterpret_cast<const __m128i*>(x));
  return centred(_mm256_cvtepu16_epi32(words), unused);
}

inline void put(float* out, __m512d x) { _mm256_storeu_ps(out, _mm512_cvtpd_ps(x)); }
inline void put(double* out, __m512d x) { _mm512_storeu_pd(out, x); }

template <typename Word, typename Float>
void decode(const Word* x, std::size_t count, unsigned bits, double factor, Float* out) {
  const unsigned width = sizeof(Word) == 8 ? 64 : 32;
  const __m128i unused = _mm_cvtsi32_si128(static_cast<int>(width - bits));
  const __m512d factors = _mm512_set1_pd(factor);
  std::size_t done = 0;
  for (; count - done >= kStep; done += kStep) {
    fetch_step_ahead(x + done);
    for (std::size_t i = done; i < done + kStep; i += 8)
      put(out + i, _mm512_mul_pd(centred(x + i, unused), factors));
  }
  clear_zmm();
  portable_decode<Word, Float>()(x + done, count - done, bits, factor, out + done);
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

const FixedPointKernels kFixedPointVaes512 = {kTable<float>, kTable<double>};

}  // namespace fedsecure::kernels
