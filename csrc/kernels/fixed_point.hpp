// What the fixed-point kernels of several tiers share: bit patterns of doubles, and which values
// have a short way to their fixed point. Clip and factor are public, so which way is taken may
// depend on them.
#pragma once

#include "kernels.hpp"

namespace fedsecure::kernels {
namespace {

using Bits = std::uint64_t;

constexpr Bits kSign = Bits{1} << 63;
constexpr Bits kInfinity = Bits{0x7FF} << 52;
constexpr Bits kTooLarge = Bits{1023 + 62} << 52;  // 2^62

constexpr std::uint32_t kFloatSign = std::uint32_t{1} << 31;
constexpr std::uint32_t kFloatInfinity = std::uint32_t{0xFF} << 23;

constexpr double kTwo32 = 4294967296.0;

// 2^52 in whose mantissa a 32-bit word can be put; less 2^52 - 1, it is the word plus 1.
constexpr Bits kTwo52Bits = Bits{1023 + 52} << 52;
constexpr double kTwo52Less1 = 4503599627370495.0;

// 1.5 * 2^52: a t with |t| < 2^51 plus this is rounded to an integer, half to even, whose two's
// complement is in the lowest 52 bits of the sum.
constexpr double kRounder = 6755399441055744.0;
constexpr Bits kRounderBits = (Bits{1023 + 52} << 52) | (Bits{1} << 51);

// Whether all |t| are less: |t| is largest for the clip itself, to which NaN and infinity are
// clipped, too.
inline bool all_below_two_51(double factor, double clip) {
  return factor * clip < 2251799813685248.0;
}
// And whether t can be had in steps of 2^-32 by a factor that is 2^32 times larger.
inline bool all_below_two_30(double factor, double clip) {
  return factor * clip < 1073741824.0 && factor < 1e290;
}

inline Bits to_bits(double x) { return load<Bits>(&x); }
inline double to_double(Bits bits) { return load<double>(&bits); }

// All ones if a < b, else zero; a, b < 2^63. Masks count as -1 each.
inline Bits less(Bits a, Bits b) {
  return static_cast<Bits>(static_cast<std::int64_t>(a - b) >> 63);
}

inline Bits select(Bits mask, Bits yes, Bits no) { return (yes & mask) | (no & ~mask); }

inline Bits larger(Bits a, Bits b) { return select(less(a, b), b, a); }

// Bit pattern of the largest float that is not above clip, which may be infinite: a float is
// larger than clip if its pattern, without the sign, is larger than this.
inline std::uint32_t float_limit(double clip) {
  const auto nearest = static_cast<float>(clip);
  return load<std::uint32_t>(&nearest) - (static_cast<double>(nearest) > clip ? 1 : 0);
}

template <typename Float>
inline const FloatKernels<Float>& portable() {
  if constexpr (sizeof(Float) == 4) return kFixedPointPortable.f32;
  if constexpr (sizeof(Float) == 8) return kFixedPointPortable.f64;
}

template <typename Float, typename Word>
inline Encode<Float, Word> portable_encode() {
  if constexpr (sizeof(Word) == 2) return portable<Float>().encode_u16;
  if constexpr (sizeof(Word) == 4) return portable<Float>().encode_u32;
  if constexpr (sizeof(Word) == 8) return portable<Float>().encode_u64;
}

template <typename Word, typename Float>
inline Decode<Word, Float> portable_decode() {
  if constexpr (sizeof(Word) == 2) return portable<Float>().decode_u16;
  if constexpr (sizeof(Word) == 4) return portable<Float>().decode_u32;
  if constexpr (sizeof(Word) == 8) return portable<Float>().decode_u64;
}

}  // namespace
}  // namespace fedsecure::kernels
