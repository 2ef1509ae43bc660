"""`PrivateKey`: the two primes, and what only their owner can do."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NoReturn

from cryptography.hazmat.primitives.asymmetric import rsa

from fedsecure._progress import Progress, reporting
from fedsecure.errors import CryptoError, LocalProtocolError
from fedsecure.paillier import _jwk
from fedsecure.paillier import rows as _rows
from fedsecure.paillier._modulus import Modulus
from fedsecure.paillier._seam import Rows, core, integer, octets, sliced
from fedsecure.paillier._validation import KEY_BITS, check_bits, check_primes
from fedsecure.paillier.public_key import (
    PublicKey,
    Randomizer,
    array_form,
    drawn_rows,
    encrypt_array,
    exponent_bits,
)
from fedsecure.primitives import entropy
from fedsecure.primitives.entropy import Secret
from fedsecure.primitives.masks import threads
from fedsecure.primitives.sealed import open_sealed, seal

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

    from fedsecure.encoding import FixedPoint
    from fedsecure.paillier.form import FloatArray
    from fedsecure.paillier.vector import EncryptedVector

__all__ = ["PrivateKey", "generate_keypair"]

_MAGIC = b"FSPS"


class PrivateKey:
    """A Paillier private key. Made by `generate_keypair`; kept by `to_bytes` with a password.

    It is neither copied nor pickled, its `repr` shows the public half only, and it is wiped when
    nobody refers to it any more.

    Args:
        p: One prime, little-endian, half of the key's bytes. Taken over.
        q: The other one.
        public: The public half.
    """

    __slots__ = ("_bases", "_compiled", "_p", "_public", "_q")

    def __init__(self, p: Secret, q: Secret, public: PublicKey) -> None:
        self._p, self._q, self._public = p, q, public
        self._compiled: core.PaillierSecret | None = None
        self._bases: dict[int, core.PaillierSecretBase] = {}

    @classmethod
    def from_primes(cls, p: int, q: int, *, randomizer: Randomizer = "half") -> PrivateKey:
        """Returns the key with these primes, which may come from another library.

        Args:
            p: A prime of 1024, 1536 or 2048 bits.
            q: Another one of as many bits.
            randomizer: That of its public half, see `PublicKey`.

        Raises:
            CryptoError: They are no primes, of other sizes, or too close to each other.
        """
        check_primes(p, q)
        return _from_checked(p, q, randomizer)

    @property
    def public(self) -> PublicKey:
        """The public half."""
        return self._public

    @property
    def bits(self) -> int:
        """Size of n."""
        return self._public.bits

    @property
    def primes(self) -> tuple[int, int]:
        """The whole secret, p and q, for other libraries' keys; copies stay in memory."""
        return integer(self._p.view), integer(self._q.view)

    def to_bytes(self, password: str | bytes) -> bytes:
        """Returns the key for a file, encrypted: AES-256-GCM under scrypt of the password.

        Args:
            password: Not empty; a long one, since whoever has the file can try as many as they
                like.

        Raises:
            LocalProtocolError: The password is empty or no text.
        """
        plain = bytearray(self._p.view) + self._q.view
        try:
            return seal(plain, password, magic=_MAGIC, bits=self.bits)
        finally:
            entropy.wipe(plain)

    @classmethod
    def from_bytes(
        cls, data: bytes, password: str | bytes, *, randomizer: Randomizer = "half"
    ) -> PrivateKey:
        """Returns the key that `to_bytes` wrote.

        Raises:
            CryptoError: Another password, changed bytes, or no key at all.
            LocalProtocolError: The password is empty or no text.
        """
        bits, plain = open_sealed(data, password, magic=_MAGIC)
        try:
            if bits not in KEY_BITS or len(plain) != bits // 8:
                raise CryptoError("not a private key: its length does not fit its size")
            half = len(plain) // 2
            p, q = integer(plain[:half]), integer(plain[half:])
        finally:
            entropy.wipe(plain)
        return cls.from_primes(p, q, randomizer=randomizer)

    @classmethod
    def from_jwk(cls, jwk: str | dict[str, Any], *, randomizer: Randomizer = "half") -> PrivateKey:
        """Returns the key that phe's command line wrote, as JSON text or as a dict.

        Raises:
            CryptoError: Not in that form, or not sound.
        """
        return cls.from_primes(*_jwk.read_private(jwk), randomizer=randomizer)

    def to_jwk(self) -> dict[str, Any]:
        """Returns the key as phe's command line reads it: its primes, with no password."""
        return _jwk.private_jwk(*self.primes)

    def encrypt(
        self,
        array: FloatArray,
        *,
        encoding: FixedPoint | None = None,
        budget: int = 256,
        packed: bool = True,
        progress: bool | Progress = False,
    ) -> EncryptedVector:
        """Returns what `PublicKey.encrypt` does, in less time: the primes are a short cut."""
        form = array_form(self._public, array, encoding, budget, packed=packed)
        return encrypt_array(form, array, self, progress=progress)

    def decrypt(
        self,
        vector: EncryptedVector,
        *,
        dtype: npt.DTypeLike | None = None,
        progress: bool | Progress = False,
    ) -> FloatArray:
        """Returns the array that a vector holds: the exact sum of the encoded ones, as floats.

        Whoever may have anything decrypted can read any single vector; decide what to decrypt by
        who asks, and for how many parties' sum.

        Args:
            vector: Under this key.
            dtype: float16, float32 or float64, if not the vector's own.
            progress: False, True for a bar, or a callable(stage, done, total) in ciphertexts.

        Raises:
            CryptoError: The vector is under another key.
            RemoteProtocolError: A value is larger than `vector.terms` honest ones together:
                somebody encrypted something else. Nothing more is said, to anybody.
            EncodingError: `dtype` is none of these, or too narrow for a sum.
        """
        if vector.public != self._public:
            raise CryptoError(
                f"this vector is encrypted under {vector.public}, and this is the private key of "
                f"{self._public}"
            )
        plaintexts = self.decrypt_rows(vector.unsafe_rows, progress=progress)
        return vector.form.decode(plaintexts, vector.terms, dtype)

    def encrypt_rows(self, plaintexts: Rows, *, progress: bool | Progress = False) -> Rows:
        """Returns what `PublicKey.encrypt_rows` does, in less time: the primes are a short cut."""
        bits = exponent_bits(self._public)
        base = None if bits is None else self._base(bits)

        def encrypt(part: Rows, seed: memoryview, first: int) -> Rows:
            try:
                return self.compiled.encrypt(part, base, seed, first=first, threads=threads())
            except ValueError:
                raise LocalProtocolError("a plaintext is not below n") from None

        plaintexts = self._public.checked_plaintexts(plaintexts)
        return drawn_rows("encrypt", plaintexts, self._public, encrypt, progress)

    def decrypt_rows(self, rows: Rows, *, progress: bool | Progress = False) -> Rows:
        """Returns the plaintext of each ciphertext; see `fedsecure.paillier.rows`.

        Args:
            rows: Ciphertexts, uint8 of shape (count, 2 * key_bytes), little-endian.
            progress: False, True for a bar, or a callable(stage, done, total).

        Returns:
            Numbers below n, uint8 of shape (count, key_bytes).

        Raises:
            CryptoError: A row is not below n^2, or has no inverse.
            LocalProtocolError: They have another shape.
        """
        rows = _rows.ciphertext_rows(self._public, rows)

        def decrypt(start: int, stop: int) -> Rows:
            try:
                return self.compiled.decrypt(rows[start:stop], threads=threads())
            except ValueError:
                raise CryptoError("this is no ciphertext of this key") from None

        with reporting(progress=progress) as report:
            return sliced("decrypt", len(rows), self._public.key_bytes, decrypt, report)

    @property
    def compiled(self) -> core.PaillierSecret:
        """The core's arithmetic modulo p^2 and q^2: for protocols only."""
        if self._compiled is None:
            self._compiled = core.PaillierSecret(self._p.view, self._q.view)
        return self._compiled

    def wipe(self) -> None:
        """Overwrites the primes; the key is of no use any more."""
        self._p.wipe()
        self._q.wipe()
        self._compiled = None
        self._bases.clear()

    def _base(self, bits: int) -> core.PaillierSecretBase:
        if bits not in self._bases:
            h_s = octets(self._public.h_s, 2 * self._public.key_bytes)
            self._bases[bits] = self.compiled.base(h_s, bits, threads=threads())
        return self._bases[bits]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PrivateKey) and other._public == self._public

    def __hash__(self) -> int:
        return hash(self._public)

    def __repr__(self) -> str:
        return f"PrivateKey(of {self._public}, primes hidden)"

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise LocalProtocolError(
            "a private key is neither copied nor pickled; keep its to_bytes(password)"
        )


