"""`EncryptedVector`: a numpy array that can be added up by who cannot read it."""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Any

from fedsecure.errors import EncodingError, LocalProtocolError
from fedsecure.paillier import _vector_bytes
from fedsecure.paillier.rows import RunningProduct, ciphertext_rows, invert_rows, weighted_product

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from fedsecure.encoding import FixedPoint
    from fedsecure.paillier._seam import Rows
    from fedsecure.paillier.form import Form
    from fedsecure.paillier.public_key import PublicKey

__all__ = ["EncryptedVector", "weighted_sum"]


class EncryptedVector:
    """An encrypted array of floats. Made by `PublicKey.encrypt`, read by `PrivateKey.decrypt`.

    Vectors of one form (key, encoding, budget, shape, dtype, packing) add and subtract, and are
    multiplied by integers; each gives a new vector. Sums are exact. `terms` counts what went in,
    weights included, and never exceeds `budget`, so that no slot overflows into the next.

    Who has the ciphertexts of a vector and of its terms can see that they belong together, up to
    `to_bytes`, which randomizes results before they leave.

    Args:
        form: What is public about it.
        rows: Its ciphertexts, or a product that becomes them and is taken over.
        terms: Weight of the additions in it.
        fresh: Nobody can tell what these ciphertexts were computed from.
    """

    __slots__ = ("__weakref__", "_form", "_fresh", "_product", "_rows", "_terms")
    __array_ufunc__ = None  # numpy leaves "array * vector" to this class, which refuses it

    def __init__(
        self, form: Form, rows: Rows | RunningProduct, *, terms: int = 1, fresh: bool = False
    ) -> None:
        self._rows: Rows | None = None
        self._product: RunningProduct | None = None
        if isinstance(rows, RunningProduct):
            self._product = rows
        else:
            self._rows = ciphertext_rows(form.public, rows)
        if len(rows) != form.num_ciphertexts:
            raise LocalProtocolError(
                f"{len(rows)} ciphertexts came for a vector of {form.num_ciphertexts}"
            )
        form.check_terms(terms)
        self._form = form
        self._terms = terms
        self._fresh = fresh

    @classmethod
    def from_bytes(cls, data: bytes, public: PublicKey) -> EncryptedVector:
        """Returns the vector that `to_bytes` wrote.

        Args:
            data: From anybody. Whether it was made by who may make it, its sender must prove.
            public: The key it has to be encrypted under; its randomizer is used for results.

        Raises:
            RemoteProtocolError: Not one vector under that key: wrong lengths, another key, a
                ciphertext out of range or without an inverse.
        """
        form, terms, rows = _vector_bytes.decode(data, public)
        return cls(form, rows, terms=terms, fresh=True)

    def to_bytes(self) -> bytes:
        """Returns the vector for others to read: a header and `num_ciphertexts` ciphertexts.

        The result of an operation is randomized first, once: nobody sees what it was made from.
        The header holds all of the form, and `terms`; nothing vouches for it.
        """
        return _vector_bytes.encode(self._form, self._terms, self.rows)

    @property
    def rows(self) -> Rows:
        """The ciphertexts as they leave, randomized: uint8 (num_ciphertexts, 2 * key_bytes)."""
        if not self._fresh:
            self._rows = self._form.public.randomize_rows(self.unsafe_rows)
            self._product = None
            self._fresh = True
        return self.unsafe_rows

    @property
    def unsafe_rows(self) -> Rows:
        """The ciphertexts as computed, which may show from what; for the owner of the key."""
        if self._rows is None and self._product is not None:
            self._rows = self._product.rows()
        assert self._rows is not None  # noqa: S101  # one of the two is always there
        view = self._rows.view()
        view.flags.writeable = False
        return view

    @property
    def form(self) -> Form:
        """What is public about it."""
        return self._form

    @property
    def public(self) -> PublicKey:
        """The key it is encrypted under."""
        return self._form.public

    @property
    def encoding(self) -> FixedPoint:
        """How its values became integers."""
        return self._form.encoding

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the array."""
        return self._form.shape

    @property
    def size(self) -> int:
        """Number of values."""
        return self._form.size

    @property
    def dtype(self) -> str:
        """Dtype of the array."""
        return self._form.dtype

    @property
    def num_ciphertexts(self) -> int:
        """Number of ciphertexts."""
        return self._form.num_ciphertexts

    @property
    def terms(self) -> int:
        """Weight of all additions so far: 1 for one encrypted array."""
        return self._terms

    @property
    def budget(self) -> int:
        """What `terms` may grow to."""
        return self._form.budget

    def __add__(self, other: object) -> EncryptedVector:
        if not isinstance(other, EncryptedVector):
            return _refuse("+", other)
        return self._combined(other, negative=False)

    def __radd__(self, other: object) -> EncryptedVector:
        if type(other) is int and other == 0:  # where sum() begins
            return self * 1
        return _refuse("+", other)

    def __sub__(self, other: object) -> EncryptedVector:
        if not isinstance(other, EncryptedVector):
            return _refuse("-", other)
        return self._combined(other, negative=True)

    def __rsub__(self, other: object) -> EncryptedVector:
        return _refuse("-", other)

    def __mul__(self, weight: int) -> EncryptedVector:
        weight = _integer(weight)
        self._form.check_terms(self._terms * abs(weight))
        rows = self.unsafe_rows
        if weight != 1:
            rows = weighted_product(self.public, [rows], [weight])
        return EncryptedVector(self._form, rows, terms=self._terms * abs(weight))

    __rmul__ = __mul__

    def __neg__(self) -> EncryptedVector:
        return EncryptedVector(
            self._form, invert_rows(self.public, self.unsafe_rows), terms=self._terms
        )

    def __reduce__(self) -> tuple[Any, ...]:
        return EncryptedVector.from_bytes, (self.to_bytes(), self.public)

    def __repr__(self) -> str:
        return (
            f"EncryptedVector(shape={self.shape}, dtype={self.dtype}, terms={self._terms} of "
            f"{self.budget}, {self.num_ciphertexts} ciphertexts)"
        )

    def _combined(self, other: EncryptedVector, *, negative: bool) -> EncryptedVector:
        self._form.check_same(other._form)
        terms = self._terms + other._terms
        self._form.check_terms(terms)
        total, added = self, other
        if self._product is None and other._product is not None and not negative:
            total, added = other, self  # what is in the form for multiplying stays in it
        factors = added.unsafe_rows
        product = total.running()
        product.multiply(invert_rows(self.public, factors) if negative else factors)
        return EncryptedVector(self._form, product, terms=terms)

    def running(self) -> RunningProduct:
        """Returns the ciphertexts as a product to multiply into; this vector stays as it is."""
        if self._product is not None:
            return self._product.copy()
        product = RunningProduct(self.public, self.num_ciphertexts)
        product.multiply(self.unsafe_rows)
        return product


def weighted_sum(vectors: Iterable[EncryptedVector], weights: Sequence[int]) -> EncryptedVector:
    """Returns the sum of vectors times integers: all at once, faster than one by one.

    Args:
        vectors: Of one form; at least one.
        weights: An integer for each, of any sign; the time this takes depends on them.

    Raises:
        EncodingError: Their forms differ, a weight is no integer, or the weights exceed the budget.
        LocalProtocolError: No vectors, or another number of weights.
    """
    vectors = list(vectors)
    factors = [_integer(weight) for weight in weights]
    if not vectors or len(vectors) != len(factors):
        raise LocalProtocolError(f"{len(vectors)} vectors came with {len(factors)} weights")
    form = vectors[0].form
    for vector in vectors:
        form.check_same(vector.form)
    terms = sum(vector.terms * abs(factor) for vector, factor in zip(vectors, factors, strict=True))
    form.check_terms(terms)
    rows = weighted_product(form.public, [vector.unsafe_rows for vector in vectors], factors)
    return EncryptedVector(form, rows, terms=terms)


def _integer(weight: object) -> int:
    try:
        return operator.index(weight)  # type: ignore[arg-type]
    except TypeError:
        raise EncodingError(
            f"an encrypted vector is multiplied by an integer, not a {type(weight).__name__}; "
            "scale the weights to integers, and divide after decrypting"
        ) from None


def _refuse(sign: str, other: object) -> EncryptedVector:
    raise EncodingError(
        f"'{sign}' takes two encrypted vectors, not a {type(other).__name__}; encrypt it first"
    )
