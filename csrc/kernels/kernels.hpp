// The contract of every kernel. A tier ("portable", "aesni", ...) is a set of these tables; all
// tiers give the same bits, and the portable one is the specification.
//
// A kernel file is named <primitive>_<tier>.cpp and is bare: this header (or one that several tiers
// share, as prg_x86.hpp), intrinsics, integers. No STL, allocation, exceptions or threads, and
// nothing with external linkage but its const table: an inline function compiled with wider
// instruction flags would become a weak symbol, which the linker may then choose for every caller,
// also on processors without those instructions.
//
// "Constant time" below: neither branches nor memory addresses depend on keys, keystream or ring
// values; lengths, widths, signs and positions are public.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "../wipe.hpp"

#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "fedsecure's kernels and wire format are little-endian; big-endian hosts are not supported"
#endif

namespace fedsecure::kernels {

constexpr std::size_t kBlockBytes = 64;  // of keystream: 4 blocks of AES, or one of ChaCha20
constexpr std::size_t kNonceBytes = 8;
constexpr std::size_t kAesBlockBytes = 16;
constexpr std::size_t kAesRounds = 14;  // at most, with keys of 256 bits
constexpr std::size_t kMaxSeedBytes = 40;

// An expanded seed. Secret: holders wipe it.
struct PrgKey {
  // Round keys 0, 1, ... of AES one after the other, or the 32 bytes of a key of ChaCha20.
  alignas(16) std::uint8_t key[(kAesRounds + 1) * kAesBlockBytes];
  std::uint8_t nonce[kNonceBytes];
};

// acc[i] += sum over j of signs[j] * word i of the keystream of keys[j] that starts at first_block,
// wrapping in the lane. signs are +1 or -1. Word i is little-endian at byte i * sizeof(Word).
template <typename Word>
using AddMasks = void (*)(Word* acc, std::size_t count, const PrgKey* keys,
                          const std::int8_t* signs, std::size_t num_keys,
                          std::uint64_t first_block);

// One cipher in counter mode. All constant time. Stack copies of keys, keystream and states are
// wiped.
struct CipherKernels {
  // A seed is the key, then the nonce.
  void (*expand_key)(const std::uint8_t* seed, PrgKey* key);
  // num_blocks * 64 bytes of keystream to out, from block first_block on.
  void (*keystream)(const PrgKey& key, std::uint64_t first_block, std::size_t num_blocks,
                    std::uint8_t* out);
  AddMasks<std::uint16_t> add_masks_u16;
  AddMasks<std::uint32_t> add_masks_u32;
  AddMasks<std::uint64_t> add_masks_u64;
};

// AES-CTR (NIST SP 800-38A, section 6.5; FIPS 197) has counter blocks nonce || number of the AES
// block, 64 bits big-endian. ChaCha20 (RFC 8439, section 2.3) has the block number in words 12 and
// 13, the lower half first, and the nonce in 14 and 15.
struct PrgKernels {
  CipherKernels aes128;
  CipherKernels aes256;
  CipherKernels chacha20;
};

// Vectors over Z_2^bits, 8 <= bits <= width of Word. Packed form: element i takes bits
// [i*bits, (i+1)*bits) of a little-endian bit string (LSB first), unused bits of the last byte are
// zero. Packed buffers hold exactly ceil(count * bits / 8) bytes, none is touched beyond. Constant
// time. Buffers do not overlap.
template <typename Word>
struct LaneKernels {
  // acc[i] += x[i]; acc == x is allowed.
  void (*add)(Word* acc, const Word* x, std::size_t count);
  // Values are reduced mod 2^bits.
  void (*pack)(const Word* x, std::size_t count, unsigned bits, std::uint8_t* out);
  // Gives values < 2^bits; padding bits are ignored (the caller checks them).
  void (*unpack)(const std::uint8_t* data, std::size_t count, unsigned bits, Word* out);
  // acc[i] += unpacked value, wrapping in the lane.
  void (*unpack_add)(const std::uint8_t* data, std::size_t count, unsigned bits, Word* acc);
};

struct PackKernels {
  LaneKernels<std::uint16_t> u16;
  LaneKernels<std::uint32_t> u32;
  LaneKernels<std::uint64_t> u64;
};

// What a pass over floats found; kernels add to it.
struct FloatReport {
  std::uint64_t outside = 0;    // |x| > clip, infinities included, NaN not
  std::uint64_t nonfinite = 0;  // NaN or infinite
  std::uint64_t too_large = 0;  // |clipped x * factor| >= 2^62: no fixed-point value given
  double max_abs = 0.0;         // over finite x; only inspect fills it
};

// out[i] = fixed-point value of x[i] in two's complement of the lane (fixed_point.hpp has the
// formula). random: count words for stochastic rounding, or null for round half to even. x[i] that
// are not finite or too large are counted and give an arbitrary out[i]. Constant time, but for
// floating-point instructions that take longer for subnormal numbers on some processors.
template <typename Float, typename Word>
using Encode = void (*)(const Float* x, std::size_t count, double factor, double clip,
                        const std::uint32_t* random, Word* out, FloatReport* report);

// out[i] = Float(double(centred representative of x[i] mod 2^bits) * factor). Constant time as
// encode.
template <typename Word, typename Float>
using Decode = void (*)(const Word* x, std::size_t count, unsigned bits, double factor, Float* out);

template <typename Float>
struct FloatKernels {
  void (*inspect)(const Float* x, std::size_t count, double clip, FloatReport* report);
  Encode<Float, std::uint16_t> encode_u16;
  Encode<Float, std::uint32_t> encode_u32;
  Encode<Float, std::uint64_t> encode_u64;
  Decode<std::uint16_t, Float> decode_u16;
  Decode<std::uint32_t, Float> decode_u32;
  Decode<std::uint64_t, Float> decode_u64;
};

struct FixedPointKernels {
  FloatKernels<float> f32;
  FloatKernels<double> f64;
};

// For measuring only, and so without known answers.
struct PortKernels {
  // Does at least count rounds of AES on one block each, in registers and otherwise as fast as the
  // processor issues them. Returns how many.
  std::uint64_t (*aes_rounds)(std::uint64_t count);
};

struct MontgomeryKernels;  // of modular arithmetic: montgomery.hpp

// One tier. Tables are shared between tiers where a tier has nothing faster.
struct Kernels {
  const char* name;
  const PrgKernels* prg;
  const PackKernels* pack;
  const FixedPointKernels* fixed_point;
  const MontgomeryKernels* montgomery;
  const PortKernels* port;  // null where nobody measures AES instructions
};

extern const PrgKernels kPrgPortable;
extern const PrgKernels kPrgAesni;    // only linked on x86-64,
extern const PrgKernels kPrgVaes256;  // these two only if the compiler knows the instructions
extern const PrgKernels kPrgVaes512;
extern const PrgKernels kPrgArmv8;  // only linked on 64-bit ARM
extern const PackKernels kPackPortable;
extern const PackKernels kPackAvx2;     // linked where kPrgAesni is
extern const PackKernels kPackVaes512;  // linked where the tier's PrgKernels are
extern const FixedPointKernels kFixedPointPortable;
extern const FixedPointKernels kFixedPointAvx2;  // linked as those of packing
extern const FixedPointKernels kFixedPointVaes512;
extern const PortKernels kPortAesni;  // linked where the tier's PrgKernels are
extern const PortKernels kPortVaes256;
extern const PortKernels kPortVaes512;

// Unaligned little-endian access without aliasing trouble; compiles to one move.
template <typename T>
static inline T load(const void* from) {
  T value;
  std::memcpy(&value, from, sizeof value);
  return value;
}

template <typename T>
static inline void store(void* to, T value) {
  std::memcpy(to, &value, sizeof value);
}

// Brings the memory `bytes` behind `from` nearer, which may be beyond the end of anything. The
// processor's own prefetching stops at page borders.
static inline void fetch_ahead(const void* from, std::size_t bytes) {
#if defined(__GNUC__) || defined(__clang__)
  __builtin_prefetch(reinterpret_cast<const void*>(reinterpret_cast<std::uintptr_t>(from) + bytes),
                     0, 2);
#else
  (void)from;
  (void)bytes;
#endif
}

}  // namespace fedsecure::kernels
