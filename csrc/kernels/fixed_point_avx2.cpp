// Floats to fixed point and back with AVX2 (compiled with the flags of the tier, and without
// contraction into fused multiply-add). One step is 8 elements, as two registers of doubles. AVX2
// does not convert between doubles and 64-bit integers, so |t| < 2^51 is needed (see kRounder);
// larger ones, and what is too little for a step, are left to the portable kernel, the
// specification.
//
// Comparisons give masks of -1, which select and are counted, but never decide a jump.

#include <immintrin.h>

#include "fixed_point.hpp"

namespace fedsecure::kernels {
namespace {

constexpr std::size_t kStep = 8;
constexpr std::size_t kAhead = 4096;  // bytes to fetch ahead
// Elements of one run of steps, whose counts fit in 32 bits.
constexpr std::size_t kMaxRun = std::size_t{1} << 24;

inline __m256i repeat(std::uint64_t value) {
  return _mm256_set1_epi64x(static_cast<long long>(value));
}

inline __m256i get(const void* from) {
  return _mm256_loadu_si256(static_cast<const __m256i*>(from));
}

inline __m128i get_half(const void* from) {
  return _mm_loadu_si128(static_cast<const __m128i*>(from));
}

inline void put(void* to, __m256i value) { _mm256_storeu_si256(static_cast<__m256i*>(to), value); }

inline __m256d magnitude(__m256d x) {
  return _mm256_andnot_pd(_mm256_castsi256_pd(repeat(kSign)), x);
}

// A step of floats or doubles: as doubles, and their magnitudes as integers. What is counted or
// largest is found for each place in a register first.
struct FloatStep {
  __m256i size;
  __m256d low;
  __m256d high;

  explicit FloatStep(const float* x)
      : size(_mm256_and_si256(get(x), _mm256_set1_epi32(0x7FFFFFFF))),
        low(_mm256_cvtps_pd(_mm_loadu_ps(x))),
        high(_mm256_cvtps_pd(_mm_loadu_ps(x + 4))) {}

  // Less 1 in the place of each element whose magnitude is above the limit.
  __m256i above(__m256i limit) const { return _mm256_cmpgt_epi32(size, limit); }
  static __m256i add(__m256i a, __m256i b) { return _mm256_add_epi32(a, b); }
  static __m256i sub(__m256i a, __m256i b) { return _mm256_sub_epi32(a, b); }
  static std::uint64_t total(__m256i counts) {
    alignas(32) std::uint32_t all[8];
    put(all, counts);
    std::uint64_t sum = 0;
    for (const std::uint32_t one : all) sum += one;
    return sum;
  }

  // The larger of the finite magnitudes of this and earlier steps.
  __m256i maximum(__m256i earlier) const {
    return _mm256_max_epi32(earlier, _mm256_andnot_si256(above(largest()), size));
  }
  static Bits largest_of(__m256i sizes) {
    float all[8];
    put(all, sizes);
    Bits found = 0;
    for (const float one : all) found = larger(found, to_bits(static_cast<double>(one)));
    wipe(all, sizeof all);
    return found;
  }

  static __m256i limit(double clip) {
    return _mm256_set1_epi32(static_cast<int>(float_limit(clip)));
  }
  static __m256i largest() { return _mm256_set1_epi32(kFloatInfinity - 1); }
  static __m256i infinity() { return _mm256_set1_epi32(kFloatInfinity); }
};

struct DoubleStep {
  __m256d low;
  __m256d high;

  explicit DoubleStep(const double* x) : low(_mm256_loadu_pd(x)), high(_mm256_loadu_pd(x + 4)) {}

  static __m256i size(__m256d x) { return _mm256_castpd_si256(magnitude(x)); }
  __m256i above(__m256i limit) const {
    return add(_mm256_cmpgt_epi64(size(low), limit), _mm256_cmpgt_epi64(size(high), limit));
  }
  static __m256i add(__m256i a, __m256i b) { return _mm256_add_epi64(a, b); }
  static __m256i sub(__m256i a, __m256i b) { return _mm256_sub_epi64(a, b); }
  static std::uint64_t total(__m256i counts) {
    std::uint64_t all[4];
    put(all, counts);
    return all[0] + all[1] + all[2] + all[3];
  }

