"""`PublicKey`: what encrypts, adds and randomizes, and can be given to everybody."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any, Literal, Protocol, get_args

from fedsecure._progress import Progress, reporting
from fedsecure.encoding import FixedPoint
from fedsecure.errors import CryptoError, LocalProtocolError
from fedsecure.paillier import _jwk
from fedsecure.paillier import rows as _rows
from fedsecure.paillier._modulus import Modulus
from fedsecure.paillier._seam import Rows, as_rows, core, integer, sliced
from fedsecure.paillier._validation import KEY_BITS
from fedsecure.paillier.form import Form
from fedsecure.paillier.vector import EncryptedVector
from fedsecure.primitives import entropy
from fedsecure.primitives.masks import Prg, threads

if TYPE_CHECKING:
    from collections.abc import Callable

    from fedsecure.paillier.form import FloatArray

__all__ = [
    "SEED_PRG",
    "PublicKey",
    "Randomizer",
    "array_form",
    "drawn_rows",
    "encrypt_array",
    "exponent_bits",
]

Randomizer = Literal["half", "short", "full"]

SEED_PRG = Prg.AES256
"""What the randomness of encryptions is expanded by."""

# Exponents of randomizer="short": four times the security level that the key size stands for, or
# more; a generic attack takes the square root of their number.
_SHORT_BITS = {2048: 448, 3072: 512, 4096: 576}

_MAGIC = b"FSPP"
_VERSION = 1
_HEADER = struct.Struct("<4sBH")


class RowEncryptor(Protocol):
    """Either half of a key pair."""

    def encrypt_rows(self, plaintexts: Rows, *, progress: bool | Progress = False) -> Rows:
        """Returns a fresh ciphertext of each plaintext."""


class PublicKey:
    """A Paillier public key: n, with g = n + 1. Made by `generate_keypair` or `PublicKey.from_n`.

    Keys are equal if their n is; `randomizer` is a choice of whoever encrypts:

    - ``"half"`` (default): powers of a fixed base with exponents of half the bits of n. For keys of
      `generate_keypair` as secure as the full form if factoring is hard (Damgard, Jurik, Nielsen,
      IJIS 2010, section 4.2). That proof needs p = q = 3 mod 4 and gcd(p - 1, q - 1) = 2, which n
      does not show: for keys made elsewhere it is an assumption.
    - ``"short"``: exponents of 448, 512 or 576 bits for keys of 2048, 3072 or 4096; on top, it is
      assumed that logarithms to that base are hard though they are short.
    - ``"full"``: r^n with r uniform below n, as Paillier wrote (EUROCRYPT 1999); slowest.

    All three decrypt and add alike.
    """

    __slots__ = ("_modulus", "_randomizer")

    def __init__(self, modulus: Modulus, randomizer: Randomizer = "half") -> None:
        if randomizer not in get_args(Randomizer):
            raise LocalProtocolError(
                f"randomizer={randomizer!r}; use one of {get_args(Randomizer)}"
            )
        self._modulus = modulus
        self._randomizer = randomizer

    @classmethod
    def from_n(cls, n: int, *, randomizer: Randomizer = "half") -> PublicKey:
        """Returns the key with modulus n, which may come from another library.

        Args:
            n: 2048, 3072 or 4096 bits.
            randomizer: See the class.

        Raises:
            CryptoError: n is of another size, or certainly no product of two large primes.
            LocalProtocolError: n is no int, or the randomizer has another name.
        """
        return cls(Modulus.of(n), randomizer)

    @classmethod
    def from_bytes(cls, data: bytes, *, randomizer: Randomizer = "half") -> PublicKey:
        """Returns the key that `to_bytes` wrote, checked like that of `from_n`.

        Raises:
            CryptoError: The bytes are no key, or none that is sound.
        """
        if len(data) < _HEADER.size:
            raise CryptoError("not a public key: too short")
        magic, version, bits = _HEADER.unpack_from(data)
        if magic != _MAGIC or version != _VERSION:
            raise CryptoError("not a public key, or one of another version")
        if bits not in KEY_BITS or len(data) != _HEADER.size + bits // 8:
            raise CryptoError(f"not a public key: {len(data)} bytes do not hold {bits} bits")
        n = integer(data[_HEADER.size :])
        if n.bit_length() != bits:
            raise CryptoError(f"not a public key: its modulus does not have {bits} bits")
        return cls.from_n(n, randomizer=randomizer)

    def to_bytes(self) -> bytes:
        """Returns the key as bytes, for files and messages: a header and n, little-endian.

        The randomizer is not among them: who reads them decides how to encrypt.
        """
        return _HEADER.pack(_MAGIC, _VERSION, self.bits) + self.n_bytes

    @classmethod
    def from_jwk(cls, jwk: str | dict[str, Any], *, randomizer: Randomizer = "half") -> PublicKey:
        """Returns the key that phe's command line wrote, as JSON text or as a dict.

        Raises:
            CryptoError: Not in that form, or not sound.
        """
        return cls.from_n(_jwk.read_public(jwk), randomizer=randomizer)

    def to_jwk(self) -> dict[str, Any]:
        """Returns the key as phe's command line reads it, for `json.dumps`."""
        return _jwk.public_jwk(self.n)

    def with_randomizer(self, randomizer: Randomizer) -> PublicKey:
        """Returns the same key with another randomizer."""
        return PublicKey(self._modulus, randomizer)

    @property
    def n(self) -> int:
        """The modulus."""
        return self._modulus.n

    @property
    def n_bytes(self) -> bytes:
        """The modulus, `key_bytes` bytes, little-endian."""
        return self._modulus.n_bytes

    @property
    def n_squared(self) -> int:
        """n^2; ciphertexts are below it."""
        return self._modulus.n_squared

    @property
    def h_s(self) -> int:
        """The base of half and short randomizers, a public function of n."""
        return integer(self._modulus.h_s)

    @property
    def bits(self) -> int:
        """Size of n."""
        return self._modulus.bits

    @property
    def key_bytes(self) -> int:
        """Bytes of n and of a plaintext; a ciphertext has twice as many."""
        return self._modulus.key_bytes

    @property
    def fingerprint(self) -> bytes:
        """32 bytes that stand for the key: all it consists of follows from them."""
        return self._modulus.fingerprint

    @property
    def randomizer(self) -> Randomizer:
        """How ciphertexts are randomized."""
        return self._randomizer

    @property
    def compiled(self) -> core.PaillierPublic:
        """The core's arithmetic modulo n^2: for protocols only, see `fedsecure.paillier.rows`."""
        return self._modulus.compiled

    def base(self, bits: int) -> core.PaillierBase:
        """Returns the core's table for powers of h_s with exponents of so many bits; made once."""
        return self._modulus.base(bits)

    def encrypt(
        self,
        array: FloatArray,
        *,
        encoding: FixedPoint | None = None,
        budget: int = 256,
        packed: bool = True,
        progress: bool | Progress = False,
    ) -> EncryptedVector:
        """Returns the array encrypted, every ciphertext with randomness of its own.

        Args:
            array: float16, float32 or float64, of any shape. Values are rounded to steps of
                2**-encoding.bits, the same step for all of them.
            encoding: How values become integers; `FixedPoint()` if left out: clip 8, 20 bits.
            budget: How many such arrays a sum may have, weights counted; each doubling costs one
                bit per value.
            packed: As many values in a ciphertext as fit; False for one in each, as `phe` has it.
            progress: False, True for a bar, or a callable(stage, done, total) in ciphertexts.

        Raises:
            EncodingError: No array of floats; NaN, infinite or too large values; or more bits than
                there are for encoding and budget.
        """
        form = array_form(self, array, encoding, budget, packed=packed)
        return encrypt_array(form, array, self, progress=progress)

    def encrypt_rows(self, plaintexts: Rows, *, progress: bool | Progress = False) -> Rows:
        """Returns a fresh ciphertext of each plaintext; see `fedsecure.paillier.rows`.

        Args:
            plaintexts: Numbers below n, uint8 of shape (count, key_bytes), little-endian.
            progress: False, True for a bar, or a callable(stage, done, total).

        Returns:
            uint8 of shape (count, 2 * key_bytes).

        Raises:
            LocalProtocolError: They are of another shape, or not below n.
        """
        base = self._base()

        def encrypt(part: Rows, seed: memoryview, first: int) -> Rows:
            try:
                return self.compiled.encrypt(part, base, seed, first=first, threads=threads())
            except ValueError:
                raise LocalProtocolError("a plaintext is not below n") from None

        return drawn_rows("encrypt", self.checked_plaintexts(plaintexts), self, encrypt, progress)

    def randomize_rows(self, rows: Rows, *, progress: bool | Progress = False) -> Rows:
        """Returns other ciphertexts of the same plaintexts, unlinkable to these.

        Raises:
            CryptoError: A row is not below n^2.
            LocalProtocolError: They have another shape.
        """
        base = self._base()

        def randomize(part: Rows, seed: memoryview, first: int) -> Rows:
            try:
                return self.compiled.randomize(part, base, seed, first=first, threads=threads())
            except ValueError:
                raise CryptoError("a ciphertext is not a number below n^2") from None

        rows = _rows.ciphertext_rows(self, rows)
        return drawn_rows("randomize", rows, self, randomize, progress)

    def check_rows(self, rows: Rows) -> None:
        """Raises `CryptoError` unless all rows are ciphertexts: in [1, n^2), and invertible."""
        _rows.check_rows(self, rows)

    def checked_plaintexts(self, plaintexts: Rows) -> Rows:
        """Returns `plaintexts` once it is known that they have the shape of plaintexts."""
        return as_rows("plaintexts", plaintexts, self.key_bytes)

    def _base(self) -> core.PaillierBase | None:
        bits = exponent_bits(self)
        return None if bits is None else self.base(bits)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PublicKey) and other.n == self.n

    def __hash__(self) -> int:
        return hash(self.n)

    def __reduce__(self) -> tuple[Any, ...]:
        return _restore, (self.to_bytes(), self._randomizer)

    def __repr__(self) -> str:
        return f"PublicKey({self.bits} bits, {self.fingerprint.hex()[:16]}, {self._randomizer!r})"


