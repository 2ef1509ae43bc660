"""The proof that a partial decryption is right: equality of two logarithms, for a whole vector.

Party i shows that one secret s = Delta d_i gave v_i = v^s, which everybody has from the dealer, and
c_ij^2 = (c_j^4)^s for every ciphertext c_j of the vector and its partial decryption c_ij, without
showing s. Two steps make that one short proof:

1. Folding. Coefficients e_j come from a hash of all that is said: the dealing, the party, the
   context, all c_j and all c_ij. What is left to prove is one equation, y = x^s, with
   x = (prod c_j^e_j)^4 and y = (prod c_ij^e_j)^2. The rows lie in columns of a few lanes each, and
   e_j = f_k g_l in column k and lane l, with f_k of 126 bits and g_l of 128: raising whole columns
   to powers is cheaper than raising rows.
2. Chaum and Pedersen's proof that log_x y = log_v v_i, over the integers, since only the dealer
   knows the order of the group (Shoup, "Practical threshold signatures", EUROCRYPT 2000, section
   3.2): a = v^r, b = x^r, challenge e = hash(all of the above, a, b), response z = r + e s. The
   proof is (e, z); it is right if e is the hash that belongs to a = v^z v_i^-e, b = x^z y^-e.

Soundness. With n = (2p' + 1)(2q' + 1), the squares modulo n^2 are a cyclic group of order n p' q'.
Its prime factors p, q, p', q' all have more than a thousand bits, and v generates it. Units of
order 2 lie outside: an equation between elements of somebody else's choice means something among
squares only, which is why x and y are squares (Damgard and Jurik, PKC 2001, section 4.1). A party
may still change the sign of a row it proves; combining squares it away. If any other c_ij is wrong,
then c_ij^2 is c_j^(4s) times a square whose logarithm is not 0 modulo some prime factor of the
order. In the lane of that row, with the other columns' coefficients fixed, at most one f_k below
2^126 makes the product of the columns right all the same; and if the product of a lane is wrong, at
most one g_l below 2^128 makes the product of lanes right. So folding hides the lie with a chance of
2^-126 + 2^-128 (the small exponents test, twice: Bellare, Garay and Rabin, "Fast batch verification
for modular exponentiation and digital signatures", EUROCRYPT 1998, section 3). And if y is not x^s,
then to given a and b at most one challenge below 2^256 has a response, for the same reason. With
random oracles for hashes, a cheater that computes Q of them goes unnoticed with a chance below
Q * 2^-125, however much else it computes.

Zero knowledge. r has 128 bits more than e s, so that z is within 2^-128 of a distribution that does
not depend on s, and a and b follow from it. Every proof draws a new r.

Binding. Both hashes take the whole statement: a proof for another vector, context, party or dealing
proves nothing here, and changing one that holds into another needs the order of the group.
"""

from __future__ import annotations

import hashlib
import math
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from fedsecure.paillier._seam import Rows, integer, octets
from fedsecure.paillier.rows import invert_rows
from fedsecure.primitives import entropy, keys
from fedsecure.primitives.masks import threads

if TYPE_CHECKING:
    from fedsecure.paillier.public_key import PublicKey
    from fedsecure.primitives.entropy import Secret

__all__ = ["Statement", "holds", "proof_bytes", "prove"]

_FOLD_LABEL = b"fedsecure/v1/paillier/fold"
_COEFFICIENT_BYTES = 16
_COLUMN_WORD_BITS = 63  # the core's products take weights of so many; a column's has two
# A short vector has as many lanes as a register; a long one enough for several threads.
_LEAST_LANES = 8
_MOST_LANES = 64
_LONG = 1 << 14
_CHALLENGE_BYTES = 32
_STATISTICAL_BITS = 128
_COUNTS = struct.Struct("<IQQ")


@dataclass(frozen=True, slots=True)
class Statement:
    """What is proven: all of it public.

    Attributes:
        key: The Paillier key.
        dealing: 32 bytes that stand for everything the dealer published.
        parties: l; Delta is its factorial.
        index: The party that proves.
        verify_base: v.
        verify_key: v_i.
        context: What else the proof is bound to.
        rows: The ciphertexts c_j, units modulo n^2.
        partial: Their partial decryptions c_ij, units modulo n^2.
    """

    key: PublicKey
    dealing: bytes
    parties: int
    index: int
    verify_base: int
    verify_key: int
    context: bytes
    rows: Rows
    partial: Rows

    def digest(self) -> bytes:
        """Returns 32 bytes that stand for all of it."""
        return keys.digest(
            b"paillier/partial",
            self.dealing,
            _COUNTS.pack(self.index, len(self.context), len(self.rows)),
            self.context,
            self.rows.reshape(-1).data,
            self.partial.reshape(-1).data,
        )


