// Rounds of AES-NI alone, for measuring (compiled and run as prg_aesni.cpp is).

#include "port_x86.hpp"

namespace fedsecure::kernels {
namespace {

struct Xmm {
  using Reg = __m128i;
  static constexpr std::uint64_t kBlocks = 1;  // in one register

  static Reg repeat(char byte) { return _mm_set1_epi8(byte); }
  static Reg round(Reg state, Reg key) { return _mm_aesenc_si128(state, key); }
  static Reg either(Reg a, Reg b) { return _mm_xor_si128(a, b); }
  static int low(Reg a) { return _mm_cvtsi128_si32(a); }
};

}  // namespace

const PortKernels kPortAesni = {aes_rounds<Xmm>};

}  // namespace fedsecure::kernels
