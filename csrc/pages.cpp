#include "pages.hpp"

#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace fedsecure {

void advise_huge_pages([[maybe_unused]] span<std::uint8_t> fresh) {
#if defined(__linux__) && defined(MADV_HUGEPAGE)
  constexpr std::uintptr_t kHugePage = 2 * 1024 * 1024;
  const auto begin = reinterpret_cast<std::uintptr_t>(fresh.data());
  const std::uintptr_t first = (begin + kHugePage - 1) / kHugePage * kHugePage;
  const std::uintptr_t last = (begin + fresh.size()) / kHugePage * kHugePage;
  if (first < last) madvise(fresh.data() + (first - begin), last - first, MADV_HUGEPAGE);
#endif
}

}  // namespace fedsecure
