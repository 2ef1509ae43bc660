// How fast this processor's AES instructions are when nothing else is in their way: the bound that
// the speed of masks is compared with. Rounds in registers only, in more independent chains than
// the instruction's latency needs.
//
// Only for port_<tier>.cpp files, as prg_x86.hpp is for prg_<tier>.cpp: each defines its vector
// type and the table.
#pragma once

#include <immintrin.h>

#include "kernels.hpp"

namespace fedsecure::kernels {
namespace {

// With a latency of 3 to 8 cycles and at most two issued in each, no processor needs more; with the
// key they fit into 16 registers.
constexpr std::uint64_t kChains = 12;

template <typename V>
std::uint64_t aes_rounds(std::uint64_t count) {
  const typename V::Reg key = V::repeat(0x0F);
  typename V::Reg chains[kChains];
  // All different, or the compiler would compute one for all.
  for (std::uint64_t i = 0; i < kChains; ++i) chains[i] = V::repeat(static_cast<char>(i));
  std::uint64_t done = 0;
  for (; done < count; done += kChains * V::kBlocks)
    for (std::uint64_t i = 0; i < kChains; ++i) chains[i] = V::round(chains[i], key);
  typename V::Reg all = chains[0];
  for (std::uint64_t i = 1; i < kChains; ++i) all = V::either(all, chains[i]);
  // Somebody might look at this, so the work cannot be left out.
  volatile int seen = V::low(all);
  (void)seen;
  return done;
}

}  // namespace
}  // namespace fedsecure::kernels
