#include "slots.hpp"

#include <algorithm>
#include <atomic>
#include <stdexcept>
#include <string>

#include "kernels/kernels.hpp"
#include "parallel.hpp"
#include "secret.hpp"

namespace fedsecure {
namespace {

constexpr std::size_t kMaxWords = 64;
constexpr std::uint64_t kGrain = 64;

struct Number {
  std::uint64_t words[kMaxWords];
};

std::uint64_t mask_of(unsigned bits) { return ~std::uint64_t{0} >> (64 - bits); }

// a += b & mask; gives the carry.
std::uint64_t add(std::uint64_t* a, const std::uint64_t* b, std::uint64_t mask, std::size_t words) {
  std::uint64_t carry = 0;
  for (std::size_t i = 0; i < words; ++i) {
    const std::uint64_t partial = a[i] + (b[i] & mask);
    const std::uint64_t first = partial < a[i];
    a[i] = partial + carry;
    carry = first | (a[i] < carry);
  }
  return carry;
}

// a -= b; gives the borrow.
std::uint64_t subtract(std::uint64_t* a, const std::uint64_t* b, std::size_t words) {
  std::uint64_t borrow = 0;
  for (std::size_t i = 0; i < words; ++i) {
    const std::uint64_t partial = a[i] - b[i];
    const std::uint64_t first = a[i] < b[i];
    a[i] = partial - borrow;
    borrow = first | (partial < borrow);
  }
  return borrow;
}

// ORs `bits` bits in at a position.
void put(std::uint64_t* words, std::size_t position, std::uint64_t value) {
  const std::size_t shift = position % 64;
  words[position / 64] |= value << shift;
  if (shift != 0 && position / 64 + 1 < kMaxWords)
    words[position / 64 + 1] |= value >> (64 - shift);
}

std::uint64_t get(const std::uint64_t* words, std::size_t position, unsigned bits) {
  const std::size_t shift = position % 64;
  std::uint64_t value = words[position / 64] >> shift;
  if (shift != 0 && position / 64 + 1 < kMaxWords)
    value |= words[position / 64 + 1] << (64 - shift);
  return value & mask_of(bits);
}

// All ones if x is zero.
std::uint64_t is_zero(std::uint64_t x) { return ((x | (0 - x)) >> 63) - 1; }

// Bits from `position` on, OR-ed together.
std::uint64_t bits_above(const std::uint64_t* words, std::size_t position, std::size_t count) {
  std::uint64_t found = words[position / 64] >> position % 64;
  for (std::size_t i = position / 64 + 1; i < count; ++i) found |= words[i];
  return found;
}

void load(const std::uint8_t* from, std::size_t words, Number* to) {
  for (std::size_t i = 0; i < words; ++i) to->words[i] = kernels::load<std::uint64_t>(from + 8 * i);
}

void store(const Number& from, std::size_t words, std::uint8_t* to) {
  for (std::size_t i = 0; i < words; ++i) kernels::store(to + 8 * i, from.words[i]);
}

// Digit by digit, a borrow going to the next one where the number so far is negative.
template <typename Word>
FEDSECURE_NOINLINE void pack_row(span<const Word> x, const Slots& slots, const Number& n,
                                 std::uint8_t* row) {
  const std::size_t words = slots.n.size() / 8;
  const unsigned bits = slots.bits;
  Secret<Number> sum;
  std::uint64_t below = 0;  // all ones after a negative number
  for (std::size_t j = 0; j < slots.count; ++j) {
    const std::uint64_t digit = (j < x.size() ? x[j] : std::uint64_t{0}) & mask_of(bits);
    put(sum->words, j * bits, (digit + below) & mask_of(bits));
    below = (0 - (digit >> (bits - 1))) | (is_zero(digit) & below);
  }
  const std::size_t end = slots.count * bits;  // the sign, above the slots
  sum->words[end / 64] |= below << end % 64;
  for (std::size_t i = end / 64 + 1; i < words; ++i) sum->words[i] = below;
  add(sum->words, n.words, below, words);
  store(*sum, words, row);
}

struct Unpacking {
  Number n;
  Number bias;  // half of 2^bits in every slot
};

// All ones if the row is a plaintext whose numbers fit.
template <typename Word>
FEDSECURE_NOINLINE std::uint64_t unpack_row(const std::uint8_t* row, const Slots& slots,
                                            const Unpacking& constants, span<Word> out) {
  const std::size_t words = slots.n.size() / 8;
  const std::size_t end = slots.count * slots.bits;
  Secret<Number> upper;  // for numbers below zero, that is n minus something
  Secret<Number> lower;
  load(row, words, &*lower);
  load(row, words, &*upper);
  const std::uint64_t canonical = 0 - subtract(upper->words, constants.n.words, words);
  add(upper->words, constants.bias.words, ~std::uint64_t{0}, words);
  const std::uint64_t carry = add(lower->words, constants.bias.words, ~std::uint64_t{0}, words);
  const std::uint64_t fits = is_zero(bits_above(lower->words, end, words) | carry);
  const std::uint64_t fits_below = is_zero(bits_above(upper->words, end, words));
  for (std::size_t i = 0; i < words; ++i)
    lower->words[i] = (lower->words[i] & fits) | (upper->words[i] & ~fits);
  const std::uint64_t half = std::uint64_t{1} << (slots.bits - 1);
  for (std::size_t j = 0; j < out.size(); ++j)
    out[j] = static_cast<Word>(get(lower->words, j * slots.bits, slots.bits) - half);
  return canonical & (fits | fits_below);
}

}  // namespace

void check_slots(const Slots& slots) {
  const std::size_t size = slots.n.size();
  if (size != 256 && size != 384 && size != 512)
    throw std::invalid_argument("n must have 256, 384 or 512 bytes, got " + std::to_string(size));
  if (slots.n[0] % 2 == 0 || slots.n[size - 1] < 128)
    throw std::invalid_argument("n must be odd, with its top bit set");
  if (slots.bits < 8 || slots.bits > 64)
    throw std::invalid_argument("bits must lie in [8, 64], got " + std::to_string(slots.bits));
  const std::size_t most = (8 * size - 2) / slots.bits;
  if (slots.count < 1 || slots.count > most)
    throw std::invalid_argument("slots must lie in [1, " + std::to_string(most) +
                                "] for this n and these bits, got " + std::to_string(slots.count));
}

template <typename Word>
void pack_slots(span<const Word> x, const Slots& slots, span<std::uint8_t> rows) {
  check_slots(slots);
  const std::size_t size = slots.n.size();
  if (rows.size() != slots.rows(x.size()) * size)
    throw std::invalid_argument("rows has the wrong size");
  Secret<Number> n;  // public, but a stack without it is easier to check for what is not
  load(slots.n.data(), size / 8, &*n);
  parallel_for({0, slots.rows(x.size()), kGrain}, 1, [&](std::uint64_t begin, std::uint64_t end) {
    for (std::uint64_t i = begin; i < end; ++i) {
      const std::size_t first = i * slots.count;
      const std::size_t count = std::min(slots.count, x.size() - first);
      pack_row(x.subspan(first, count), slots, *n, rows.data() + i * size);
    }
  });
}

template <typename Word>
void unpack_slots(span<const std::uint8_t> rows, const Slots& slots, span<Word> out) {
  check_slots(slots);
  const std::size_t size = slots.n.size();
  const std::size_t count = slots.rows(out.size());
  if (rows.size() != count * size)
    throw std::invalid_argument("an output of " + std::to_string(out.size()) + " needs " +
                                std::to_string(count) + " plaintexts");
  Secret<Unpacking> constants;
  load(slots.n.data(), size / 8, &constants->n);
  for (std::size_t j = 0; j < slots.count; ++j)
    put(constants->bias.words, j * slots.bits, std::uint64_t{1} << (slots.bits - 1));
  std::atomic<std::size_t> wrong{count};
  parallel_for({0, count, kGrain}, 1, [&](std::uint64_t begin, std::uint64_t end) {
    for (std::uint64_t i = begin; i < end; ++i) {
      const std::size_t first = i * slots.count;
      const span<Word> to = out.subspan(first, std::min(slots.count, out.size() - first));
      const std::uint64_t good = unpack_row(rows.data() + i * size, slots, *constants, to);
      if (declassify(good) == 0 && wrong == count) wrong = i;
    }
  });
  if (wrong == count) return;
  wipe(out.data(), out.size() * sizeof(Word));
  throw std::invalid_argument("plaintext " + std::to_string(wrong) + " does not fit " +
                              std::to_string(slots.count) + " slots of " +
                              std::to_string(slots.bits) + " bits");
}

template void pack_slots(span<const std::uint16_t>, const Slots&, span<std::uint8_t>);
template void pack_slots(span<const std::uint32_t>, const Slots&, span<std::uint8_t>);
template void pack_slots(span<const std::uint64_t>, const Slots&, span<std::uint8_t>);
template void unpack_slots(span<const std::uint8_t>, const Slots&, span<std::uint16_t>);
template void unpack_slots(span<const std::uint8_t>, const Slots&, span<std::uint32_t>);
template void unpack_slots(span<const std::uint8_t>, const Slots&, span<std::uint64_t>);

}  // namespace fedsecure
