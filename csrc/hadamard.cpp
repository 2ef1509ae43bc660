#include "hadamard.hpp"

#include <algorithm>
#include <cstring>
#include <stdexcept>
#include <string>
#include <type_traits>

#include "dispatch.hpp"
#include "parallel.hpp"
#include "secret.hpp"

namespace fedsecure {
namespace {

// A block is transformed while it is in the first-level cache. For levels beyond a block, as many
// columns of as many rows as one has elements are copied side by side and transformed as a block
// is: in place they would lie at distances that share the same few lines of the cache.
template <typename Float>
constexpr std::uint64_t kBlock = 32 * 1024 / sizeof(Float);
constexpr std::uint64_t kMostRows = 256;
constexpr std::uint64_t kGrain = 64 * 1024;  // elements; tens of microseconds
constexpr std::size_t kSignBytes = 1024;     // made at a time

#if defined(__clang__)
#define FEDSECURE_NO_ALIAS _Pragma("clang loop vectorize(assume_safety)")
#elif defined(__GNUC__)
#define FEDSECURE_NO_ALIAS _Pragma("GCC ivdep")
#else
#define FEDSECURE_NO_ALIAS
#endif

// The levels `distance` and 2 * distance at once: half the traffic, the same operations.
template <typename Float>
inline void fours(Float* x, std::uint64_t size, std::uint64_t distance) {
  for (std::uint64_t i = 0; i < size; i += 4 * distance) {
    Float* const a = x + i;
    Float* const b = a + distance;
    Float* const c = b + distance;
    Float* const d = c + distance;
    FEDSECURE_NO_ALIAS
    for (std::uint64_t j = 0; j < distance; ++j) {
      const Float ab = a[j] + b[j];
      const Float a_b = a[j] - b[j];
      const Float cd = c[j] + d[j];
      const Float c_d = c[j] - d[j];
      a[j] = ab + cd;
      b[j] = a_b + c_d;
      c[j] = ab - cd;
      d[j] = a_b - c_d;
    }
  }
}

// One level.
template <typename Float>
inline void pairs(Float* x, std::uint64_t size, std::uint64_t distance) {
  for (std::uint64_t i = 0; i < size; i += 2 * distance) {
    Float* const a = x + i;
    Float* const b = a + distance;
    FEDSECURE_NO_ALIAS
    for (std::uint64_t j = 0; j < distance; ++j) {
      const Float sum = a[j] + b[j];
      const Float difference = a[j] - b[j];
      a[j] = sum;
      b[j] = difference;
    }
  }
}

// The levels 1, 2 and 4 of eight neighbors.
template <typename Float>
void eights(Float* x, std::uint64_t size) {
  for (std::uint64_t i = 0; i + 8 <= size; i += 8) {
    Float y[8];
    for (unsigned j = 0; j < 4; ++j) {
      y[2 * j] = x[i + 2 * j] + x[i + 2 * j + 1];
      y[2 * j + 1] = x[i + 2 * j] - x[i + 2 * j + 1];
    }
    Float z[8];
    for (unsigned j = 0; j < 2; ++j)
      for (unsigned k = 0; k < 2; ++k) {
        z[4 * j + k] = y[4 * j + k] + y[4 * j + k + 2];
        z[4 * j + k + 2] = y[4 * j + k] - y[4 * j + k + 2];
      }
    for (unsigned k = 0; k < 4; ++k) {
      x[i + k] = z[k] + z[k + 4];
      x[i + k + 4] = z[k] - z[k + 4];
    }
  }
}

// The levels from `distance` on.
template <typename Float>
void levels(Float* x, std::uint64_t size, std::uint64_t distance) {
  if (distance == 1 && size >= 8) {
    eights(x, size);
    distance = 8;
  }
  for (; 4 * distance <= size; distance *= 4) fours(x, size, distance);
  if (distance < size) pairs(x, size, distance);
}

// The levels stride, 2 * stride, ... of `rows` rows at that distance, for columns 0..width.
template <typename Float>
void columns(Float* x, std::uint64_t rows, std::uint64_t stride, std::uint64_t width,
             Float* scratch) {
  for (std::uint64_t i = 0; i < rows; ++i)
    for (std::uint64_t j = 0; j < width; ++j) scratch[i * width + j] = x[i * stride + j];
  levels(scratch, rows * width, width);
  for (std::uint64_t i = 0; i < rows; ++i)
    for (std::uint64_t j = 0; j < width; ++j) x[i * stride + j] = scratch[i * width + j];
}

// Changes the sign of value t where bit t of the byte is one; 8 values or less.
template <typename Float>
inline void flip_eight(Float* x, unsigned byte, unsigned count) {
  using Bits = std::conditional_t<sizeof(Float) == 4, std::uint32_t, std::uint64_t>;
  constexpr unsigned kSignBit = 8 * sizeof(Float) - 1;
  for (unsigned t = 0; t < count; ++t) {
    Bits bits;
    std::memcpy(&bits, x + t, sizeof bits);
    bits ^= (static_cast<Bits>(byte) << (kSignBit - t)) & (Bits{1} << kSignBit);
    std::memcpy(x + t, &bits, sizeof bits);
  }
}

// x[i] by bit skip + i, skip < 8.
template <typename Float>
void flip(Float* x, std::uint64_t skip, std::size_t count, const std::uint8_t* signs) {
  if (skip != 0 && count != 0) {
    const auto head = static_cast<unsigned>(std::min<std::uint64_t>(count, 8 - skip));
    flip_eight(x, static_cast<unsigned>(*signs++) >> skip, head);
    x += head;
    count -= head;
  }
  for (; count >= 8; count -= 8, x += 8) flip_eight(x, *signs++, 8);
  if (count != 0) flip_eight(x, *signs, static_cast<unsigned>(count));
}

}  // namespace

template <typename Float>
void hadamard(span<Float> x, unsigned threads) {
  const std::uint64_t size = x.size();
  if (size == 0 || (size & (size - 1)) != 0 || size > kMaxHadamard)
    throw std::invalid_argument("the length must be a power of two up to 2**30, not " +
                                std::to_string(size));
  const std::uint64_t block = std::min(size, kBlock<Float>);
  parallel_for(Range{0, size, kGrain, block}, threads, [&](std::uint64_t begin, std::uint64_t end) {
    for (std::uint64_t i = begin; i < end; i += block) levels(x.data() + i, block, 1);
  });
  std::uint64_t rows = 1;
  for (std::uint64_t stride = block; stride < size; stride *= rows) {
    rows = std::min(size / stride, kMostRows);
    const std::uint64_t width = kBlock<Float> / kMostRows;
    const std::uint64_t strips = stride / width;
    const std::uint64_t all = size / (rows * width);
    const Range range{0, all, std::max<std::uint64_t>(1, kGrain / (rows * width))};
    parallel_for(range, threads, [&](std::uint64_t begin, std::uint64_t end) {
      Secret<Float[kBlock<Float>]> scratch;
      for (std::uint64_t i = begin; i < end; ++i)
        columns(x.data() + i / strips * rows * stride + i % strips * width, rows, stride, width,
                *scratch);
    });
  }
}

template <typename Float>
void flip_signs(span<Float> x, const Seeds& seed, std::uint64_t first, unsigned threads) {
  constexpr std::uint64_t kMostBits = std::uint64_t{1} << 63;  // so that sums stay in 64 bits
  if (first >= kMostBits || x.size() > kMostBits - first)
    throw std::invalid_argument("first + length must not pass 2**63 signs");
  const PrgKeys keys(active_kernels(), seed);
  const Range range{first, first + x.size(), kGrain, 8 * kSignBytes};
  parallel_for(range, threads, [&](std::uint64_t begin, std::uint64_t end) {
    Secret<std::uint8_t[kSignBytes]> signs;
    for (std::uint64_t i = begin; i < end;) {
      const std::uint64_t byte = i / 8;
      const std::uint64_t stop = std::min(end, 8 * (byte + kSignBytes));
      keys.keystream(0, byte, {*signs, static_cast<std::size_t>((stop + 7) / 8 - byte)});
      Float* const at = x.data() + (i - first);
      flip(at, i % 8, static_cast<std::size_t>(stop - i), *signs);
      i = stop;
    }
  });
}

template void hadamard(span<float>, unsigned);
template void hadamard(span<double>, unsigned);
template void flip_signs(span<float>, const Seeds&, std::uint64_t, unsigned);
template void flip_signs(span<double>, const Seeds&, std::uint64_t, unsigned);

}  // namespace fedsecure
