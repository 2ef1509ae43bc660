// Clearing the vector registers of AVX-512 after work on secrets. The rest of the program is
// compiled for narrower registers and clears only the lowest 16 bytes of registers 0 to 15.
// VZEROALL clears those 16 whole, and no intrinsic reaches the other 16; MSVC, without assembly,
// has no way to. Where the kernels are built in software (FEDSECURE_EMULATED), there are no such
// registers.
#pragma once

#include <immintrin.h>

namespace fedsecure::kernels {

static inline void clear_zmm() {
  _mm256_zeroall();
#if !defined(FEDSECURE_EMULATED)
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
#endif
}

}  // namespace fedsecure::kernels
