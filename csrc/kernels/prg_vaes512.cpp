// AES-128-CTR with the vector AES instructions on 64-byte registers (compiled with the flags
// of the tier, see CMakeLists.txt; run only where CPUID and the operating system say so).
// prg_aesni.cpp says what the members of the vector type mean. Not for MSVC: see clear_zmm.hpp.

#include "clear_zmm.hpp"
#include "prg_x86.hpp"

namespace fedsecure::kernels {
namespace {

struct Zmm {
  using Reg = __m512i;
  static constexpr std::size_t kBlocks = 4;
  static constexpr std::size_t kInFlight = 8;

  static Reg repeat(__m128i block) { return _mm512_broadcast_i32x4(block); }
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

  static void clear_registers() { clear_zmm(); }
};

}  // namespace

const PrgKernels kPrgVaes512 = table<Zmm>();

}  // namespace fedsecure::kernels
