#include "entropy.hpp"

#include <stdexcept>
#include <string>

#if defined(_WIN32)
// clang-format off
#include <windows.h>
#include <bcrypt.h>
// clang-format on
#elif defined(__linux__)
#include <sys/random.h>

#include <cerrno>
#include <cstring>
#else
#include <unistd.h>
#if defined(__APPLE__)
#include <sys/random.h>
#endif

#include <cerrno>
#include <cstring>
#endif

namespace fedsecure {
namespace {

[[noreturn]] void fail(const std::string& reason) {
  throw std::runtime_error("the operating system gave no entropy (" + reason + ")");
}

// Writes at least one and at most `size` bytes; returns how many.
std::size_t draw_some(std::uint8_t* out, std::size_t size) {
#if defined(_WIN32)
  const ULONG part = static_cast<ULONG>(size < (1u << 20) ? size : (1u << 20));
  if (BCryptGenRandom(nullptr, out, part, BCRYPT_USE_SYSTEM_PREFERRED_RNG) != 0)
    fail("BCryptGenRandom");
  return part;
#elif defined(__linux__)
  for (;;) {
    const ssize_t got = getrandom(out, size, 0);
    if (got > 0) return static_cast<std::size_t>(got);
    if (got == 0) fail("getrandom returned nothing");
    if (errno != EINTR) fail(std::string("getrandom: ") + std::strerror(errno));
  }
#else
  const std::size_t part = size < 256 ? size : 256;  // getentropy refuses longer requests
  if (getentropy(out, part) != 0) fail(std::string("getentropy: ") + std::strerror(errno));
  return part;
#endif
}

}  // namespace

void fill_random(span<std::uint8_t> out) {
  std::size_t done = 0;
  while (done < out.size()) done += draw_some(out.data() + done, out.size() - done);
}

}  // namespace fedsecure
