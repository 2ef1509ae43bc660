"""To and from the numbers of phe, the library that most Python code for Paillier uses.

phe has one number in a ciphertext: an integer m modulo n, of either sign, that stands for
m * 16**exponent with the exponent in the clear. Ciphertexts are the same; only scales differ.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from fedsecure.encoding import FixedPoint
from fedsecure.errors import CryptoError, EncodingError, LocalProtocolError, RemoteProtocolError
from fedsecure.paillier._seam import Rows, integer, octets
from fedsecure.paillier.form import Form
from fedsecure.paillier.rows import weighted_product
from fedsecure.paillier.vector import EncryptedVector

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from fedsecure.paillier.public_key import PublicKey

__all__ = ["from_phe", "to_phe"]

# phe's exponents are of base 16.
_DIGIT = 4
_MOST_SHIFT = 62


def to_phe(vector: EncryptedVector) -> list[Any]:
    """Returns a vector as `phe.EncryptedNumber` objects, in C order, all of one exponent.

    They decrypt with phe, or with any key made from the same n. phe has no budget: whoever adds
    them there watches that sums stay within n / 3.

    Args:
        vector: Encrypted with packed=False.

    Raises:
        EncodingError: It is packed.
        LocalProtocolError: phe is not installed.
    """
    paillier = _phe()
    if vector.form.packing.slots != 1:
        raise EncodingError("phe has one value in a ciphertext; encrypt with packed=False")
    key = paillier.PaillierPublicKey(vector.public.n)
    bits = vector.encoding.bits
    # Steps of 2**-bits become steps of 16**exponent: the next finer ones.
    rows = weighted_product(vector.public, [vector.rows], [1 << (-bits % _DIGIT)])
    exponent = -math.ceil(bits / _DIGIT)
    return [paillier.EncryptedNumber(key, integer(row), exponent) for row in rows]


def from_phe(
    numbers: Sequence[Any],
    public: PublicKey,
    *,
    encoding: FixedPoint | None = None,
    budget: int = 256,
    terms: int = 1,
    shape: tuple[int, ...] | None = None,
    dtype: npt.DTypeLike = np.float64,
) -> EncryptedVector:
    """Returns numbers that phe encrypted as a vector, one value in a ciphertext.

    Numbers with different exponents are brought to the encoding's step. What they hold is not
    known here: decrypting refuses values beyond `terms * encoding.clip`.

    Args:
        numbers: `phe.EncryptedNumber` objects, under the same key.
        public: The key.
        encoding: As for `PublicKey.encrypt`. No number may have finer steps than it.
        budget: As for `PublicKey.encrypt`.
        terms: Weight of the additions that the numbers are already results of.
        shape: That of the array, for so many numbers; a vector if left out.
        dtype: That of the array: float16, float32 or float64.

    Raises:
        EncodingError: Other keys, finer steps than the encoding's, or a shape that does not fit.
        RemoteProtocolError: A ciphertext is out of range, or has no inverse.
        LocalProtocolError: phe is not installed, or these are no numbers of phe.
    """
    paillier = _phe()
    for number in numbers:
        if not isinstance(number, paillier.EncryptedNumber):
            raise LocalProtocolError(f"a phe.EncryptedNumber is needed, not {type(number)}")
        if number.public_key.n != public.n:
            raise EncodingError("a number is encrypted under another key")
    chosen = FixedPoint() if encoding is None else encoding
    name = np.dtype(dtype).name
    form = Form(public, chosen, budget, (len(numbers),), name, packed=False)
    if shape is not None:
        form = Form(public, chosen, budget, tuple(shape), name, packed=False)
    if form.size != len(numbers):
        raise EncodingError(f"{len(numbers)} numbers do not fill an array of shape {form.shape}")
    shifts = np.array([_shift(number.exponent, chosen) for number in numbers], np.int64)
    rows = _rows(numbers, public)
    for shift in np.unique(shifts):
        at = np.flatnonzero(shifts == shift)
        rows[at] = weighted_product(public, [rows[at]], [1 << int(shift)])
    return EncryptedVector(form, rows, terms=terms)


def _rows(numbers: Sequence[Any], public: PublicKey) -> Rows:
    width = 2 * public.key_bytes
    rows = np.empty((len(numbers), width), np.uint8)
    for row, number in zip(rows, numbers, strict=True):
        ciphertext = int(number.ciphertext(be_secure=False))
        if not 0 < ciphertext < public.n_squared:
            raise RemoteProtocolError("a ciphertext is not a number from 1 to n^2 - 1")
        row[:] = np.frombuffer(octets(ciphertext, width), np.uint8)
    try:
        public.check_rows(rows)
    except CryptoError as error:
        raise RemoteProtocolError(str(error)) from None
    return rows


def _shift(exponent: int, encoding: FixedPoint) -> int:
    """Returns by how many bits a number of that exponent goes up to get the encoding's step."""
    shift = _DIGIT * exponent + encoding.bits
    if not 0 <= shift <= _MOST_SHIFT:
        coarse = 16.0 ** -(encoding.bits // _DIGIT)
        raise EncodingError(
            f"a number has steps of 16**{exponent}, which do not fit an encoding with "
            f"{encoding.bits} fraction bits; encrypt with precision={coarse!r} in phe, or take "
            "other bits"
        )
    return shift


def _phe() -> Any:
    try:
        from phe import paillier  # noqa: PLC0415  # an optional extra
    except ImportError:
        raise LocalProtocolError("phe is not installed: pip install 'fedsecure[phe]'") from None
    return paillier
