// AES-128-CTR with AES-NI and SSE4.1 (compiled with -maes -msse4.1; run only where CPUID says so).

#include "prg_x86.hpp"

namespace fedsecure::kernels {
namespace {

struct Xmm {
  using Reg = __m128i;
  static constexpr std::size_t kBlocks = 1;    // in one register
  static constexpr std::size_t kInFlight = 8;  // registers at a time

  // The same block in every place of the register.
  static Reg repeat(__m128i block) { return block; }
  static Reg get(const std::uint8_t* from) {
    return _mm_loadu_si128(reinterpret_cast<const __m128i*>(from));
  }
  static void put(std::uint8_t* to, Reg value) {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(to), value);
  }

  // Counters block, block + 1, ... one for each place.
  static Reg counter(std::uint64_t nonce, std::uint64_t block) {
    return _mm_set_epi64x(static_cast<long long>(block), static_cast<long long>(nonce));
  }
  static Reg count(Reg counter, std::size_t blocks) {
    return _mm_add_epi64(counter, _mm_set_epi64x(static_cast<long long>(blocks), 0));
  }

  // The block numbers to big-endian, and round key 0.
  static Reg first_round(Reg counter, Reg key) {
    const __m128i big_endian = _mm_set_epi8(8, 9, 10, 11, 12, 13, 14, 15, 7, 6, 5, 4, 3, 2, 1, 0);
    return _mm_xor_si128(_mm_shuffle_epi8(counter, big_endian), key);
  }
  static Reg round(Reg state, Reg key) { return _mm_aesenc_si128(state, key); }
  static Reg last_round(Reg state, Reg key) { return _mm_aesenclast_si128(state, key); }

  template <std::size_t kWordBytes>
  static Reg add(Reg a, Reg b) {
    if constexpr (kWordBytes == 2) return _mm_add_epi16(a, b);
    if constexpr (kWordBytes == 4) return _mm_add_epi32(a, b);
    if constexpr (kWordBytes == 8) return _mm_add_epi64(a, b);
  }
  template <std::size_t kWordBytes>
  static Reg subtract(Reg a, Reg b) {
    if constexpr (kWordBytes == 2) return _mm_sub_epi16(a, b);
    if constexpr (kWordBytes == 4) return _mm_sub_epi32(a, b);
    if constexpr (kWordBytes == 8) return _mm_sub_epi64(a, b);
  }

  // Nothing to do: wipe_dead_stack, which follows every kernel, clears these registers.
  static void clear_registers() {}
};

}  // namespace

const PrgKernels kPrgAesni = table<Xmm>();

}  // namespace fedsecure::kernels
