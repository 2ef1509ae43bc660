// The generator with the AES instructions of ARMv8 and NEON (compiled with -march=armv8-a+crypto;
// run only where the processor says so). prg_aesni.cpp says what the members of the vector type
// mean.

#include <arm_neon.h>

#include "prg_aes.hpp"
#include "prg_chacha.hpp"

namespace fedsecure::kernels {
namespace {

struct Neon {
  using Reg = uint8x16_t;
  static constexpr std::size_t kBlocks = 1;
  // With the round keys, 8 leave registers free, of which there are 32.
  static constexpr std::size_t kInFlight = 8;
  static constexpr std::size_t kInFlightLong = 8;

  static uint16x8_t as_u16(Reg x) { return vreinterpretq_u16_u8(x); }
  static uint32x4_t as_u32(Reg x) { return vreinterpretq_u32_u8(x); }
  static uint64x2_t as_u64(Reg x) { return vreinterpretq_u64_u8(x); }
  static Reg bytes(uint16x8_t x) { return vreinterpretq_u8_u16(x); }
  static Reg bytes(uint32x4_t x) { return vreinterpretq_u8_u32(x); }
  static Reg bytes(uint64x2_t x) { return vreinterpretq_u8_u64(x); }

  static Reg get(const std::uint8_t* from) { return vld1q_u8(from); }
  static void put(std::uint8_t* to, Reg value) { vst1q_u8(to, value); }
  static void prefetch(const std::uint8_t* at) { __builtin_prefetch(at, 0, 2); }

  template <std::size_t kWordBytes>
  static Reg add(Reg a, Reg b) {
    if constexpr (kWordBytes == 2) return bytes(vaddq_u16(as_u16(a), as_u16(b)));
    if constexpr (kWordBytes == 4) return bytes(vaddq_u32(as_u32(a), as_u32(b)));
    if constexpr (kWordBytes == 8) return bytes(vaddq_u64(as_u64(a), as_u64(b)));
  }
  template <std::size_t kWordBytes>
  static Reg subtract(Reg a, Reg b) {
    if constexpr (kWordBytes == 2) return bytes(vsubq_u16(as_u16(a), as_u16(b)));
    if constexpr (kWordBytes == 4) return bytes(vsubq_u32(as_u32(a), as_u32(b)));
    if constexpr (kWordBytes == 8) return bytes(vsubq_u64(as_u64(a), as_u64(b)));
  }

  // AESE puts four equal columns through the S-box; ShiftRows, which it does too, changes nothing.
  static std::uint32_t sub_word(std::uint32_t word) {
    return vgetq_lane_u32(as_u32(vaeseq_u8(bytes(vdupq_n_u32(word)), vdupq_n_u8(0))), 0);
  }
  static Reg repeat(const std::uint8_t* block) { return get(block); }
  static Reg counter(std::uint64_t nonce, std::uint64_t block) {
    return bytes(vcombine_u64(vcreate_u64(nonce), vcreate_u64(block)));
  }
  static Reg count(Reg counter, std::size_t blocks) {
    const uint64x2_t step = vcombine_u64(vcreate_u64(0), vcreate_u64(blocks));
    return bytes(vaddq_u64(as_u64(counter), step));
  }
  // AESE adds its round key first, so the key before a round is the one it needs.
  static Reg start(Reg counter, Reg) {
    const Reg reversed = vrev64q_u8(counter);
    return vcombine_u8(vget_low_u8(counter), vget_high_u8(reversed));
  }
  static Reg round(Reg state, Reg key, Reg) { return vaesmcq_u8(vaeseq_u8(state, key)); }
  static Reg last_round(Reg state, Reg key, Reg last_key) {
    return veorq_u8(vaeseq_u8(state, key), last_key);
  }

  static Reg repeat_word(std::uint32_t word) { return bytes(vdupq_n_u32(word)); }
  static Reg lane_numbers() {
    constexpr std::uint32_t kNumbers[4] = {0, 1, 2, 3};
    return bytes(vld1q_u32(kNumbers));
  }
  static Reg exclusive_or(Reg a, Reg b) { return veorq_u8(a, b); }
  template <int kBits>
  static Reg rotate(Reg x) {
    if constexpr (kBits == 16) return bytes(vrev32q_u16(as_u16(x)));
    return bytes(vsriq_n_u32(vshlq_n_u32(as_u32(x), kBits), as_u32(x), 32 - kBits));
  }
  static Reg zip_low_words(Reg a, Reg b) { return bytes(vzip1q_u32(as_u32(a), as_u32(b))); }
  static Reg zip_high_words(Reg a, Reg b) { return bytes(vzip2q_u32(as_u32(a), as_u32(b))); }
  static Reg zip_low_pairs(Reg a, Reg b) { return bytes(vzip1q_u64(as_u64(a), as_u64(b))); }
  static Reg zip_high_pairs(Reg a, Reg b) { return bytes(vzip2q_u64(as_u64(a), as_u64(b))); }
  static void transpose_parts(const Reg (&in)[4], Reg (&out)[4]) {
    for (std::size_t i = 0; i < 4; ++i) out[i] = in[i];
  }

  // Nothing to do: wipe_dead_stack, which follows every kernel, clears these registers.
  static void clear_registers() {}
};

}  // namespace

const PrgKernels kPrgArmv8 = {cipher<Aes<Neon, 10>>(), cipher<Aes<Neon, 14>>(),
                              cipher<ChaCha<Neon>>()};

}  // namespace fedsecure::kernels
