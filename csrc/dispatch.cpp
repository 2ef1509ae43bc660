#include "dispatch.hpp"

#include <atomic>
#include <cstdlib>
#include <stdexcept>

#if defined(FEDSECURE_X86_64) && defined(_MSC_VER)
#include <intrin.h>
#endif

namespace fedsecure {
namespace {

struct Tier {
  Kernels kernels;
  bool (*runs_here)();
};

#if defined(FEDSECURE_X86_64)
// AES-NI and SSE4.1 use the registers every x86-64 system saves, so CPUID alone decides (no
// XGETBV).
bool has_aesni() {
#if defined(_MSC_VER)
  int leaf[4];
  __cpuid(leaf, 1);
  constexpr int kNeeded = (1 << 25) | (1 << 19);  // AES, SSE4.1
  return (leaf[2] & kNeeded) == kNeeded;
#else
  __builtin_cpu_init();
  return __builtin_cpu_supports("aes") && __builtin_cpu_supports("sse4.1");
#endif
}
#endif

bool always() { return true; }

// Best first. A new tier is one row here and its kernel files in CMakeLists.txt.
const Tier kTiers[] = {
#if defined(FEDSECURE_X86_64)
    {{"aesni", &kernels::kPrgAesni, &kernels::kPackPortable, &kernels::kFixedPointPortable},
     has_aesni},
#endif
    {{"portable", &kernels::kPrgPortable, &kernels::kPackPortable, &kernels::kFixedPointPortable},
     always},
};

const Kernels& best() {
  for (const Tier& tier : kTiers)
    if (tier.runs_here()) return tier.kernels;
  throw std::logic_error("the portable kernels run everywhere");
}

std::atomic<const Kernels*>& selected() {
  static std::atomic<const Kernels*> pointer{&best()};
  return pointer;
}

}  // namespace

const Kernels& active_kernels() { return *selected().load(std::memory_order_acquire); }

std::vector<std::string> available_kernels() {
  std::vector<std::string> names;
  for (const Tier& tier : kTiers)
    if (tier.runs_here()) names.emplace_back(tier.kernels.name);
  return names;
}

void select_kernels(const std::string& name) {
  for (const Tier& tier : kTiers) {
    if (name == tier.kernels.name && tier.runs_here()) {
      selected().store(&tier.kernels, std::memory_order_release);
      return;
    }
  }
  std::string known;
  for (const std::string& other : available_kernels()) known += (known.empty() ? "" : ", ") + other;
  throw std::invalid_argument("no kernels named '" + name +
                              "' run on this machine; available: " + known);
}

void select_kernels_from_environment() {
  const char* const name = std::getenv("FEDSECURE_KERNELS");
  if (name != nullptr && *name != '\0') select_kernels(name);
}

}  // namespace fedsecure