def encrypt_array(
    form: Form, array: FloatArray, key: RowEncryptor, *, progress: bool | Progress
) -> EncryptedVector:
    """Returns the array in that form, encrypted by either half of a key pair."""
    plaintexts = form.encode(array)
    try:
        rows = key.encrypt_rows(plaintexts, progress=progress)
    finally:
        if plaintexts.size:
            entropy.wipe(plaintexts.data.cast("B"))
    return EncryptedVector(form, rows, fresh=True)


def array_form(
    public: PublicKey, array: FloatArray, encoding: FixedPoint | None, budget: int, *, packed: bool
) -> Form:
    """Returns the form of what `PublicKey.encrypt` gives."""
    chosen = FixedPoint() if encoding is None else encoding
    return Form.of(array, public=public, encoding=chosen, budget=budget, packed=packed)


def exponent_bits(public: PublicKey) -> int | None:
    """Returns the bits of a randomizer's exponent, None for the full form."""
    if public.randomizer == "full":
        return None
    return public.bits // 2 if public.randomizer == "half" else _SHORT_BITS[public.bits]


def drawn_rows(
    stage: str,
    rows: Rows,
    public: PublicKey,
    work: Callable[[Rows, memoryview, int], Rows],
    progress: bool | Progress,  # noqa: FBT001  # handed on
) -> Rows:
    """Returns ciphertexts made from `rows`, with randomness from a seed that serves this once."""
    seed = entropy.draw(SEED_PRG.seed_bytes)
    try:
        with reporting(progress=progress) as report:
            return sliced(
                stage,
                len(rows),
                2 * public.key_bytes,
                lambda start, stop: work(rows[start:stop], seed.view, start),
                report,
            )
    finally:
        seed.wipe()


def _restore(data: bytes, randomizer: Randomizer) -> PublicKey:
    return PublicKey.from_bytes(data, randomizer=randomizer)
