#include "comb.hpp"

#include <algorithm>
#include <cstring>

#include "pages.hpp"
#include "parallel.hpp"

namespace fedsecure {
namespace {

// More would give fewer products, but a table too large for the caches.
constexpr unsigned kWidth = 7;
constexpr std::size_t kEntries = std::size_t{1} << kWidth;

}  // namespace

Comb::Comb(const Modulus& modulus, const std::uint64_t* base, std::size_t bits, unsigned threads)
    : modulus_(modulus),
      bits_(bits),
      windows_((bits + kWidth - 1) / kWidth),
      table_(windows_ * 2 * modulus.words() * kEntries) {
  advise_huge_pages({reinterpret_cast<std::uint8_t*>(table_.data()), table_.size() * 8});
  const std::size_t pair = modulus_.pair();
  const std::size_t lanes = modulus_.lanes();
  // base^(2^(w * i)), each in a lane of its own.
  const std::size_t batches = (windows_ + lanes - 1) / lanes;
  Words bases(batches * pair);
  Words power(pair);
  std::memcpy(power.data(), base, pair * sizeof(std::uint64_t));
  for (std::size_t window = 0; window < batches * lanes; ++window) {
    for (std::size_t i = 0; i < pair / lanes; ++i)
      bases[window / lanes * pair + i * lanes + window % lanes] = power[i * lanes];
    for (unsigned i = 0; window + 1 < windows_ && i < kWidth; ++i)
      modulus_.square(power.data(), power.data());
  }
  parallel_for({0, batches, 1}, threads, [&](std::uint64_t begin, std::uint64_t end) {
    for (std::uint64_t i = begin; i < end; ++i)
      fill_windows(bases.data() + i * pair, i * lanes, std::min(lanes, windows_ - i * lanes));
  });
  wipe_dead_stack();
}

// All entries of `count` windows, whose bases are the lanes of a batch. Entries are made one after
// the other and lie side by side in the table, so they are collected first.
void Comb::fill_windows(const std::uint64_t* bases, std::size_t first, std::size_t count) {
  const std::size_t lanes = modulus_.lanes();
  const std::size_t words = 2 * modulus_.words();
  const std::size_t pair = modulus_.pair();
  Words entries(kEntries * pair);
  modulus_.spread(modulus_.powers_of_r(1), words, entries.data());
  for (std::size_t e = 1; e < kEntries; ++e)
    modulus_.mul(entries.data() + (e - 1) * pair, bases, entries.data() + e * pair);
  for (std::size_t lane = 0; lane < count; ++lane) {
    std::uint64_t* const table = table_.data() + (first + lane) * words * kEntries;
    for (std::size_t i = 0; i < words; ++i)
      for (std::size_t e = 0; e < kEntries; ++e)
        table[i * kEntries + e] = entries[e * pair + i * lanes + lane];
  }
}

void Comb::powers(span<const std::uint8_t> exponents, std::uint64_t* out) const {
  const std::size_t bytes = bits_ / 8;
  const std::size_t lanes = modulus_.lanes();
  const std::size_t words = 2 * modulus_.words();
  const std::size_t count = exponents.size() / bytes;
  const std::size_t batches = (count + lanes - 1) / lanes;
  Words index(batches * lanes);
  Words entries(batches * modulus_.pair());
  for (std::size_t window = 0; window < windows_; ++window) {
    for (std::size_t i = 0; i < count; ++i)
      index[i] = bits_at(exponents.subspan(i * bytes, bytes), window * kWidth, kWidth);
    std::uint64_t* const to = window == 0 ? out : entries.data();
    modulus_.kernels().pick_shared(table_.data() + window * words * kEntries, kEntries,
                                   static_cast<unsigned>(words), index.data(), batches, to);
    for (std::size_t b = 0; window != 0 && b < batches; ++b) {
      std::uint64_t* const product = out + b * modulus_.pair();
      modulus_.mul(product, entries.data() + b * modulus_.pair(), product);
    }
  }
}

}  // namespace fedsecure
