// Zeroing that the compiler may not drop. Ground floor: also used inside kernel files, therefore
// `static` (internal linkage) and free of anything but integers.
#pragma once

#include <cstddef>
#include <cstring>

#if defined(_MSC_VER)
#define FEDSECURE_NOINLINE __declspec(noinline)
#else
#define FEDSECURE_NOINLINE __attribute__((noinline))
#endif

namespace fedsecure {

// Overwrites `size` bytes with zeros. A plain memset of memory that is about to die is a dead store
// and would be removed; the barrier makes the compiler believe that the zeros are read.
static inline void wipe(void* data, std::size_t size) {
#if defined(__GNUC__) || defined(__clang__)
  if (size != 0) std::memset(data, 0, size);
  __asm__ __volatile__("" : : "r"(data) : "memory");
#else
  volatile unsigned char* bytes = static_cast<volatile unsigned char*>(data);
  for (std::size_t i = 0; i < size; ++i) bytes[i] = 0;
#endif
}

}  // namespace fedsecure
