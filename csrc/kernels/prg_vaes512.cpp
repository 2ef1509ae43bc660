// AES-128-CTR with the vector AES instructions on 64-byte registers (compiled with -mvaes -mavx512f
// -mavx512bw -mavx512vl -maes; run only where CPUID and the operating system say so). prg_aesni.cpp
// says what the members of the vector type mean. Not for MSVC, which has no way to clear registers
// 16 to 31.

#include "prg_x86.hpp"

namespace fedsecure::kernels {
namespace {

struct Zmm {
  using Reg = __m512i;
  static constexpr std::size_t kBlocks = 4;
  static constexpr std::size_t kInFlight = 8;

  // With a mask of all ones, for the plain intrinsic makes GCC 12 warn of its own header.
  static Reg repeat(__m128i block) { return _mm512_maskz_broadcast_i32x4(0xFFFF, block); }
  static Reg get(const std::uint8_t* from) { return _mm512_loadu_si512(from); }
  static void put(std::uint8_t* to, Reg value) { _mm512_storeu_si512(to, value); }

  static Reg counter(std::uint64_t nonce, std::uint64_t block) {
    const auto low = static_cast<long long>(nonce);
    const auto high = static_cast<long long>(block);
    const Reg same = _mm512_set_epi64(high, low, high, low, high, low, high, low);
    return _mm512_add_epi64(same, _mm512_set_epi64(3, 0, 2, 0, 1, 0, 0, 0));
  }
  static Reg count(Reg counter, std::size_t blocks) {
    const auto step = static_cast<long long>(blocks);
    return _mm512_add_epi64(counter, _mm512_set_epi64(step, 0, step, 0, step, 0, step, 0));
  }

  static Reg first_round(Reg counter, Reg key) {
    const __m128i big_endian = _mm_set_epi8(8, 9, 10, 11, 12, 13, 14, 15, 7, 6, 5, 4, 3, 2, 1, 0);
    return _mm512_xor_si512(_mm512_shuffle_epi8(counter, repeat(big_endian)), key);
  }
  static Reg round(Reg state, Reg key) { return _mm512_aesenc_epi128(state, key); }
  static Reg last_round(Reg state, Reg key) { return _mm512_aesenclast_epi128(state, key); }

  template <std::size_t kWordBytes>
  static Reg add(Reg a, Reg b) {
    if constexpr (kWordBytes == 2) return _mm512_add_epi16(a, b);
    if constexpr (kWordBytes == 4) return _mm512_add_epi32(a, b);
    if constexpr (kWordBytes == 8) return _mm512_add_epi64(a, b);
  }
  template <std::size_t kWordBytes>
  static Reg subtract(Reg a, Reg b) {
    if constexpr (kWordBytes == 2) return _mm512_sub_epi16(a, b);
    if constexpr (kWordBytes == 4) return _mm512_sub_epi32(a, b);
    if constexpr (kWordBytes == 8) return _mm512_sub_epi64(a, b);
  }

  // The rest of the program is compiled for narrower registers and clears only the lowest 16 bytes
  // of registers 0 to 15. VZEROALL clears those 16 whole, and no intrinsic reaches the other 16.
  static void clear_registers() {
    _mm256_zeroall();
    __asm__ __volatile__(
        "vpxord %%xmm16, %%xmm16, %%xmm16\n\t"
        "vpxord %%xmm17, %%xmm17, %%xmm17\n\t"
        "vpxord %%xmm18, %%xmm18, %%xmm18\n\t"
        "vpxord %%xmm19, %%xmm19, %%xmm19\n\t"
        "vpxord %%xmm20, %%xmm20, %%xmm20\n\t"
        "vpxord %%xmm21, %%xmm21, %%xmm21\n\t"
        "vpxord %%xmm22, %%xmm22, %%xmm22\n\t"
        "vpxord %%xmm23, %%xmm23, %%xmm23\n\t"
        "vpxord %%xmm24, %%xmm24, %%xmm24\n\t"
        "vpxord %%xmm25, %%xmm25, %%xmm25\n\t"
        "vpxord %%xmm26, %%xmm26, %%xmm26\n\t"
        "vpxord %%xmm27, %%xmm27, %%xmm27\n\t"
        "vpxord %%xmm28, %%xmm28, %%xmm28\n\t"
        "vpxord %%xmm29, %%xmm29, %%xmm29\n\t"
        "vpxord %%xmm30, %%xmm30, %%xmm30\n\t"
        "vpxord %%xmm31, %%xmm31, %%xmm31"
        :
        :
        : "xmm16", "xmm17", "xmm18", "xmm19", "xmm20", "xmm21", "xmm22", "xmm23", "xmm24", "xmm25",
          "xmm26", "xmm27", "xmm28", "xmm29", "xmm30", "xmm31", "memory");
  }
};

}  // namespace

const PrgKernels kPrgVaes512 = table<Zmm>();

}  // namespace fedsecure::kernels
