#include "dispatch.hpp"

#include <atomic>
#include <cstdlib>
#include <stdexcept>

#include "kernels/montgomery.hpp"

#if defined(FEDSECURE_X86_64)
#if defined(_MSC_VER)
#include <intrin.h>
#else
#include <cpuid.h>
#endif
#elif defined(FEDSECURE_ARMV8) && defined(__linux__)
#include <asm/hwcap.h>
#include <sys/auxv.h>
#endif

namespace fedsecure {
namespace {

struct Tier {
  Kernels kernels;
  bool (*runs_here)();
};

#if defined(FEDSECURE_X86_64)
struct Cpuid {
  unsigned eax = 0;
  unsigned ebx = 0;
  unsigned ecx = 0;
  unsigned edx = 0;
};

// All zeros where the processor has no such leaf.
Cpuid cpuid(unsigned leaf) {
  Cpuid found;
#if defined(_MSC_VER)
  int words[4];
  __cpuid(words, 0);
  if (leaf > static_cast<unsigned>(words[0])) return found;
  __cpuidex(words, static_cast<int>(leaf), 0);
  found = {static_cast<unsigned>(words[0]), static_cast<unsigned>(words[1]),
           static_cast<unsigned>(words[2]), static_cast<unsigned>(words[3])};
#else
  __get_cpuid_count(leaf, 0, &found.eax, &found.ebx, &found.ecx, &found.edx);
#endif
  return found;
}

constexpr bool has_all(std::uint64_t features, std::uint64_t needed) {
  return (features & needed) == needed;
}

// Bits of leaf 1, ECX; of leaf 7, EBX and ECX; and of XCR0 (Intel SDM, volumes 2A and 1, chapter
// 13; the AMD manual agrees).
constexpr unsigned kSse41 = 1u << 19, kAes = 1u << 25, kOsXsave = 1u << 27, kAvx = 1u << 28;
constexpr unsigned kAvx2 = 1u << 5, kAvx512f = 1u << 16, kAvx512dq = 1u << 17;
constexpr unsigned kAvx512ifma = 1u << 21, kAvx512bw = 1u << 30, kAvx512vl = 1u << 31;
constexpr unsigned kAvx512vbmi = 1u << 1, kVaes = 1u << 9;
constexpr std::uint64_t kXmmYmm = 0x6;      // SSE and AVX state
constexpr std::uint64_t kXmmYmmZmm = 0xE6;  // and mask registers, upper halves, registers 16-31

// Which registers the operating system saves when it switches threads: a processor may have wider
// ones, but using those would mix up the threads' values.
bool saves_registers(std::uint64_t states) {
  if (!has_all(cpuid(1).ecx, kOsXsave)) return false;
#if defined(_MSC_VER)
  return has_all(_xgetbv(0), states);
#else
  unsigned low;
  unsigned high;
  __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return has_all(low, states);
#endif
}

// AES-NI and SSE4.1 use the registers every x86-64 system saves, so CPUID alone decides.
bool has_aesni() { return has_all(cpuid(1).ecx, kAes | kSse41); }

bool has_avx2() {
  return has_aesni() && has_all(cpuid(1).ecx, kAvx) && has_all(cpuid(7).ebx, kAvx2) &&
         saves_registers(kXmmYmm);
}

[[maybe_unused]] bool has_vaes256() { return has_avx2() && has_all(cpuid(7).ecx, kVaes); }

// Whether the kernels for AVX-512 are built in software, for AVX2 (CMakeLists.txt).
#if defined(FEDSECURE_EMULATED)
constexpr bool kEmulated = true;
#else
constexpr bool kEmulated = false;
#endif

// No processor is known that has vector AES in 512 bits without IFMA.
[[maybe_unused]] bool has_vaes512() {
  if (kEmulated) return has_avx2();
  constexpr unsigned kNeeded = kAvx512f | kAvx512dq | kAvx512ifma | kAvx512bw | kAvx512vl;
  return has_vaes256() && has_all(cpuid(7).ebx, kNeeded) && has_all(cpuid(7).ecx, kAvx512vbmi) &&
         saves_registers(kXmmYmmZmm);
}
#endif

#if defined(FEDSECURE_ARMV8)
// The AES instructions of ARMv8 are an option. NEON is not, and its registers are always saved.
bool has_armv8() {
#if defined(__linux__)
  return (getauxval(AT_HWCAP) & HWCAP_AES) != 0;
#elif defined(__APPLE__)
  return true;  // every processor of theirs with 64-bit ARM code has them
#else
  return false;
#endif
}
#endif

bool always() { return true; }

// Best first. A new tier is one row here and its kernel files in CMakeLists.txt.
const Tier kTiers[] = {
#if defined(FEDSECURE_VAES512) && defined(FEDSECURE_IFMA)
    {{"vaes512", &kernels::kPrgVaes512, &kernels::kPackVaes512, &kernels::kFixedPointVaes512,
      &kernels::kMontgomeryIfma, &kernels::kPortVaes512},
     has_vaes512},
#endif
#if defined(FEDSECURE_VAES256)
    {{"vaes256", &kernels::kPrgVaes256, &kernels::kPackAvx2, &kernels::kFixedPointAvx2,
      &kernels::kMontgomeryPortable, &kernels::kPortVaes256},
     has_vaes256},
#endif
#if defined(FEDSECURE_X86_64)
    {{"avx2", &kernels::kPrgAesni, &kernels::kPackAvx2, &kernels::kFixedPointAvx2,
      &kernels::kMontgomeryPortable, &kernels::kPortAesni},
     has_avx2},
    {{"aesni", &kernels::kPrgAesni, &kernels::kPackPortable, &kernels::kFixedPointPortable,
      &kernels::kMontgomeryPortable, &kernels::kPortAesni},
     has_aesni},
#endif
#if defined(FEDSECURE_ARMV8)
    {{"armv8", &kernels::kPrgArmv8, &kernels::kPackPortable, &kernels::kFixedPointPortable,
      &kernels::kMontgomeryPortable, nullptr},
     has_armv8},
#endif
    {{"portable", &kernels::kPrgPortable, &kernels::kPackPortable, &kernels::kFixedPointPortable,
      &kernels::kMontgomeryPortable, nullptr},
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
