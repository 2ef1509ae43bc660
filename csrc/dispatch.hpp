// Which kernel tier runs. Tiers differ in speed only: all give the same bits.
#pragma once

#include <cstdint>
#include <string>
#include <type_traits>
#include <vector>

#include "kernels/kernels.hpp"

namespace fedsecure {

using kernels::Kernels;

// The tier in use. Take the reference once per call, so that a switch in another thread never mixes
// tiers within one.
const Kernels& active_kernels();

// Names of the tiers this processor can run, best first; the last one is "portable".
std::vector<std::string> available_kernels();

// Makes the named tier the active one, for the whole process. Throws std::invalid_argument, naming
// the available ones, when there is none of that name or this processor cannot run it.
void select_kernels(const std::string& name);

// The same for the name in the environment variable FEDSECURE_KERNELS; unset or empty leaves the
// best tier active.
void select_kernels_from_environment();

// The member for lane type Word of a table with members u16, u32 and u64.
template <typename Word>
const kernels::LaneKernels<Word>& lane(const kernels::PackKernels& table) {
  if constexpr (std::is_same_v<Word, std::uint16_t>)
    return table.u16;
  else if constexpr (std::is_same_v<Word, std::uint32_t>)
    return table.u32;
  else
    return table.u64;
}

template <typename Word>
kernels::AddMasks<Word> add_masks_kernel(const kernels::CipherKernels& table) {
  if constexpr (std::is_same_v<Word, std::uint16_t>)
    return table.add_masks_u16;
  else if constexpr (std::is_same_v<Word, std::uint32_t>)
    return table.add_masks_u32;
  else
    return table.add_masks_u64;
}

template <typename Float>
const kernels::FloatKernels<Float>& float_kernels(const kernels::FixedPointKernels& table) {
  if constexpr (std::is_same_v<Float, float>)
    return table.f32;
  else
    return table.f64;
}

template <typename Float, typename Word>
kernels::Encode<Float, Word> encode_kernel(const kernels::FixedPointKernels& table) {
  if constexpr (std::is_same_v<Word, std::uint16_t>)
    return float_kernels<Float>(table).encode_u16;
  else if constexpr (std::is_same_v<Word, std::uint32_t>)
    return float_kernels<Float>(table).encode_u32;
  else
    return float_kernels<Float>(table).encode_u64;
}

template <typename Word, typename Float>
kernels::Decode<Word, Float> decode_kernel(const kernels::FixedPointKernels& table) {
  if constexpr (std::is_same_v<Word, std::uint16_t>)
    return float_kernels<Float>(table).decode_u16;
  else if constexpr (std::is_same_v<Word, std::uint32_t>)
    return float_kernels<Float>(table).decode_u32;
  else
    return float_kernels<Float>(table).decode_u64;
}

}  // namespace fedsecure
