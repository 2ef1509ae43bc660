// The generator with the vector AES instructions and AVX-512 on 64-byte registers (compiled with
// the flags of the tier, see CMakeLists.txt; run only where CPUID and the operating system say so).
// prg_aesni.cpp says what the members of the vector type mean. Not for MSVC: see clear_zmm.hpp.

#include "clear_zmm.hpp"
#include "prg_x86.hpp"

namespace fedsecure::kernels {
namespace {

struct Zmm : X86 {
  using Reg = __m512i;
  static constexpr std::size_t kBlocks = 4;
  static constexpr std::size_t kInFlight = 8;
  static constexpr std::size_t kInFlightLong = 8;

  static Reg get(const std::uint8_t* from) { return _mm512_loadu_si512(from); }
  static void put(std::uint8_t* to, Reg value) { _mm512_storeu_si512(to, value); }
  static Reg four_times(__m128i part) { return _mm512_broadcast_i32x4(part); }

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

  static Reg repeat(const std::uint8_t* block) { return four_times(load_block(block)); }
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
  static Reg start(Reg counter, Reg key) {
    return _mm512_xor_si512(_mm512_shuffle_epi8(counter, four_times(big_endian())), key);
  }
  static Reg round(Reg state, Reg, Reg key) { return _mm512_aesenc_epi128(state, key); }
  static Reg last_round(Reg state, Reg, Reg key) { return _mm512_aesenclast_epi128(state, key); }

  static Reg repeat_word(std::uint32_t word) { return _mm512_set1_epi32(static_cast<int>(word)); }
  static Reg lane_numbers() {
    return _mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
  }
  static Reg exclusive_or(Reg a, Reg b) { return _mm512_xor_si512(a, b); }
  template <int kBits>
  static Reg rotate(Reg x) {
    return _mm512_rol_epi32(x, kBits);
  }
  static Reg zip_low_words(Reg a, Reg b) { return _mm512_unpacklo_epi32(a, b); }
  static Reg zip_high_words(Reg a, Reg b) { return _mm512_unpackhi_epi32(a, b); }
  static Reg zip_low_pairs(Reg a, Reg b) { return _mm512_unpacklo_epi64(a, b); }
  static Reg zip_high_pairs(Reg a, Reg b) { return _mm512_unpackhi_epi64(a, b); }
  static void transpose_parts(const Reg (&in)[4], Reg (&out)[4]) {
    const Reg low0 = _mm512_shuffle_i32x4(in[0], in[1], 0x44);
    const Reg low1 = _mm512_shuffle_i32x4(in[2], in[3], 0x44);
    const Reg high0 = _mm512_shuffle_i32x4(in[0], in[1], 0xEE);
    const Reg high1 = _mm512_shuffle_i32x4(in[2], in[3], 0xEE);
    out[0] = _mm512_shuffle_i32x4(low0, low1, 0x88);
    out[1] = _mm512_shuffle_i32x4(low0, low1, 0xDD);
    out[2] = _mm512_shuffle_i32x4(high0, high1, 0x88);
    out[3] = _mm512_shuffle_i32x4(high0, high1, 0xDD);
  }

  static void clear_registers() { clear_zmm(); }
};

}  // namespace

const PrgKernels kPrgVaes512 = table<Zmm>();

}  // namespace fedsecure::kernels
