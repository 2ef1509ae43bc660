#include "secret.hpp"

namespace fedsecure {
namespace {

constexpr std::size_t kDeadStackBytes = 32 * 1024;

// Registers 16 to 31, which only AVX-512 has: the C library copies through them where it finds
// them, whatever kernels are in use, and nothing else ever overwrites them.
#if defined(__x86_64__) && defined(__GNUC__)
#define CLEAR(i) "vpxorq %%zmm" #i ", %%zmm" #i ", %%zmm" #i "\n\t"
void clear_upper_registers() {
  static const bool there = __builtin_cpu_supports("avx512f") != 0;
  if (there)
    __asm__ __volatile__(CLEAR(16) CLEAR(17) CLEAR(18) CLEAR(19) CLEAR(20) CLEAR(21) CLEAR(22)
                             CLEAR(23) CLEAR(24) CLEAR(25) CLEAR(26) CLEAR(27) CLEAR(28) CLEAR(29)
                                 CLEAR(30) CLEAR(31)::);
}
#undef CLEAR
#else
void clear_upper_registers() {}
#endif

}  // namespace

// Where the compiler can, the function also clears the registers that its caller does not need any
// more: the last kernel left keys and keystream in the vector registers, and whatever next saves
// those (the lazy binding of dynamic linkers does) would write them to the stack.
#if defined(__has_attribute)
#if __has_attribute(zero_call_used_regs)
#define FEDSECURE_CLEAR_REGISTERS __attribute__((zero_call_used_regs("all")))
#endif
#endif
#ifndef FEDSECURE_CLEAR_REGISTERS
#define FEDSECURE_CLEAR_REGISTERS
#endif

// Not inlined, for its frame must start where those of earlier calls did. It is a file of its own,
// so its callers could not inline it anyway (the build has no link-time optimisation).
FEDSECURE_CLEAR_REGISTERS FEDSECURE_NOINLINE void wipe_dead_stack() {
  unsigned char dead[kDeadStackBytes];
  wipe(dead, sizeof dead);
  clear_upper_registers();
}

}  // namespace fedsecure
