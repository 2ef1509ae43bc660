#include "client_pass.hpp"

#include <algorithm>
#include <limits>
#include <mutex>
#include <stdexcept>

#include "dispatch.hpp"
#include "masks.hpp"
#include "parallel.hpp"
#include "ring.hpp"
#include "secret.hpp"

namespace fedsecure {
namespace {

// Elements of a tile. All it needs (random words, lanes) stays in the first-level cache, while the
// set-up of the kernels is spread over enough elements. A multiple of 8, so that tiles end on a
// byte border whatever the width, and of the words in 64 blocks, what the portable generator makes
// at once.
constexpr std::size_t kTile = 1024;
constexpr std::uint64_t kGrainTiles = 8;  // worth handing to a thread

// Exact, and without subnormal floats on the way, which some programs have set to count as zero.
// Constant time.
float widen(Half half) {
  const std::uint64_t exponent = (half.bits >> 10) & 0x1F;
  const std::uint64_t is_normal = (exponent + 0x1F) >> 5;
  const std::uint64_t is_special = (exponent + 1) >> 5;  // infinite or NaN
  const auto digits = static_cast<std::int32_t>((half.bits & 0x3FF) | (is_normal << 10));
  const std::uint64_t scale = (exponent + (is_normal ^ 1) + 1023 - 25) << 52;
  const auto size = static_cast<float>(digits * kernels::load<double>(&scale));
  auto bits = kernels::load<std::uint32_t>(&size);
  bits |= static_cast<std::uint32_t>((0 - is_special) & 0x7F800000);
  bits |= static_cast<std::uint32_t>(half.bits & 0x8000) << 16;
  return kernels::load<float>(&bits);
}

template <typename Word>
struct Tile {
  std::uint32_t random[kTile];
  float widened[kTile];
  Word words[kTile];
};

// Everything about a pass that its threads share and none changes.
template <typename Word>
class Pass {
 public:
  Pass(const PassInput& input, const EncodeOptions& options, const PassMasks& masks, unsigned bits,
       span<std::uint8_t> out)
      : kernels_(active_kernels()),
        input_(input),
        options_(options),
        rounding_(kernels_, options.seed),
        masks_(kernels_, masks.seeds, masks.signs),
        bits_(bits),
        out_(out) {
    starts_.reserve(input.floats.size() + 1);
    std::uint64_t start = 0;
    for (const auto& piece : input.floats) {
      starts_.push_back(start);
      start += std::visit([](auto floats) { return std::uint64_t{floats.size()}; }, piece);
    }
    starts_.push_back(start);
  }

  // Elements [begin, end), a tile at a time; begin is a multiple of 8.
  void run(std::uint64_t begin, std::uint64_t end, FloatReport* report) const {
    Secret<Tile<Word>> tile;
    for (; begin < end; begin += kTile) {
      const auto count = static_cast<std::size_t>(std::min<std::uint64_t>(kTile, end - begin));
      const span<Word> words((*tile).words, count);
      encode_tile(begin, *tile, count, report);
      masks_.add(words, options_.first + begin);
      lane<Word>(*kernels_.pack).pack(words.data(), count, bits_, out_.data() + begin / 8 * bits_);
    }
  }

 private:
  void encode_tile(std::uint64_t begin, Tile<Word>& tile, std::size_t count,
                   FloatReport* report) const {
    const std::uint32_t* random = nullptr;
    if (rounding_.size() != 0) {
      const span<std::uint8_t> bytes(reinterpret_cast<std::uint8_t*>(tile.random),
                                     count * sizeof(std::uint32_t));
      rounding_.keystream(0, (options_.first + begin) * sizeof(std::uint32_t), bytes);
      random = tile.random;
    }
    const std::uint64_t end = begin + count;
    const std::uint64_t num_floats = starts_.back();
    // The piece that holds `begin`: the last one that does not start after it.
    auto piece = static_cast<std::size_t>(
        std::upper_bound(starts_.begin(), starts_.end() - 1, begin) - starts_.begin());
    if (piece != 0) --piece;
    for (std::uint64_t at = begin; at < std::min(end, num_floats); ++piece) {
      const std::uint64_t stop = std::min(end, starts_[piece + 1]);
      if (stop <= at) continue;  // an empty piece
      const auto size = static_cast<std::size_t>(stop - at);
      const auto from = static_cast<std::size_t>(at - starts_[piece]);
      const auto to = static_cast<std::size_t>(at - begin);
      std::visit(
          [&](auto floats) {
            const std::uint32_t* const own = random == nullptr ? nullptr : random + to;
            encode_piece(floats.subspan(from, size), own, tile.widened, tile.words + to, report);
          },
          input_.floats[piece]);
      at = stop;
    }
    for (std::uint64_t at = std::max(begin, num_floats); at < end; ++at)
      tile.words[at - begin] = static_cast<Word>(input_.integers[at - num_floats]);
  }

  template <typename Float>
  void encode_piece(span<const Float> x, const std::uint32_t* random, float*, Word* out,
                    FloatReport* report) const {
    encode_kernel<Float, Word> (*kernels_.fixed_point)(x.data(), x.size(), options_.factor,
                                                       options_.clip, random, out, report);
  }

  void encode_piece(span<const Half> x, const std::uint32_t* random, float* widened, Word* out,
                    FloatReport* report) const {
    std::transform(x.begin(), x.end(), widened, widen);
    encode_piece(span<const float>(widened, x.size()), random, nullptr, out, report);
  }

  const Kernels& kernels_;
  const PassInput& input_;
  const EncodeOptions& options_;
  PrgKeys rounding_;
  MaskSum masks_;
  unsigned bits_;
  span<std::uint8_t> out_;
  std::vector<std::uint64_t> starts_;  // of each piece of floats, and of the integers
};

template <typename Word>
std::uint64_t run_pass(const PassInput& input, const EncodeOptions& options, const PassMasks& masks,
                       unsigned bits, span<std::uint8_t> out) {
  check_words<Word>(options.first, input.size());
  const Pass<Word> pass(input, options, masks, bits, out);
  const Range range{0, input.size(), kGrainTiles * kTile, kTile};
  return checked(collect(range, options.threads,
                         [&](std::uint64_t begin, std::uint64_t end, FloatReport* report) {
                           pass.run(begin, end, report);
                         }));
}

}  // namespace

std::uint64_t PassInput::size() const {
  std::uint64_t total = integers.size();
  for (const auto& piece : floats)
    total += std::visit([](auto items) { return std::uint64_t{items.size()}; }, piece);
  return total;
}

std::uint64_t encode_masked(const PassInput& input, const EncodeOptions& options,
                            const PassMasks& masks, unsigned bits, span<std::uint8_t> out) {
  check_options(options, input.size());
  check_packed(out.size(), input.size(), bits);
  if (bits <= 16) return run_pass<std::uint16_t>(input, options, masks, bits, out);
  if (bits <= 32) return run_pass<std::uint32_t>(input, options, masks, bits, out);
  return run_pass<std::uint64_t>(input, options, masks, bits, out);
}

}  // namespace fedsecure
