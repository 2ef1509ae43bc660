// The generator with the vector AES instructions and AVX2 on 32-byte registers (compiled with
// -mvaes -mavx2 -maes; run only where CPUID and the operating system say so). prg_aesni.cpp says
// what the members of the vector type mean.

#include "prg_x86.hpp"

namespace fedsecure::kernels {
namespace {

struct Ymm : X86 {
  using Reg = __m256i;
  static constexpr std::size_t kBlocks = 2;
  // With the round keys, 4 fill the 16 registers; the processor overlaps several turns by itself.
  static constexpr std::size_t kInFlight = 4;
  static constexpr std::size_t kInFlightLong = 8;

  static Reg get(const std::uint8_t* from) {
    return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from));
  }
  static void put(std::uint8_t* to, Reg value) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), value);
  }
  static Reg twice(__m128i part) { return _mm256_broadcastsi128_si256(part); }

  template <std::size_t kWordBytes>
  static Reg add(Reg a, Reg b) {
    if constexpr (kWordBytes == 2) return _mm256_add_epi16(a, b);
    if constexpr (kWordBytes == 4) return _mm256_add_epi32(a, b);
    if constexpr (kWordBytes == 8) return _mm256_add_epi64(a, b);
  }
  template <std::size_t kWordBytes>
  static Reg subtract(Reg a, Reg b) {
    if constexpr (kWordBytes == 2) return _mm256_sub_epi16(a, b);
    if constexpr (kWordBytes == 4) return _mm256_sub_epi32(a, b);
    if constexpr (kWordBytes == 8) return _mm256_sub_epi64(a, b);
  }

  static Reg repeat(const std::uint8_t* block) { return twice(load_block(block)); }
  static Reg counter(std::uint64_t nonce, std::uint64_t block) {
    const auto low = static_cast<long long>(nonce);
    return _mm256_set_epi64x(static_cast<long long>(block + 1), low, static_cast<long long>(block),
                             low);
  }
  static Reg count(Reg counter, std::size_t blocks) {
    const auto step = static_cast<long long>(blocks);
    return _mm256_add_epi64(counter, _mm256_set_epi64x(step, 0, step, 0));
  }
  static Reg start(Reg counter, Reg key) {
    return _mm256_xor_si256(_mm256_shuffle_epi8(counter, twice(big_endian())), key);
  }
  static Reg round(Reg state, Reg, Reg key) { return _mm256_aesenc_epi128(state, key); }
  static Reg last_round(Reg state, Reg, Reg key) { return _mm256_aesenclast_epi128(state, key); }

  static Reg repeat_word(std::uint32_t word) { return _mm256_set1_epi32(static_cast<int>(word)); }
  static Reg lane_numbers() { return _mm256_set_epi32(7, 6, 5, 4, 3, 2, 1, 0); }
  static Reg exclusive_or(Reg a, Reg b) { return _mm256_xor_si256(a, b); }
  template <int kBits>
  static Reg rotate(Reg x) {
    if constexpr (kBits == 16) return _mm256_shuffle_epi8(x, twice(by_16_bits()));
    if constexpr (kBits == 8) return _mm256_shuffle_epi8(x, twice(by_8_bits()));
    return _mm256_or_si256(_mm256_slli_epi32(x, kBits), _mm256_srli_epi32(x, 32 - kBits));
  }
  static Reg zip_low_words(Reg a, Reg b) { return _mm256_unpacklo_epi32(a, b); }
  static Reg zip_high_words(Reg a, Reg b) { return _mm256_unpackhi_epi32(a, b); }
  static Reg zip_low_pairs(Reg a, Reg b) { return _mm256_unpacklo_epi64(a, b); }
  static Reg zip_high_pairs(Reg a, Reg b) { return _mm256_unpackhi_epi64(a, b); }
  static void transpose_parts(const Reg (&in)[4], Reg (&out)[4]) {
    out[0] = _mm256_permute2x128_si256(in[0], in[1], 0x20);
    out[1] = _mm256_permute2x128_si256(in[2], in[3], 0x20);
    out[2] = _mm256_permute2x128_si256(in[0], in[1], 0x31);
    out[3] = _mm256_permute2x128_si256(in[2], in[3], 0x31);
  }

  // The rest of the program is compiled for narrower registers and clears only their lower halves.
  static void clear_registers() { _mm256_zeroall(); }
};

}  // namespace

const PrgKernels kPrgVaes256 = table<Ymm>();

}  // namespace fedsecure::kernels
