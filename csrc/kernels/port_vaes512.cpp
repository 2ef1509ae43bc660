// Rounds of the vector AES instructions on 64-byte registers alone, for measuring (compiled and run
// as prg_vaes512.cpp is).

#include "port_x86.hpp"

namespace fedsecure::kernels {
namespace {

struct Zmm {
  using Reg = __m512i;
  static constexpr std::uint64_t kBlocks = 4;  // in one register

  static Reg repeat(char byte) { return _mm512_set1_epi8(byte); }
  static Reg round(Reg state, Reg key) { return _mm512_aesenc_epi128(state, key); }
  static Reg either(Reg a, Reg b) { return _mm512_xor_si512(a, b); }
  static int low(Reg a) { return _mm_cvtsi128_si32(_mm512_castsi512_si128(a)); }
};

}  // namespace

const PortKernels kPortVaes512 = {aes_rounds<Zmm>};

}  // namespace fedsecure::kernels
