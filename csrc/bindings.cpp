// The module, and the checks that stand between Python objects and spans.

#include "bindings.hpp"

#include <pybind11/stl.h>

#include <algorithm>
#include <limits>
#include <stdexcept>

#include "dispatch.hpp"
#include "entropy.hpp"
#include "prg.hpp"
#include "wipe.hpp"

namespace fedsecure::bindings {

Bytes::Bytes(py::handle object, const char* name, bool writable) {
  if (PyObject_GetBuffer(object.ptr(), &view_, writable ? PyBUF_WRITABLE : PyBUF_SIMPLE) == 0)
    return;
  PyErr_Clear();
  throw py::type_error(std::string(name) + " must be a contiguous" + (writable ? " writable" : "") +
                       " bytes-like object");
}

Prg to_prg(py::handle number) {
  const std::uint64_t value = to_unsigned(number, "prg");
  if (value < 1 || value > 3)
    throw py::value_error("prg must be 1 (AES-128), 2 (AES-256) or 3 (ChaCha20), got " +
                          std::to_string(value));
  return static_cast<Prg>(value);
}

Seed::Seed(py::handle object, Prg prg) : Bytes(object, "seed"), prg_(prg) {
  if (size() != seed_bytes(prg))
    throw py::value_error(
        "seed must have " + std::to_string(seed_bytes(prg)) + " bytes (key || nonce of generator " +
        std::to_string(static_cast<int>(prg)) + "), got " + std::to_string(size()));
}

std::uint64_t to_unsigned(py::handle number, const char* name) {
  const py::object index = py::reinterpret_steal<py::object>(PyNumber_Index(number.ptr()));
  if (!index) throw py::error_already_set();
  const unsigned long long value = PyLong_AsUnsignedLongLong(index.ptr());
  if (PyErr_Occurred()) {
    PyErr_Clear();
    throw py::value_error(std::string(name) + " must lie in [0, 2**64)");
  }
  return value;
}

unsigned to_threads(py::handle number) {
  constexpr std::uint64_t kMost = 65536;  // more threads than this never help
  return static_cast<unsigned>(std::min(to_unsigned(number, "threads"), kMost));
}

unsigned to_bits(py::handle number) {
  constexpr std::uint64_t kMost = std::numeric_limits<unsigned>::max();
  return static_cast<unsigned>(std::min(to_unsigned(number, "bits"), kMost));
}

void check_layout(const py::array& array, const char* name, py::ssize_t ndim) {
  if (array.ndim() != ndim)
    throw py::value_error(std::string(name) + " must have " + std::to_string(ndim) +
                          " dimension(s), got " + std::to_string(array.ndim()));
  const auto address = reinterpret_cast<std::uintptr_t>(array.data());
  const auto itemsize = static_cast<std::uintptr_t>(std::max<py::ssize_t>(array.itemsize(), 1));
  const bool contiguous = (array.flags() & py::array::c_style) != 0;
  if (!contiguous || (array.size() != 0 && address % itemsize != 0))
    throw py::type_error(std::string(name) +
                         " must be a C-contiguous, aligned array; make one with "
                         "numpy.ascontiguousarray or .copy()");
}

void check_writeable(const py::array& array, const char* name) {
  if (!array.writeable())
    throw py::value_error(std::string(name) + " is read-only but must be written to");
}

void refuse_dtype(const py::array& array, const char* name, const char* wanted) {
  throw py::type_error(std::string(name) + " must be an array of native " + wanted + ", got " +
                       py::str(array.dtype()).cast<std::string>());
}

void refuse_overlap(const py::array& a, const char* a_name, const void* b, std::size_t b_bytes,
                    const char* b_name) {
  const auto a_begin = reinterpret_cast<std::uintptr_t>(a.data());
  const auto b_begin = reinterpret_cast<std::uintptr_t>(b);
  const auto a_end = a_begin + static_cast<std::uintptr_t>(a.nbytes());
  if (a_begin < b_begin + b_bytes && b_begin < a_end)
    throw py::value_error(std::string(a_name) + " and " + b_name + " share memory");
}

void refuse_overlap(const py::array& a, const char* a_name, const py::array& b,
                    const char* b_name) {
  refuse_overlap(a, a_name, b.data(), static_cast<std::size_t>(b.nbytes()), b_name);
}

Seeds to_seeds(const py::array& seeds, const py::array& signs, Prg prg) {
  check_layout(seeds, "seeds", 2);
  check_layout(signs, "signs", 1);
  if (!holds<std::uint8_t>(seeds)) refuse_dtype(seeds, "seeds", "uint8");
  if (!holds<std::int8_t>(signs)) refuse_dtype(signs, "signs", "int8");
  const auto size = static_cast<py::ssize_t>(seed_bytes(prg));
  if (seeds.shape(1) != size || seeds.shape(0) != signs.shape(0))
    throw py::value_error("seeds must have shape (k, " + std::to_string(size) +
                          ") for this generator and signs (k,), got (" +
                          std::to_string(seeds.shape(0)) + ", " + std::to_string(seeds.shape(1)) +
                          ") and (" + std::to_string(signs.shape(0)) + ",)");
  return {prg, static_cast<const std::uint8_t*>(seeds.data()),
          static_cast<std::size_t>(seeds.shape(0))};
}

span<const std::uint8_t> byte_input(const py::array& array, const char* name) {
  check_layout(array, name, 1);
  if (!holds<std::uint8_t>(array)) refuse_dtype(array, name, "uint8");
  return input<std::uint8_t>(array);
}

span<std::uint8_t> byte_output(py::array& array, const char* name) {
  byte_input(array, name);
  return output<std::uint8_t>(array, name);
}

namespace {

py::bytes py_random_bytes(py::handle n) {
  const std::uint64_t size = to_unsigned(n, "n");
  if (size > static_cast<std::uint64_t>(PY_SSIZE_T_MAX))
    throw py::value_error("n is larger than any bytes object");
  PyObject* const raw = PyBytes_FromStringAndSize(nullptr, static_cast<Py_ssize_t>(size));
  if (raw == nullptr) throw py::error_already_set();
  py::bytes result = py::reinterpret_steal<py::bytes>(raw);
  // Nobody else has seen the object yet, so it may still be written to.
  auto* const data = reinterpret_cast<std::uint8_t*>(PyBytes_AS_STRING(raw));
  const span<std::uint8_t> out(data, static_cast<std::size_t>(size));
  {
    const py::gil_scoped_release nogil;
    fill_random(out);
  }
  return result;
}

std::uint64_t py_aes_rounds(py::handle count) {
  const std::uint64_t wanted = to_unsigned(count, "count");
  if (wanted >> 63 != 0) throw py::value_error("count must lie in [0, 2**63)");
  const kernels::PortKernels* const port = active_kernels().port;
  const py::gil_scoped_release nogil;
  return port == nullptr ? 0 : port->aes_rounds(wanted);
}

}  // namespace

void bind_system(py::module_& m) {
  m.def("available_kernels", &available_kernels,
        "available_kernels() -> list[str]\n\n"
        "Names of the kernel sets this processor can run, best first; the last is 'portable'.\n"
        "All of them give the same bits.");
  m.def(
      "active_kernels", [] { return std::string(active_kernels().name); },
      "active_kernels() -> str\n\nName of the kernel set in use.");
  m.def("select_kernels", &select_kernels, py::arg("name"),
        "select_kernels(name: str) -> None\n\n"
        "Use the named kernel set from now on, in all threads (for tests and benches; users set\n"
        "FEDSECURE_KERNELS before importing). ValueError, naming the available ones, otherwise.");
  m.def(
      "aes_rounds", &py_aes_rounds, py::arg("count"),
      "aes_rounds(count: int) -> int\n\n"
      "Do at least count (below 2**63) rounds of AES, on one block each, with the instructions of\n"
      "the kernel set in use, one thread, registers only; return how many. For measuring: timed,\n"
      "it is the rate no AES-CTR on this processor exceeds, a block of AES-128 being 10 rounds.\n"
      "0 where the kernel set has no AES instructions.");
  m.def("random_bytes", &py_random_bytes, py::arg("n"),
        "random_bytes(n: int) -> bytes\n\n"
        "n bytes from the operating system's generator; RuntimeError if it gives none.");
  m.def(
      "wipe",
      [](py::handle buffer) {
        const Bytes bytes(buffer, "buffer", true);
        wipe(bytes.data(), bytes.size());
      },
      py::arg("buffer"),
      "wipe(buffer) -> None\n\n"
      "Overwrite a writable, contiguous buffer with zeros, in a way compilers cannot remove.\n"
      "Copies that Python made elsewhere are out of reach. TypeError for read-only buffers.");
}

}  // namespace fedsecure::bindings

