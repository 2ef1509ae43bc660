// The generator with AES-NI and SSE4.1 (compiled with -maes -msse4.1; run only where CPUID says
// so).

#include "prg_x86.hpp"

namespace fedsecure::kernels {
namespace {

struct Xmm : X86 {
  using Reg = __m128i;
  static constexpr std::size_t kBlocks = 1;        // of 16 bytes in one register
  static constexpr std::size_t kInFlight = 8;      // registers at a time, with 10 rounds of AES
  static constexpr std::size_t kInFlightLong = 8;  // the same with 14

  static Reg get(const std::uint8_t* from) { return load_block(from); }
  static void put(std::uint8_t* to, Reg value) {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(to), value);
  }

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

  // For AES. The same block of memory in every place of the register.
  static Reg repeat(const std::uint8_t* block) { return load_block(block); }
  // Counters block, block + 1, ... one for each place.
  static Reg counter(std::uint64_t nonce, std::uint64_t block) {
    return _mm_set_epi64x(static_cast<long long>(block), static_cast<long long>(nonce));
  }
  static Reg count(Reg counter, std::size_t blocks) {
    return _mm_add_epi64(counter, _mm_set_epi64x(static_cast<long long>(blocks), 0));
  }
  // The block numbers to big-endian, and round key 0 if the first round does not bring it.
  static Reg start(Reg counter, Reg key) {
    return _mm_xor_si128(_mm_shuffle_epi8(counter, big_endian()), key);
  }
  static Reg round(Reg state, Reg, Reg key) { return _mm_aesenc_si128(state, key); }
  static Reg last_round(Reg state, Reg, Reg key) { return _mm_aesenclast_si128(state, key); }

  // For ChaCha20: 32-bit words, the number of each one's lane among them.
  static Reg repeat_word(std::uint32_t word) { return _mm_set1_epi32(static_cast<int>(word)); }
  static Reg lane_numbers() { return _mm_set_epi32(3, 2, 1, 0); }
  static Reg exclusive_or(Reg a, Reg b) { return _mm_xor_si128(a, b); }
  template <int kBits>
  static Reg rotate(Reg x) {
    if constexpr (kBits == 16) return _mm_shuffle_epi8(x, by_16_bits());
    if constexpr (kBits == 8) return _mm_shuffle_epi8(x, by_8_bits());
    return _mm_or_si128(_mm_slli_epi32(x, kBits), _mm_srli_epi32(x, 32 - kBits));
  }
  // Of every 16 bytes: their lower, or upper, halves word by word, or pair of words by pair.
  static Reg zip_low_words(Reg a, Reg b) { return _mm_unpacklo_epi32(a, b); }
  static Reg zip_high_words(Reg a, Reg b) { return _mm_unpackhi_epi32(a, b); }
  static Reg zip_low_pairs(Reg a, Reg b) { return _mm_unpacklo_epi64(a, b); }
  static Reg zip_high_pairs(Reg a, Reg b) { return _mm_unpackhi_epi64(a, b); }
  // Registers in, parts of 16 bytes out: the first of each, then the second of each, and so on.
  static void transpose_parts(const Reg (&in)[4], Reg (&out)[4]) {
    for (std::size_t i = 0; i < 4; ++i) out[i] = in[i];
  }

  // Nothing to do: wipe_dead_stack, which follows every kernel, clears these registers.
  static void clear_registers() {}
};

}  // namespace

const PrgKernels kPrgAesni = table<Xmm>();

}  // namespace fedsecure::kernels