def generate_keypair(bits: int = 3072) -> tuple[PublicKey, PrivateKey]:
    """Returns a new key pair: primes p = q = 3 mod 4 with gcd(p - 1, q - 1) = 2.

    The primes are those of RSA keys that `cryptography` generates, each from another one.

    Args:
        bits: Size of n: 3072 (about 128 bits of security), 4096, or 2048 (about 112; NIST SP
            800-57 allows it until 2030).

    Raises:
        LocalProtocolError: Another size.
    """
    check_bits(bits)
    primes = _primes(bits)
    p = next(primes)
    while True:
        q = next(primes)
        if math.gcd(p - 1, q - 1) == 2 and _apart(p, q, bits):
            break
        p = q
    private = _from_checked(p, q, "half")
    return private.public, private


def _from_checked(p: int, q: int, randomizer: Randomizer) -> PrivateKey:
    public = PublicKey(Modulus.of(p * q, checked=True), randomizer)
    half = public.key_bytes // 2
    return PrivateKey(Secret(octets(p, half)), Secret(octets(q, half)), public)


def _primes(bits: int) -> Iterator[int]:
    while True:
        numbers = rsa.generate_private_key(65537, bits).private_numbers()
        suitable = [prime for prime in (numbers.p, numbers.q) if prime % 4 == 3]
        if suitable:
            yield suitable[0]


def _apart(p: int, q: int, bits: int) -> bool:
    return (p * q).bit_length() == bits and abs(p - q).bit_length() > bits // 2 - 100
