// Hands out the tables of kernels for big numbers, as a shared library for test_montgomery.py, which
// defines HAS_TIER for each that is linked.

#include <cstring>

#include "kernels/montgomery.hpp"

using namespace fedsecure::kernels;

// The table of a tier; null if it is not built or cannot run here.
extern "C" const MontgomeryKernels* montgomery_table(const char* tier) {
#if defined(HAS_PORTABLE)
  if (std::strcmp(tier, "portable") == 0) return &kMontgomeryPortable;
#endif
#if defined(HAS_IFMA) && defined(FEDSECURE_EMULATED)
  if (std::strcmp(tier, "ifma") == 0 && __builtin_cpu_supports("avx2")) return &kMontgomeryIfma;
#elif defined(HAS_IFMA)
  if (std::strcmp(tier, "ifma") == 0 && __builtin_cpu_supports("avx512ifma") &&
      __builtin_cpu_supports("avx512vbmi") && __builtin_cpu_supports("avx512dq") &&
      __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl"))
    return &kMontgomeryIfma;
#endif
  return nullptr;
}