  static __m256d finite(__m256d x) {
    const __m256i infinite = _mm256_cmpgt_epi64(size(x), largest());
    return _mm256_castsi256_pd(_mm256_andnot_si256(infinite, size(x)));
  }
  __m256i maximum(__m256i earlier) const {
    const __m256d larger_one = _mm256_max_pd(finite(low), finite(high));
    return _mm256_castpd_si256(_mm256_max_pd(_mm256_castsi256_pd(earlier), larger_one));
  }
  static Bits largest_of(__m256i sizes) {
    Bits all[4];
    put(all, sizes);
    const Bits found = larger(larger(all[0], all[1]), larger(all[2], all[3]));
    wipe(all, sizeof all);
    return found;
  }

  static __m256i limit(double clip) { return repeat(to_bits(clip) & ~kSign); }
  static __m256i largest() { return repeat(kInfinity - 1); }
  static __m256i infinity() { return repeat(kInfinity); }
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
struct Counts {
  using S = Step<Float>;
  __m256i limit;
  __m256i outside = _mm256_setzero_si256();
  __m256i nonfinite = _mm256_setzero_si256();

  explicit Counts(double clip) : limit(S::limit(clip)) {}
  void see(const S& step) {
    outside = S::add(S::sub(outside, step.above(limit)), step.above(S::infinity()));
    nonfinite = S::sub(nonfinite, step.above(S::largest()));
  }
  void report(FloatReport* to) const {
    to->outside += S::total(outside);
    to->nonfinite += S::total(nonfinite);
  }
};

// The functions that end in _steps return how many elements they did.

template <typename Float>
inline std::size_t inspect_steps(const Float* x, std::size_t count, double clip,
                                 FloatReport* report) {
  Counts<Float> counts(clip);
  __m256i sizes = _mm256_setzero_si256();
  std::size_t done = 0;
  for (; count - done >= kStep && done < kMaxRun; done += kStep) {
    fetch_ahead(x + done, kAhead);
    const Step<Float> step(x + done);
    counts.see(step);
    sizes = step.maximum(sizes);
  }
  counts.report(report);
  report->max_abs = to_double(larger(to_bits(report->max_abs), Step<Float>::largest_of(sizes)));
  _mm256_zeroall();
  return done;
}

template <typename Float>
void inspect(const Float* x, std::size_t count, double clip, FloatReport* report) {
  std::size_t done = 0;
  while (count - done >= kStep) done += inspect_steps(x + done, count - done, clip, report);
  portable<Float>().inspect(x + done, count - done, clip, report);
}

// Rounding of 4 values with |t| < 2^51: kRounderBits plus the result.

struct Nearest {
  static __m256i round(__m256d t, const std::uint32_t*) {
    return _mm256_castpd_si256(_mm256_add_pd(t, _mm256_set1_pd(kRounder)));
  }
};

struct Stochastic {
  static __m256i round(__m256d t, const std::uint32_t* random) {
    const __m256d whole = _mm256_floor_pd(t);
    const __m256d steps = _mm256_mul_pd(_mm256_sub_pd(t, whole), _mm256_set1_pd(kTwo32));
    // An integer is less than another number's floor if 1 more is not above that number.
    const __m256i word =
        _mm256_or_si256(_mm256_cvtepu32_epi64(get_half(random)), repeat(kTwo52Bits));
    const __m256d next = _mm256_sub_pd(_mm256_castsi256_pd(word), _mm256_set1_pd(kTwo52Less1));
    const __m256d up = _mm256_cmp_pd(next, steps, _CMP_LE_OQ);
    const __m256d sum = _mm256_add_pd(whole, _mm256_set1_pd(kRounder));
    return _mm256_sub_epi64(_mm256_castpd_si256(sum), _mm256_castpd_si256(up));
  }
};

inline __m256d clipped(__m256d x, __m256d clip) {
  const __m256d sign = _mm256_and_pd(x, _mm256_castsi256_pd(repeat(kSign)));
  return _mm256_or_pd(_mm256_min_pd(magnitude(x), clip), sign);  // of NaN: clip
}

template <typename Word>
inline void put_steps(Word* out, __m256i low, __m256i high) {
  if constexpr (sizeof(Word) == 8) {
    put(out, _mm256_sub_epi64(low, repeat(kRounderBits)));
    put(out + 4, _mm256_sub_epi64(high, repeat(kRounderBits)));
  } else {
    // The low halves of either's, whose elements then are in the order 0 1 4 5 2 3 6 7.
    const __m256i words = _mm256_castps_si256(
        _mm256_shuffle_ps(_mm256_castsi256_ps(low), _mm256_castsi256_ps(high), 0x88));
    const __m256i ordered = _mm256_permute4x64_epi64(words, 0xD8);
    if constexpr (sizeof(Word) == 4) {
      put(out, ordered);
    } else {
      const __m256i small = _mm256_and_si256(ordered, _mm256_set1_epi32(0xFFFF));
      const __m128i all =
          _mm_packus_epi32(_mm256_castsi256_si128(small), _mm256_extracti128_si256(small, 1));
      _mm_storeu_si128(reinterpret_cast<__m128i*>(out), all);
    }
  }
}

template <typename Rounding, typename Float, typename Word>
inline std::size_t encode_steps(const Float* x, std::size_t count, double factor, double clip,
                                const std::uint32_t* random, Word* out, FloatReport* report) {
  const __m256d factors = _mm256_set1_pd(factor);
  const __m256d clips = _mm256_set1_pd(clip);
  Counts<Float> counts(clip);
  std::size_t done = 0;
  for (; count - done >= kStep && done < kMaxRun; done += kStep) {
    fetch_ahead(x + done, kAhead);
    const Step<Float> step(x + done);
    counts.see(step);
    const __m256d low = _mm256_mul_pd(clipped(step.low, clips), factors);
    const __m256d high = _mm256_mul_pd(clipped(step.high, clips), factors);
    const std::uint32_t* const words = random == nullptr ? nullptr : random + done;
    put_steps(out + done, Rounding::round(low, words),
              Rounding::round(high, random == nullptr ? nullptr : words + 4));
  }
  counts.report(report);
  _mm256_zeroall();
  return done;
}

template <typename Float, typename Word>
void encode(const Float* x, std::size_t count, double factor, double clip,
            const std::uint32_t* random, Word* out, FloatReport* report) {
  std::size_t done = 0;
  while (all_below_two_51(factor, clip) && count - done >= kStep) {
    const std::size_t left = count - done;
    if (random == nullptr)
      done += encode_steps<Nearest>(x + done, left, factor, clip, random, out + done, report);
    else
      done +=
          encode_steps<Stochastic>(x + done, left, factor, clip, random + done, out + done, report);
  }
  portable_encode<Float, Word>()(x + done, count - done, factor, clip,
                                 random == nullptr ? nullptr : random + done, out + done, report);
}

// 4 elements of Z_2^bits as doubles.
struct Ring {
  __m128i unused;  // of 32 bits
  __m256i mask;
  __m256i sign;

