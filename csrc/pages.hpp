// Huge pages for what is about to be written for the first time: with small ones, the system zeroes
// and maps a page every thousand weights, which takes as long as several masks.
#pragma once

#include <cstdint>

#include "span.hpp"

namespace fedsecure {

// Asks the system to back fresh memory by huge pages, as far as such pages fit into it. Only a
// hint: where it is not understood, nothing happens.
void advise_huge_pages(span<std::uint8_t> fresh);

}  // namespace fedsecure
