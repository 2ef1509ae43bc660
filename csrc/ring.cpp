#include "ring.hpp"

#include <stdexcept>
#include <string>

#include "dispatch.hpp"
#include "parallel.hpp"

namespace fedsecure {
namespace {

constexpr std::uint64_t kGrain = 64 * 1024;  // elements; tens of microseconds of work
constexpr std::uint64_t kAlign = 8;          // 8 elements of any width end on a byte border

template <typename Word>
constexpr unsigned kLaneBits = 8 * sizeof(Word);

// Only one packed form per vector: unused bits must be zero.
void check_padding(span<const std::uint8_t> data, std::size_t count, unsigned bits) {
  const unsigned used = static_cast<unsigned>((count % 8) * bits % 8);
  if (used != 0 && (data[data.size() - 1] >> used) != 0)
    throw std::invalid_argument("the padding bits after the last packed element are not zero");
}

template <typename Word, typename Kernel>
void unpack_with(Kernel kernel, span<const std::uint8_t> data, unsigned bits, span<Word> out,
                 unsigned threads) {
  check_bits(bits, kLaneBits<Word>);
  check_packed(data.size(), out.size(), bits);
  check_padding(data, out.size(), bits);
  const Range range{0, out.size(), kGrain, kAlign};
  parallel_for(range, threads, [&](std::uint64_t begin, std::uint64_t end) {
    kernel(data.data() + begin / 8 * bits, end - begin, bits, out.data() + begin);
  });
}

}  // namespace

void check_bits(unsigned bits, unsigned lane_bits) {
  if (bits < kMinBits || bits > lane_bits)
    throw std::invalid_argument("bits must lie in [8, " + std::to_string(lane_bits) +
                                "] for this array, got " + std::to_string(bits));
}

std::uint64_t packed_size(std::uint64_t count, unsigned bits) {
  check_bits(bits, kMaxBits);
  if (count > (std::uint64_t{1} << 63) / bits)
    throw std::invalid_argument("count * bits must not pass 2**63");
  return count / 8 * bits + (count % 8 * bits + 7) / 8;
}

void check_packed(std::uint64_t size, std::uint64_t count, unsigned bits) {
  const std::uint64_t expected = packed_size(count, bits);
  if (size != expected)
    throw std::invalid_argument(std::to_string(count) + " elements of " + std::to_string(bits) +
                                " bits take " + std::to_string(expected) + " packed bytes, got " +
                                std::to_string(size));
}

template <typename Word>
void ring_add(span<Word> acc, span<const Word> x, unsigned threads) {
  if (acc.size() != x.size())
    throw std::invalid_argument("acc has " + std::to_string(acc.size()) + " elements, x has " +
                                std::to_string(x.size()));
  const auto add = lane<Word>(*active_kernels().pack).add;
  const Range range{0, acc.size(), kGrain};
  parallel_for(range, threads, [&](std::uint64_t begin, std::uint64_t end) {
    add(acc.data() + begin, x.data() + begin, end - begin);
  });
}

template <typename Word>
void pack(span<const Word> x, unsigned bits, span<std::uint8_t> out, unsigned threads) {
  check_bits(bits, kLaneBits<Word>);
  check_packed(out.size(), x.size(), bits);
  const auto kernel = lane<Word>(*active_kernels().pack).pack;
  const Range range{0, x.size(), kGrain, kAlign};
  parallel_for(range, threads, [&](std::uint64_t begin, std::uint64_t end) {
    kernel(x.data() + begin, end - begin, bits, out.data() + begin / 8 * bits);
  });
}

template <typename Word>
void unpack(span<const std::uint8_t> data, unsigned bits, span<Word> out, unsigned threads) {
  unpack_with(lane<Word>(*active_kernels().pack).unpack, data, bits, out, threads);
}

template <typename Word>
void unpack_add(span<const std::uint8_t> data, unsigned bits, span<Word> acc, unsigned threads) {
  unpack_with(lane<Word>(*active_kernels().pack).unpack_add, data, bits, acc, threads);
}

#define FEDSECURE_LANE(Word)                                                      \
  template void ring_add(span<Word>, span<const Word>, unsigned);                 \
  template void pack(span<const Word>, unsigned, span<std::uint8_t>, unsigned);   \
  template void unpack(span<const std::uint8_t>, unsigned, span<Word>, unsigned); \
  template void unpack_add(span<const std::uint8_t>, unsigned, span<Word>, unsigned)
FEDSECURE_LANE(std::uint16_t);
FEDSECURE_LANE(std::uint32_t);
FEDSECURE_LANE(std::uint64_t);
#undef FEDSECURE_LANE

}  // namespace fedsecure
