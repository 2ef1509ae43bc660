# Types of the compiled module; its docstrings say shapes, units and errors. Checked by stubtest.
from collections.abc import Sequence
from typing import Any, SupportsIndex, TypeAlias, TypeVar, final

import numpy as np
from numpy.typing import NDArray
from typing_extensions import Buffer

_Word = TypeVar("_Word", np.uint16, np.uint32, np.uint64)
_Bytes: TypeAlias = np.ndarray[Any, np.dtype[np.uint8]]
_Floats: TypeAlias = NDArray[np.float32] | NDArray[np.float64]
_Rational: TypeAlias = tuple[int, int]
_Ring: TypeAlias = NDArray[np.uint16] | NDArray[np.uint32] | NDArray[np.uint64]

_Noisy: TypeAlias = NDArray[np.int64] | _Ring

__version__: str

def available_kernels() -> list[str]: ...
def active_kernels() -> str: ...
def select_kernels(name: str) -> None: ...
def aes_rounds(count: SupportsIndex) -> int: ...
def random_bytes(n: SupportsIndex) -> bytes: ...
def wipe(buffer: Buffer) -> None: ...
def keystream(
    seed: Buffer,
    offset: SupportsIndex,
    out: _Bytes,
    *,
    prg: SupportsIndex = 1,
    threads: SupportsIndex = 0,
) -> None: ...
def apply_masks(
    acc: _Ring,
    seeds: _Bytes,
    signs: NDArray[np.int8],
    first_word: SupportsIndex,
    *,
    prg: SupportsIndex = 1,
    threads: SupportsIndex = 0,
) -> None: ...
def ring_add(acc: NDArray[_Word], x: NDArray[_Word], *, threads: SupportsIndex = 0) -> None: ...
def packed_size(count: SupportsIndex, bits: SupportsIndex) -> int: ...
def pack(x: _Ring, bits: SupportsIndex, out: _Bytes, *, threads: SupportsIndex = 0) -> None: ...
def unpack(
    data: _Bytes, bits: SupportsIndex, out: _Ring, *, threads: SupportsIndex = 0
) -> None: ...
def unpack_add(
    data: _Bytes, bits: SupportsIndex, acc: _Ring, *, threads: SupportsIndex = 0
) -> None: ...
def inspect(x: _Floats, clip: float, *, threads: SupportsIndex = 0) -> tuple[int, int, float]: ...
def encode(
    x: _Floats,
    factor: float,
    clip: float,
    seed: Buffer | None,
    first: SupportsIndex,
    out: _Ring,
    *,
    prg: SupportsIndex = 1,
    threads: SupportsIndex = 0,
) -> int: ...
def encode_masked(
    head: Buffer,
    floats: Sequence[_Floats | NDArray[np.float16]],
    integers: Sequence[int],
    factor: float,
    clip: float,
    seed: Buffer | None,
    first: SupportsIndex,
    seeds: _Bytes,
    signs: NDArray[np.int8],
    bits: SupportsIndex,
    *,
    prg: SupportsIndex = 1,
    threads: SupportsIndex = 0,
) -> tuple[bytes, int]: ...
def decode(
    x: _Ring,
    bits: SupportsIndex,
    factor: float,
    out: _Floats,
    *,
    threads: SupportsIndex = 0,
) -> None: ...
def shamir_split(
    secrets: _Bytes,
    threshold: SupportsIndex,
    xs: NDArray[np.uint32],
    seed: Buffer,
    *,
    prg: SupportsIndex = 1,
) -> NDArray[np.uint8]: ...
def shamir_combine(
    xs: NDArray[np.uint32], shares: _Bytes, *, threads: SupportsIndex = 0
) -> NDArray[np.uint8]: ...
def shamir_combine_each(
    xs: NDArray[np.uint32], shares: _Bytes, *, threads: SupportsIndex = 0
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]: ...
def sample_discrete_gaussian(
    sigma_squared: _Rational,
    seed: Buffer,
    first: SupportsIndex,
    out: _Noisy,
    *,
    prg: SupportsIndex = 2,
    threads: SupportsIndex = 0,
) -> None: ...
def sample_skellam(
    variance: _Rational,
    seed: Buffer,
    first: SupportsIndex,
    out: _Noisy,
    *,
    prg: SupportsIndex = 2,
    threads: SupportsIndex = 0,
) -> None: ...
def sample_discrete_laplace(
    rate: _Rational,
    seed: Buffer,
    first: SupportsIndex,
    out: _Noisy,
    *,
    prg: SupportsIndex = 2,
    threads: SupportsIndex = 0,
) -> None: ...
def sample_polya_difference(
    shape: _Rational,
    rate: _Rational,
    seed: Buffer,
    first: SupportsIndex,
    out: _Noisy,
    *,
    prg: SupportsIndex = 2,
    threads: SupportsIndex = 0,
) -> None: ...
def hadamard(x: _Floats, *, threads: SupportsIndex = 0) -> None: ...
def flip_signs(
    x: _Floats,
    seed: Buffer,
    first: SupportsIndex,
    *,
    prg: SupportsIndex = 2,
    threads: SupportsIndex = 0,
) -> None: ...
def pack_slots(
    x: _Ring, bits: SupportsIndex, slots: SupportsIndex, n: Buffer
) -> NDArray[np.uint8]: ...
def unpack_slots(
    rows: _Bytes, bits: SupportsIndex, slots: SupportsIndex, n: Buffer, out: _Ring
) -> None: ...

