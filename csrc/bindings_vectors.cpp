// Bindings of everything that works on long vectors.

#include <optional>

#include "bindings.hpp"
#include "fixed_point.hpp"
#include "masks.hpp"
#include "prg.hpp"
#include "ring.hpp"

namespace fedsecure::bindings {
namespace {

void py_keystream(py::handle seed, py::handle offset, py::array out, py::handle prg,
                  py::handle threads) {
  const Seed key(seed, to_prg(prg));
  const std::uint64_t start = to_unsigned(offset, "offset");
  const unsigned workers = to_threads(threads);
  const span<std::uint8_t> bytes = byte_output(out, "out");
  const py::gil_scoped_release nogil;
  keystream(key.seeds(), start, bytes, workers);
}

void py_apply_masks(py::array acc, const py::array& seeds, const py::array& signs,
                    py::handle first_word, py::handle prg, py::handle threads) {
  const Seeds keys = to_seeds(seeds, signs, to_prg(prg));
  refuse_overlap(acc, "acc", seeds, "seeds");
  refuse_overlap(acc, "acc", signs, "signs");
  const std::uint64_t first = to_unsigned(first_word, "first_word");
  const unsigned workers = to_threads(threads);
  with_lane(acc, "acc", [&](auto word) {
    using Word = decltype(word);
    const span<Word> to = output<Word>(acc, "acc");
    const py::gil_scoped_release nogil;
    apply_masks(to, keys, input<std::int8_t>(signs), first, workers);
  });
}

void py_ring_add(py::array acc, const py::array& x, py::handle threads) {
  const unsigned workers = to_threads(threads);
  with_lane(acc, "acc", [&](auto word) {
    using Word = decltype(word);
    check_layout(x, "x", 1);
    if (!holds<Word>(x)) refuse_dtype(x, "x", "integers of the same dtype as acc");
    const span<Word> to = output<Word>(acc, "acc");
    if (acc.data() != x.data()) refuse_overlap(acc, "acc", x, "x");
    const span<const Word> from = input<Word>(x);
    const py::gil_scoped_release nogil;
    ring_add(to, from, workers);
  });
}

void py_pack(const py::array& x, py::handle bits, py::array out, py::handle threads) {
  const unsigned width = to_bits(bits);
  const unsigned workers = to_threads(threads);
  const span<std::uint8_t> to = byte_output(out, "out");
  refuse_overlap(x, "x", out, "out");
  with_lane(x, "x", [&](auto word) {
    using Word = decltype(word);
    const span<const Word> from = input<Word>(x);
    const py::gil_scoped_release nogil;
    pack(from, width, to, workers);
  });
}

// unpack and unpack_add differ in what they do with the values only.
template <bool kAdd>
void py_unpack(const py::array& data, py::handle bits, py::array out, py::handle threads) {
  const char* const name = kAdd ? "acc" : "out";
  const unsigned width = to_bits(bits);
  const unsigned workers = to_threads(threads);
  const span<const std::uint8_t> from = byte_input(data, "data");
  refuse_overlap(out, name, data, "data");
  with_lane(out, name, [&](auto word) {
    using Word = decltype(word);
    const span<Word> to = output<Word>(out, name);
    const py::gil_scoped_release nogil;
    if constexpr (kAdd)
      unpack_add(from, width, to, workers);
    else
      unpack(from, width, to, workers);
  });
}

py::tuple py_inspect(const py::array& x, double clip, py::handle threads) {
  const unsigned workers = to_threads(threads);
  const FloatReport report = with_float(x, "x", [&](auto item) {
    using Float = decltype(item);
    const span<const Float> from = input<Float>(x);
    const py::gil_scoped_release nogil;
    return inspect(from, clip, workers);
  });
  return py::make_tuple(report.outside, report.nonfinite, report.max_abs);
}

std::uint64_t py_encode(const py::array& x, double factor, double clip, py::handle seed,
                        py::handle first, py::array out, py::handle prg, py::handle threads) {
  const Prg generator = to_prg(prg);
  std::optional<Seed> key;
  if (!seed.is_none()) key.emplace(seed, generator);
  const EncodeOptions options{factor, clip, key ? key->seeds() : Seeds{generator, nullptr, 0},
                              to_unsigned(first, "first"), to_threads(threads)};
  refuse_overlap(x, "x", out, "out");
  if (key) refuse_overlap(out, "out", key->data(), key->size(), "seed");
  return with_float(x, "x", [&](auto item) {
    using Float = decltype(item);
    const span<const Float> from = input<Float>(x);
    return with_lane(out, "out", [&](auto word) {
      using Word = decltype(word);
      const span<Word> to = output<Word>(out, "out");
      const py::gil_scoped_release nogil;
      return encode(from, options, to);
    });
  });
}

void py_decode(const py::array& x, py::handle bits, double factor, py::array out,
               py::handle threads) {
  const unsigned width = to_bits(bits);
  const unsigned workers = to_threads(threads);
  refuse_overlap(x, "x", out, "out");
  with_lane(x, "x", [&](auto word) {
    using Word = decltype(word);
    const span<const Word> from = input<Word>(x);
    with_float(out, "out", [&](auto item) {
      using Float = decltype(item);
      const span<Float> to = output<Float>(out, "out");
      const py::gil_scoped_release nogil;
      decode(from, width, factor, to, workers);
    });
  });
}

std::uint64_t py_packed_size(py::handle count, py::handle bits) {
  return packed_size(to_unsigned(count, "count"), to_bits(bits));
}

void bind_masks(py::module_& m) {
  m.def(
      "keystream", &py_keystream, py::arg("seed"), py::arg("offset"), py::arg("out"), py::kw_only(),
      py::arg("prg") = 1, py::arg("threads") = 0,
      "keystream(seed, offset: int, out: uint8[n], *, prg=1, threads=0) -> None\n\n"
      "Fill out with bytes [offset, offset + n) of the keystream of seed: AES-CTR (NIST SP\n"
      "800-38A; counter block = nonce || 64-bit big-endian block number from 0), or ChaCha20 (RFC\n"
      "8439; words 12 and 13 = 64-bit little-endian block number, 14 and 15 = nonce). ValueError\n"
      "when the seed has another size or offset + n passes 2**63.");
  m.def(
      "apply_masks", &py_apply_masks, py::arg("acc"), py::arg("seeds"), py::arg("signs"),
      py::arg("first_word"), py::kw_only(), py::arg("prg") = 1, py::arg("threads") = 0,
      "apply_masks(acc: ring[n], seeds: uint8[k, seed size], signs: int8[k], first_word: int, *,\n"
      "            prg=1, threads=0) -> None\n\n"
      "acc[i] += sum over j of signs[j] * word (first_word + i) of PRG(seeds[j]), in place and\n"
      "wrapping in the lane. Word i is little-endian at byte i * itemsize of the keystream.\n"
      "Constant time in seeds and values. ValueError when a sign is not +1 or -1 or the shapes do\n"
      "not fit.");
}

void bind_ring(py::module_& m) {
  m.def("ring_add", &py_ring_add, py::arg("acc"), py::arg("x"), py::kw_only(),
        py::arg("threads") = 0,
        "ring_add(acc: ring[n], x: ring[n], *, threads=0) -> None\n\n"
        "acc += x in place, wrapping in the lane. x may be acc itself, but not overlap it.");
  m.def("packed_size", &py_packed_size, py::arg("count"), py::arg("bits"),
        "packed_size(count: int, bits: int) -> int\n\n"
        "ceil(count * bits / 8): bytes that `count` elements of 8 <= bits <= 64 take when packed.");
  m.def("pack", &py_pack, py::arg("x"), py::arg("bits"), py::arg("out"), py::kw_only(),
        py::arg("threads") = 0,
        "pack(x: ring[n], bits: int, out: uint8[packed_size(n, bits)], *, threads=0) -> None\n\n"
        "Write x mod 2**bits as a little-endian bit string, least significant bit first, padding\n"
        "bits zero. 8 <= bits <= lane width.");
  m.def("unpack", &py_unpack<false>, py::arg("data"), py::arg("bits"), py::arg("out"),
        py::kw_only(), py::arg("threads") = 0,
        "unpack(data: uint8[packed_size(n, bits)], bits: int, out: ring[n], *, threads=0) -> None\n"
        "\nUndo pack. ValueError when the size is wrong or a padding bit is set; then out is\n"
        "unchanged.");
  m.def("unpack_add", &py_unpack<true>, py::arg("data"), py::arg("bits"), py::arg("acc"),
        py::kw_only(), py::arg("threads") = 0,
        "unpack_add(data: uint8[packed_size(n, bits)], bits: int, acc: ring[n], *, threads=0)\n"
        "    -> None\n\n"
        "acc += unpack(data), wrapping in the lane; checks as unpack.");
}

void bind_fixed_point(py::module_& m) {
  m.def("inspect", &py_inspect, py::arg("x"), py::arg("clip"), py::kw_only(),
        py::arg("threads") = 0,
        "inspect(x: float32|float64[n], clip: float, *, threads=0) -> tuple[int, int, float]\n\n"
        "(outside, nonfinite, max_abs_finite): how many |x| > clip (infinities too), how many NaN\n"
        "or infinite, the largest finite |x| (0.0 if none).");
  m.def(
      "encode", &py_encode, py::arg("x"), py::arg("factor"), py::arg("clip"), py::arg("seed"),
      py::arg("first"), py::arg("out"), py::kw_only(), py::arg("prg") = 1, py::arg("threads") = 0,
      "encode(x: float32|float64[n], factor: float, clip: float, seed: bytes-like | None,\n"
      "       first: int, out: ring[n], *, prg=1, threads=0) -> int\n\n"
      "out = round(clip(x) * factor) mod 2**lane, in double precision. seed None: half to even.\n"
      "Otherwise stochastic: floor(t) + (u < floor(frac(t) * 2**32)) with u the 32-bit PRG word\n"
      "number first + i. Returns how many x were clipped. ValueError, out unspecified, when an x\n"
      "is NaN or infinite or |t| >= 2**62.");
  m.def("decode", &py_decode, py::arg("x"), py::arg("bits"), py::arg("factor"), py::arg("out"),
        py::kw_only(), py::arg("threads") = 0,
        "decode(x: ring[n], bits: int, factor: float, out: float32|float64[n], *, threads=0)\n"
        "    -> None\n\n"
        "out = c * factor in double, c the representative of x mod 2**bits in\n"
        "[-2**(bits-1), 2**(bits-1)). 8 <= bits <= lane width.");
}

}  // namespace

void bind_vectors(py::module_& m) {
  bind_masks(m);
  bind_ring(m);
  bind_fixed_point(m);
}

}  // namespace fedsecure::bindings
