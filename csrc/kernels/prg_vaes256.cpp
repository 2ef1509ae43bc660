// AES-128-CTR with the vector AES instructions on 32-byte registers (compiled with -mvaes -mavx2
// -maes; run only where CPUID and the operating system say so). prg_aesni.cpp says what the members
// of the vector type mean.

#include "prg_x86.hpp"

namespace fedsecure::kernels {
namespace {

struct Ymm {
  using Reg = __m256i;
  static constexpr std::size_t kBlocks = 2;
  // With the round keys, 4 fill the 16 registers; the processor overlaps several turns by itself.
  static constexpr std::size_t kInFlight = 4;

  static Reg repeat(__m128i block) { return _mm256_broadcastsi128_si256(block); }
  static Reg get(const std::uint8_t* from) {
    return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from));
  }
  static void put(std::uint8_t* to, Reg value) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), value);
  }

  static Reg counter(std::uint64_t nonce, std::uint64_t block) {
    const auto low = static_cast<long long>(nonce);
    return _mm256_set_epi64x(static_cast<long long>(block + 1), low, static_cast<long long>(block),
                             low);
  }
  static Reg count(Reg counter, std::size_t blocks) {
    const auto step = static_cast<long long>(blocks);
    return _mm256_add_epi64(counter, _mm256_set_epi64x(step, 0, step, 0));
  }

  static Reg first_round(Reg counter, Reg key) {
    const __m128i big_endian = _mm_set_epi8(8, 9, 10, 11, 12, 13, 14, 15, 7, 6, 5, 4, 3, 2, 1, 0);
    return _mm256_xor_si256(_mm256_shuffle_epi8(counter, repeat(big_endian)), key);
  }
  static Reg round(Reg state, Reg key) { return _mm256_aesenc_epi128(state, key); }
  static Reg last_round(Reg state, Reg key) { return _mm256_aesenclast_epi128(state, key); }

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

  // The rest of the program is compiled for narrower registers and clears only their lower halves.
  static void clear_registers() { _mm256_zeroall(); }
};

}  // namespace

const PrgKernels kPrgVaes256 = table<Ymm>();

}  // namespace fedsecure::kernels