  explicit Ring(unsigned bits)
      : unused(_mm_cvtsi32_si128(static_cast<int>(32 - bits))),
        mask(repeat(~Bits{0} >> (64 - bits))),
        sign(repeat(Bits{1} << (bits - 1))) {}

  // Shifting up and back down (arithmetically) extends the sign bit.
  __m256d centred(__m128i x) const {
    return _mm256_cvtepi32_pd(_mm_sra_epi32(_mm_sll_epi32(x, unused), unused));
  }
  __m256d centred(const std::uint16_t* x) const {
    return centred(_mm_cvtepu16_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(x))));
  }
  __m256d centred(const std::uint32_t* x) const { return centred(get_half(x)); }
  // The upper and the lower half as doubles, each exact in the mantissa of a power of two (2^84,
  // 2^52), which are taken off again; only adding the halves rounds.
  __m256d centred(const std::uint64_t* x) const {
    const __m256i up = _mm256_xor_si256(_mm256_and_si256(get(x), mask), sign);
    const __m256i value = _mm256_sub_epi64(up, sign);
    const __m256i upper =
        _mm256_xor_si256(_mm256_srli_epi64(value, 32), repeat(0x4530000080000000));
    const __m256i lower = _mm256_blend_epi32(value, repeat(kTwo52Bits), 0xAA);
    const __m256d taken_off = _mm256_set1_pd(0x1p84 + 0x1p63 + 0x1p52);
    return _mm256_add_pd(_mm256_sub_pd(_mm256_castsi256_pd(upper), taken_off),
                         _mm256_castsi256_pd(lower));
  }
};

inline void put_floats(float* out, __m256d x) { _mm_storeu_ps(out, _mm256_cvtpd_ps(x)); }
inline void put_floats(double* out, __m256d x) { _mm256_storeu_pd(out, x); }

template <typename Word, typename Float>
void decode(const Word* x, std::size_t count, unsigned bits, double factor, Float* out) {
  const Ring ring(bits);
  const __m256d factors = _mm256_set1_pd(factor);
  std::size_t done = 0;
  for (; count - done >= kStep; done += kStep) {
    fetch_ahead(x + done, kAhead);
    for (std::size_t i = done; i < done + kStep; i += 4)
      put_floats(out + i, _mm256_mul_pd(ring.centred(x + i), factors));
  }
  _mm256_zeroall();
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

const FixedPointKernels kFixedPointAvx2 = {kTable<float>, kTable<double>};

}  // namespace fedsecure::kernels
