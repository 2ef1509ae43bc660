#include "secret.hpp"

namespace fedsecure {
namespace {

constexpr std::size_t kDeadStackBytes = 32 * 1024;

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
}

}  // namespace fedsecure