@final
class PaillierBase:
    def __init__(self, *args: Any, **kwargs: Any) -> None: ...

@final
class PaillierPublic:
    def __init__(self, n: Buffer) -> None: ...
    @property
    def key_bytes(self) -> int: ...
    def base(
        self, value: Buffer, bits: SupportsIndex, *, threads: SupportsIndex = 0
    ) -> PaillierBase: ...
    def encrypt(
        self,
        plaintexts: _Bytes,
        base: PaillierBase | None,
        seed: Buffer,
        *,
        first: SupportsIndex = 0,
        threads: SupportsIndex = 0,
    ) -> NDArray[np.uint8]: ...
    def randomize(
        self,
        rows: _Bytes,
        base: PaillierBase | None,
        seed: Buffer,
        *,
        first: SupportsIndex = 0,
        threads: SupportsIndex = 0,
    ) -> NDArray[np.uint8]: ...
    def power(
        self, rows: _Bytes, exponent: Buffer, *, threads: SupportsIndex = 0
    ) -> NDArray[np.uint8]: ...
    def power_each(
        self, rows: _Bytes, exponents: _Bytes, *, threads: SupportsIndex = 0
    ) -> NDArray[np.uint8]: ...
    def multiply(
        self, a: _Bytes, b: _Bytes, *, threads: SupportsIndex = 0
    ) -> NDArray[np.uint8]: ...
    def weighted_product(
        self, vectors: Sequence[_Bytes], weights: Sequence[int], *, threads: SupportsIndex = 0
    ) -> NDArray[np.uint8]: ...
    def below(self, rows: _Bytes) -> bool: ...

@final
class PaillierProduct:
    def __init__(self, public: PaillierPublic, count: SupportsIndex) -> None: ...
    def multiply(
        self, rows: _Bytes, *, first: SupportsIndex = 0, threads: SupportsIndex = 0
    ) -> None: ...
    def rows(self, *, threads: SupportsIndex = 0) -> NDArray[np.uint8]: ...
    def copy(self) -> PaillierProduct: ...

@final
class PaillierSecretBase:
    def __init__(self, *args: Any, **kwargs: Any) -> None: ...

@final
class PaillierSecret:
    def __init__(self, p: Buffer, q: Buffer) -> None: ...
    @property
    def key_bytes(self) -> int: ...
    def decrypt(self, rows: _Bytes, *, threads: SupportsIndex = 0) -> NDArray[np.uint8]: ...
    def base(
        self, value: Buffer, bits: SupportsIndex, *, threads: SupportsIndex = 0
    ) -> PaillierSecretBase: ...
    def encrypt(
        self,
        plaintexts: _Bytes,
        base: PaillierSecretBase | None,
        seed: Buffer,
        *,
        first: SupportsIndex = 0,
        threads: SupportsIndex = 0,
    ) -> NDArray[np.uint8]: ...
