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

// Cells of a block are transformed among themselves while they are in the first-level cache; then
// blocks are rows, and columns are transformed in strips of whole cache lines.
constexpr std::uint64_t kBlock = 4096;
constexpr std::uint64_t kStrip = 32;
constexpr std::uint64_t kGrain = 64 * 1024;  // elements; tens of microseconds
constexpr std::size_t kSignBytes = 1024;     // made at a time

// One level: pairs at `distance`, which is at least 8.
template <typename Float>
void far_pairs(Float* x, std::uint64_t size, std::uint64_t distance) {
  for (std::uint64_t i = 0; i < size; i += 2 * distance) {
    Float* const a = x + i;
    Float* const b = a + distance;
    for (std::uint64_t j = 0; j < distance; ++j) {
      const Float sum = a[j] + b[j];
      const Float difference = a[j] - b[j];
      a[j] = sum;
      b[j] = difference;
    }
  }
}

// Two levels at once, distance and 2 * distance: half the traffic, the same operations.
template <typename Float>
void far_fours(Float* x, std::uint64_t size, std::uint64_t distance) {
  for (std::uint64_t i = 0; i < size; i += 4 * distance) {
    Float* const a = x + i;
    Float* const b = a + distance;
    Float* const c = b + distance;
    Float* const d = c + distance;
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

template <typename Float>
void block(Float* x, std::uint64_t size) {
  std::uint64_t distance = 1;
  if (size >= 8) {
    eights(x, size);
    distance = 8;
  }
  for (; 4 * distance <= size; distance *= 4) far_fours(x, size, distance);
  if (distance < size) far_pairs(x, size, distance);
}

// The levels from `stride` on, of the columns [begin, end) of rows of `stride` elements; rows at
// distance d among `rows` of them.
template <typename Float>
void columns(Float* x, std::uint64_t rows, std::uint64_t stride, std::uint64_t begin,
             std::uint64_t end) {
  std::uint64_t d = 1;
  const std::uint64_t width = end - begin;
  for (; 4 * d <= rows; d *= 4)
    for (std::uint64_t i = 0; i < rows; i += (i + 1) % d == 0 ? 3 * d + 1 : 1) {
      Float* const a = x + i * stride + begin;
      Float* const b = a + d * stride;
      Float* const c = b + d * stride;
      Float* const e = c + d * stride;
      for (std::uint64_t j = 0; j < width; ++j) {
        const Float ab = a[j] + b[j];
        const Float a_b = a[j] - b[j];
        const Float ce = c[j] + e[j];
        const Float c_e = c[j] - e[j];
        a[j] = ab + ce;
        b[j] = a_b + c_e;
        c[j] = ab - ce;
        e[j] = a_b - c_e;
      }
    }
  if (d < rows)
    for (std::uint64_t i = 0; i < d; ++i) {
      Float* const a = x + i * stride + begin;
      Float* const b = a + d * stride;
      for (std::uint64_t j = 0; j < width; ++j) {
        const Float sum = a[j] + b[j];
        const Float difference = a[j] - b[j];
        a[j] = sum;
        b[j] = difference;
      }
    }
}

}  // namespace

template <typename Float>
void hadamard(span<Float> x, unsigned threads) {
  const std::uint64_t size = x.size();
  if (size == 0 || (size & (size - 1)) != 0 || size > kMaxHadamard)
    throw std::invalid_argument("the length must be a power of two up to 2**30, not " +
                                std::to_string(size));
  const std::uint64_t row = std::min(size, kBlock);
  parallel_for(Range{0, size, kGrain, row}, threads, [&](std::uint64_t begin, std::uint64_t end) {
    for (std::uint64_t i = begin; i < end; i += row) block(x.data() + i, row);
  });
  // Columns at the largest power of two that leaves a strip in the second-level cache.
  for (std::uint64_t stride = row; stride < size;) {
    const std::uint64_t rows = std::min(size / stride, std::uint64_t{1024});
    const std::uint64_t strips = stride / kStrip;
    const std::uint64_t groups = size / (rows * stride);
    const std::uint64_t grain = std::max<std::uint64_t>(1, kGrain / (rows * kStrip));
    parallel_for(Range{0, groups * strips, grain}, threads,
                 [&](std::uint64_t begin, std::uint64_t end) {
                   for (std::uint64_t i = begin; i < end; ++i)
                     columns(x.data() + i / strips * rows * stride, rows, stride,
                             i % strips * kStrip, (i % strips + 1) * kStrip);
                 });
    stride *= rows;
  }
}

template <typename Float>
void flip_signs(span<Float> x, const Seeds& seed, std::uint64_t first, unsigned threads) {
  using Bits = std::conditional_t<sizeof(Float) == 4, std::uint32_t, std::uint64_t>;
  constexpr unsigned kSignBit = 8 * sizeof(Float) - 1;
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
      for (; i < stop; ++i) {
        Float& value = x[static_cast<std::size_t>(i - first)];
        Bits bits;
        std::memcpy(&bits, &value, sizeof bits);
        bits ^= static_cast<Bits>((*signs)[i / 8 - byte] >> (i % 8) & 1) << kSignBit;
        std::memcpy(&value, &bits, sizeof bits);
      }
    }
  });
}

template void hadamard(span<float>, unsigned);
template void hadamard(span<double>, unsigned);
template void flip_signs(span<float>, const Seeds&, std::uint64_t, unsigned);
template void flip_signs(span<double>, const Seeds&, std::uint64_t, unsigned);

}  // namespace fedsecure