def proof_bytes(key: PublicKey, parties: int) -> int:
    """Returns the length of a proof."""
    return _CHALLENGE_BYTES + _response_bytes(key, parties)


def prove(statement: Statement, share: Secret) -> bytes:
    """Returns the proof of a statement.

    Args:
        statement: A true one.
        share: d_i, little-endian.
    """
    key, digest = statement.key, statement.digest()
    x = _folded(key, digest, statement.rows, 4)
    mask = entropy.draw(_mask_bytes(key, statement.parties))
    commitment = _powers(key, [statement.verify_base, x], mask.view)
    challenge = _challenge(digest, commitment)
    s = math.factorial(statement.parties) * int.from_bytes(share.view, "little")
    response = int.from_bytes(mask.view, "little") + integer(challenge) * s
    mask.wipe()
    return challenge + octets(response, _response_bytes(key, statement.parties))


def holds(statement: Statement, proof: bytes) -> bool:
    """Returns whether `proof` proves the statement.

    Args:
        statement: Any whose rows are units modulo n^2.
        proof: Any bytes.
    """
    key, digest = statement.key, statement.digest()
    if len(proof) != proof_bytes(key, statement.parties):
        return False
    challenge, response = proof[:_CHALLENGE_BYTES], proof[_CHALLENGE_BYTES:]
    x = _folded(key, digest, statement.rows, 4)
    y = _folded(key, digest, statement.partial, 2)
    above = _powers(key, [statement.verify_base, x], response)
    below = invert_rows(key, _powers(key, [statement.verify_key, y], challenge))
    commitment: Rows = key.compiled.multiply(above, below, threads=threads())
    return challenge == _challenge(digest, commitment)


def _folded(key: PublicKey, digest: bytes, rows: Rows, power: int) -> int:
    """(prod rows_j ^ e_j) ^ power, with the coefficients that belong to the digest."""
    if not len(rows):
        return 1
    lanes = _LEAST_LANES if len(rows) < _LONG else _MOST_LANES
    columns = [rows[first : first + lanes] for first in range(0, len(rows), lanes)]
    columns[-1] = np.concatenate([columns[-1], _ones(key, lanes - len(columns[-1]))])
    stream = hashlib.shake_256(_FOLD_LABEL + digest).digest(
        _COEFFICIENT_BYTES * (len(columns) + lanes)
    )
    split = _COEFFICIENT_BYTES * len(columns)
    of_lanes = np.frombuffer(stream, np.uint8, offset=split).reshape(-1, _COEFFICIENT_BYTES)
    product = _column_product(key, columns, stream[:split])
    powers: Rows = key.compiled.power_each(product, of_lanes, threads=threads())
    return pow(_product(key, powers), power, key.n_squared)


def _column_product(key: PublicKey, columns: list[Rows], coefficients: bytes) -> Rows:
    """The product of columns_k ^ f_k, lane by lane; f_k has two words of 63 bits, low one first."""
    words = (np.frombuffer(coefficients, "<u8") >> np.uint64(64 - _COLUMN_WORD_BITS)).tolist()
    low, high = (
        key.compiled.weighted_product(columns, words[part::2], threads=threads()) for part in (0, 1)
    )
    half = 1 << _COLUMN_WORD_BITS - 1  # twice, since 2^63 itself is no weight
    product: Rows = key.compiled.weighted_product(
        [high, high, low], [half, half, 1], threads=threads()
    )
    return product


def _ones(key: PublicKey, count: int) -> Rows:
    rows = np.zeros((count, 2 * key.key_bytes), np.uint8)
    rows[:, 0] = 1
    return rows


def _product(key: PublicKey, rows: Rows) -> int:
    while len(rows) > 1:
        half = len(rows) // 2
        pairs = key.compiled.multiply(rows[:half], rows[half : 2 * half], threads=threads())
        rows = np.concatenate([pairs, rows[2 * half :]])
    return integer(rows[0])


def _powers(key: PublicKey, bases: list[int], exponent: bytes | memoryview) -> Rows:
    width = 2 * key.key_bytes
    joined = b"".join(octets(base, width) for base in bases)
    rows = np.frombuffer(joined, np.uint8).reshape(-1, width)
    powers: Rows = key.compiled.power(rows, exponent, threads=threads())
    return powers


def _challenge(digest: bytes, commitment: Rows) -> bytes:
    return keys.digest(b"paillier/challenge", digest, commitment.reshape(-1).data)


def _mask_bytes(key: PublicKey, parties: int) -> int:
    """Bytes of r: d_i has at most twice the bits of n."""
    bits = 2 * key.bits + math.factorial(parties).bit_length()
    return (bits + 8 * _CHALLENGE_BYTES + _STATISTICAL_BITS + 7) // 8


def _response_bytes(key: PublicKey, parties: int) -> int:
    return _mask_bytes(key, parties) + 1
