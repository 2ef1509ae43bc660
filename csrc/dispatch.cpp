#include "dispatch.hpp"

#include <atomic>
#include <cstdlib>
#include <stdexcept>

#if defined(FEDSECURE_X86_64)
#if defined(_MSC_VER)
#include <intrin.h>
#else
#include <cpuid.h>
#endif
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
  constexpr unsigned kNeeded = (1u << 25) | (1u << 19);  // of leaf 1, ECX: AES and SSE4.1
#if defined(_MSC_VER)
  int leaf[4];
  __cpuid(leaf, 1);
  const auto features = static_cast<unsigned>(leaf[2]);
#else
  unsigned eax = 0;
  unsigned ebx = 0;
  unsigned features = 0;
  unsigned edx = 0;
  if (__get_cpuid(1, &eax, &ebx, &features, &edx) == 0) return false;
#endif
  return (features & kNeeded) == kNeeded;
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
