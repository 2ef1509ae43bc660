"""From t partial decryptions to plaintexts: interpolation in the exponent.

Damgard and Jurik (PKC 2001), section 4.1; Shoup (EUROCRYPT 2000), section 3. They multiply every
Lagrange coefficient by Delta = l!, which makes all of them integers whichever parties take part.
Here it is the least multiple that does so for the parties at hand: exponents of a few bits.
"""

from __future__ import annotations

import math
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np

from fedsecure.errors import CryptoError
from fedsecure.paillier._seam import Rows, integer, octets
from fedsecure.paillier.rows import invert_rows, weighted_product

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from fedsecure.paillier.public_key import PublicKey

__all__ = ["coefficients", "plaintexts", "power_product"]

# Weights of the core's products are below 2^63.
_DIGIT_BITS = 62


def plaintexts(key: PublicKey, parties: int, partials: Mapping[int, Rows]) -> Rows:
    """Returns the plaintexts behind partial decryptions that have been verified.

    Args:
        key: The Paillier key.
        parties: l.
        partials: By party, c^(2 Delta d_i) of each ciphertext c; as many as the threshold.

    Raises:
        CryptoError: They combine to no plaintext: the dealing was none.
    """
    scale, weights = coefficients(list(partials))
    positive = {i: 2 * weight for i, weight in weights.items() if weight > 0}
    negative = {i: -2 * weight for i, weight in weights.items() if weight < 0}
    product = power_product(key, [partials[i] for i in positive], list(positive.values()))
    if negative:
        divisor = power_product(key, [partials[i] for i in negative], list(negative.values()))
        product = weighted_product(key, [product, invert_rows(key, divisor)], [1, 1])
    # What is left is c^(4 Delta scale d) = (1 + n)^(4 Delta scale m).
    factor = pow(4 * math.factorial(parties) * scale, -1, key.n)
    return _logarithms(key, product, factor)


def coefficients(indices: Sequence[int]) -> tuple[int, dict[int, int]]:
    """Returns the least scale, and by index the integers scale * prod j / (j - i).

    The products run over the other indices j: what interpolates a polynomial's value at 0, times
    `scale`, from its values at the indices.
    """
    exact = {
        i: math.prod((Fraction(j, j - i) for j in indices if j != i), start=Fraction(1))
        for i in indices
    }
    scale = math.lcm(*(weight.denominator for weight in exact.values()))
    return scale, {i: int(scale * weight) for i, weight in exact.items()}


def power_product(key: PublicKey, vectors: Sequence[Rows], weights: Sequence[int]) -> Rows:
    """Returns the product of vectors[j] ** weights[j], row by row.

    Args:
        key: The Paillier key.
        vectors: At least one, all of one shape.
        weights: Not negative, of any size, public.
    """
    shift = max(weights).bit_length() // _DIGIT_BITS * _DIGIT_BITS
    product = weighted_product(key, vectors, [weight >> shift for weight in weights])
    while shift:
        shift -= _DIGIT_BITS
        digits = [weight >> shift & (1 << _DIGIT_BITS) - 1 for weight in weights]
        product = weighted_product(key, [product, *vectors], [1 << _DIGIT_BITS, *digits])
    return product


def _logarithms(key: PublicKey, rows: Rows, factor: int) -> Rows:
    """L(c) * factor modulo n of each row c, with L(1 + x n) = x."""
    out = bytearray()
    for row in rows:
        quotient, remainder = divmod(integer(row) - 1, key.n)
        if remainder:
            raise CryptoError("these combine to no plaintext: the key was not dealt as it should")
        out += octets(quotient * factor % key.n, key.key_bytes)
    return np.frombuffer(out, np.uint8).reshape(len(rows), key.key_bytes)
