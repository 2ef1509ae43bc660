// Rounds of the vector AES instructions on 32-byte registers alone, for measuring (compiled and run
// as prg_vaes256.cpp is).

#include "port_x86.hpp"

namespace fedsecure::kernels {
namespace {

struct Ymm {
  using Reg = __m256i;
  static constexpr std::uint64_t kBlocks = 2;  // in one register

  static Reg repeat(char byte) { return _mm256_set1_epi8(byte); }
  static Reg round(Reg state, Reg key) { return _mm256_aesenc_epi128(state, key); }
  static Reg either(Reg a, Reg b) { return _mm256_xor_si256(a, b); }
  static int low(Reg a) { return _mm_cvtsi128_si32(_mm256_castsi256_si128(a)); }
};

}  // namespace

const PortKernels kPortVaes256 = {aes_rounds<Ymm>};

}  // namespace fedsecure::kernels