PYBIND11_MODULE(_core, m, pybind11::mod_gil_not_used()) {
  namespace py = pybind11;
  using namespace fedsecure;
  try {
    select_kernels_from_environment();
  } catch (const std::invalid_argument& error) {
    throw py::import_error(std::string("FEDSECURE_KERNELS: ") + error.what());
  }
  py::options options;
  options.disable_function_signatures();  // the docstrings start with readable ones
  m.doc() =
      "Compiled core of fedsecure: masks, ring vectors, fixed point, Shamir shares, noise,\n"
      "Paillier, entropy.\n\n"
      "Arrays are C-contiguous, native-endian and never converted: a wrong dtype, stride or\n"
      "alignment is a TypeError, a wrong size or value a ValueError. A 'ring array' is a\n"
      "one-dimensional uint16, uint32 or uint64 array. prg names the generator: 1 for AES-128\n"
      "in counter mode, 2 for AES-256, 3 for ChaCha20. A seed is the key and an 8-byte nonce: 24\n"
      "bytes for 1, 40 for the others. threads=0 means one per processor; results never depend on\n"
      "it. The GIL is released around the work.";
  m.attr("__version__") = FEDSECURE_VERSION;
  bindings::bind_system(m);
  bindings::bind_vectors(m);
  bindings::bind_client_pass(m);
  bindings::bind_shamir(m);
  bindings::bind_sampler(m);
  bindings::bind_paillier(m);
}
