// Random bytes from the operating system.
#pragma once

#include <cstdint>

#include "span.hpp"

namespace fedsecure {

// Fills `out` from the system's cryptographic generator. Waits for it to be seeded after boot;
// throws std::runtime_error when the system gives no entropy (and then `out` must not be used).
// There is no user-space generator behind this, so nothing is duplicated by fork().
void fill_random(span<std::uint8_t> out);

}  // namespace fedsecure
