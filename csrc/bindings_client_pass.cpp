// Binding of the client's pass.

#include <algorithm>
#include <optional>

#include "bindings.hpp"
#include "client_pass.hpp"
#include "pages.hpp"
#include "prg.hpp"
#include "ring.hpp"

namespace fedsecure::bindings {
namespace {

// An array of numpy's float16, for which C++ has no type.
bool holds_halves(const py::array& array) {
  const py::dtype dtype = array.dtype();
  return dtype.kind() == 'f' && dtype.itemsize() == 2 && dtype.byteorder() == '=';
}

PassInput pass_input(const py::sequence& floats, const py::sequence& integers) {
  PassInput found;
  found.floats.reserve(floats.size());
  for (const py::handle item : floats) {
    if (!py::isinstance<py::array>(item))
      throw py::type_error("floats must hold arrays of float16, float32 or float64");
    const auto piece = py::reinterpret_borrow<py::array>(item);
    if (holds_halves(piece)) {
      check_layout(piece, "every array in floats", 1);
      found.floats.emplace_back(input<Half>(piece));
      continue;
    }
    with_float(piece, "every array in floats",
               [&](auto kind) { found.floats.emplace_back(input<decltype(kind)>(piece)); });
  }
  for (const py::handle item : integers)
    found.integers.push_back(to_unsigned(item, "every number in integers"));
  return found;
}

// A bytes object to be written to: nobody else has seen it yet.
class NewBytes {
 public:
  explicit NewBytes(std::uint64_t size) {
    if (size > static_cast<std::uint64_t>(PY_SSIZE_T_MAX))
      throw py::value_error("the packed vector is larger than any bytes object");
    PyObject* const raw = PyBytes_FromStringAndSize(nullptr, static_cast<Py_ssize_t>(size));
    if (raw == nullptr) throw py::error_already_set();
    object_ = py::reinterpret_steal<py::bytes>(raw);
    advise_huge_pages(view());
  }

  span<std::uint8_t> view() const {
    return span<std::uint8_t>(reinterpret_cast<std::uint8_t*>(PyBytes_AS_STRING(object_.ptr())),
                              static_cast<std::size_t>(PyBytes_GET_SIZE(object_.ptr())));
  }
  py::bytes object() && { return std::move(object_); }

 private:
  py::bytes object_;
};

py::tuple py_encode_masked(py::handle head, const py::sequence& floats,
                           const py::sequence& integers, double factor, double clip,
                           py::handle seed, py::handle first, const py::array& seeds,
                           const py::array& signs, py::handle bits, py::handle prg,
                           py::handle threads) {
  const Bytes prefix(head, "head");
  const PassInput items = pass_input(floats, integers);
  const Prg generator = to_prg(prg);
  std::optional<Seed> key;
  if (!seed.is_none()) key.emplace(seed, generator);
  const EncodeOptions options{factor, clip, key ? key->seeds() : Seeds{generator, nullptr, 0},
                              to_unsigned(first, "first"), to_threads(threads)};
  const PassMasks masks{to_seeds(seeds, signs, generator), input<std::int8_t>(signs)};
  const unsigned width = to_bits(bits);
  NewBytes message(prefix.size() + packed_size(items.size(), width));
  const span<std::uint8_t> all = message.view();
  std::copy(prefix.data(), prefix.data() + prefix.size(), all.begin());
  const auto packed = all.subspan(prefix.size(), all.size() - prefix.size());
  std::uint64_t outside = 0;
  {
    const py::gil_scoped_release nogil;
    outside = encode_masked(items, options, masks, width, packed);
  }
  return py::make_tuple(std::move(message).object(), outside);
}

}  // namespace

void bind_client_pass(py::module_& m) {
  m.def(
      "encode_masked", &py_encode_masked, py::arg("head"), py::arg("floats"), py::arg("integers"),
      py::arg("factor"), py::arg("clip"), py::arg("seed"), py::arg("first"), py::arg("seeds"),
      py::arg("signs"), py::arg("bits"), py::kw_only(), py::arg("prg") = 1, py::arg("threads") = 0,
      "encode_masked(head: bytes-like, floats: sequence of float16|float32|float64[n], integers:\n"
      "              sequence of int, factor: float, clip: float, seed: bytes-like | None, first: "
      "int,\n"
      "              seeds: uint8[k, seed size], signs: int8[k], bits: int, *, prg=1,\n"
      "              threads=0)\n"
      "    -> tuple[bytes, int]\n\n"
      "head, then the packed sum of values and masks; and how many floats were clipped. The "
      "values\n"
      "are floats, as encode makes them, then integers; the masks are those of apply_masks with\n"
      "first_word = first, in lanes of the least of 16, 32 and 64 bits that holds bits. One pass:\n"
      "unmasked values never leave the processor's cache. ValueError as for encode, apply_masks\n"
      "and pack.");
}

}  // namespace fedsecure::bindings
