"""Threshold decryption: t of l parties decrypt together, fewer learn nothing.

A trusted dealer makes the key and gives each party one share of the secret exponent; nobody ever
has that exponent again. To decrypt, t parties send their partial decryptions of the same
ciphertexts, each with a proof (`fedsecure.paillier._proofs`), and anybody combines them.

Sources: Damgard and Jurik, "A generalisation, a simplification and some applications of Paillier's
probabilistic public-key system" (PKC 2001), section 4.1, for s = 1; Fouque, Poupard and Stern,
"Sharing decryption in the context of voting or lotteries" (FC 2000); both after Shoup, "Practical
threshold signatures" (EUROCRYPT 2000).

A partial decryption helps to decrypt exactly the ciphertexts it was made for. Which ones deserve it
is not decided here: a party that helps with everything it is sent decrypts for whoever asks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fedsecure._progress import Progress, reporting
from fedsecure.errors import LocalProtocolError, ThresholdError
from fedsecure.paillier import _combine
from fedsecure.paillier._dealer import deal, safe_primes
from fedsecure.paillier._key_share import KeyShare
from fedsecure.paillier._partial import PartialDecryption, ciphertexts, verify
from fedsecure.paillier._threshold_public import MAX_PARTIES, ThresholdPublic
from fedsecure.paillier._validation import check_bits

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from fedsecure.paillier._seam import Rows
    from fedsecure.paillier.form import FloatArray
    from fedsecure.paillier.vector import EncryptedVector

__all__ = [
    "MAX_PARTIES",
    "KeyShare",
    "PartialDecryption",
    "ThresholdPublic",
    "combine",
    "combine_rows",
    "generate_threshold_keys",
    "interpolate_rows",
    "verify_partial",
]


def generate_threshold_keys(
    parties: int, threshold: int, bits: int = 3072, *, progress: bool | Progress = False
) -> tuple[ThresholdPublic, list[KeyShare]]:
    """Returns a new key, dealt to `parties` of whom any `threshold` decrypt together.

    Whoever calls this is the dealer, whom all parties have to trust: for a moment it has the whole
    private key. It gives each party its own share (`KeyShare.to_bytes`) and everybody the public
    part, and forgets the rest. What this function itself held is gone when it returns, as far as
    Python overwrites memory, which it does not promise; let the dealer's process end.

    The primes are safe primes, which take seconds (2048 bits) to minutes (4096).

    Args:
        parties: How many shares, 2 to 64.
        threshold: How many of them decrypt, at least 2. So many parties together can decrypt
            everything; more than `parties` - `threshold` that refuse make decryption impossible.
        bits: Size of n: 3072 (about 128 bits of security), 4096, or 2048 (about 112).
        progress: False, True for a bar, or a callable(stage, done, total).

    Raises:
        LocalProtocolError: Another number of parties, or another size.
        ThresholdError: A threshold below 2, or above the number of parties.
    """
    if type(parties) is not int or type(threshold) is not int or not 2 <= parties <= MAX_PARTIES:
        raise LocalProtocolError(f"parties={parties!r}; a key is dealt to 2 to {MAX_PARTIES}")
    if not 2 <= threshold <= parties:
        raise ThresholdError(
            f"threshold={threshold} of {parties} parties; it is at least 2, so that no party "
            "decrypts alone, and at most their number"
        )
    with reporting(progress=progress) as report:
        dealing = deal(*safe_primes(check_bits(bits), report), parties, threshold)
    public = ThresholdPublic(dealing.key, threshold, dealing.verify_base, dealing.verify_keys)
    shares = [KeyShare(public, index, d_i) for index, d_i in enumerate(dealing.shares, 1)]
    return public, shares


def verify_partial(
    public: ThresholdPublic, rows: Rows, partial: PartialDecryption, context: bytes = b""
) -> None:
    """Raises `CheaterDetected` unless this is the party's partial decryption of these rows.

    Args:
        public: The dealing.
        rows: The ciphertexts.
        partial: What the party sent.
        context: What the party was to bind its proof to.

    Raises:
        CheaterDetected: It is not; `culprit` is the party's index.
        RemoteProtocolError: No party has that index.
        CryptoError: A row of `rows` is no ciphertext.
        LocalProtocolError: They have another shape.
    """
    verify(public, ciphertexts(public, rows), partial, context)


def combine_rows(
    public: ThresholdPublic,
    rows: Rows,
    partials: Sequence[PartialDecryption],
    context: bytes = b"",
    *,
    progress: bool | Progress = False,
) -> Rows:
    """Returns the plaintext of each ciphertext, from partial decryptions that are all verified.

    Args:
        public: The dealing.
        rows: The ciphertexts that every party was given, uint8 of shape (count, 2 * key_bytes).
        partials: At least `threshold`, each from another party.
        context: What every party was to bind its proof to.
        progress: False, True for a bar, or a callable(stage, done, total) in parties verified.

    Returns:
        Numbers below n, uint8 of shape (count, key_bytes), as `PrivateKey.decrypt_rows` gives.

    Raises:
        CheaterDetected: A partial decryption is wrong; `culprit` is the index of its party. Leave
            it out and combine the rest.
        ThresholdError: Fewer than `threshold` partial decryptions.
        RemoteProtocolError: One has an index that no party has.
        LocalProtocolError: Two of one party, or rows of another shape.
        CryptoError: A row is no ciphertext of this key, or the dealing was none.
    """
    if len({partial.index for partial in partials}) != len(partials):
        raise LocalProtocolError("two partial decryptions of one party; pass one of each")
    if len(partials) < public.threshold:
        raise ThresholdError(
            f"{len(partials)} partial decryptions; this key takes those of {public.threshold} "
            "parties"
        )
    rows = ciphertexts(public, rows)
    with reporting(progress=progress) as report:
        for done, partial in enumerate(partials, 1):
            verify(public, rows, partial, context)
            report("verify", done, len(partials))
    return interpolate_rows(public, partials[: public.threshold])


def interpolate_rows(public: ThresholdPublic, partials: Sequence[PartialDecryption]) -> Rows:
    """Returns the plaintexts behind partial decryptions, each of which `verify_partial` let pass.

    For protocols that verify when a partial decryption comes; from others they are noise.

    Args:
        public: The dealing.
        partials: As many as the threshold, of different parties and the same ciphertexts.

    Raises:
        ThresholdError: Another number of them.
        CryptoError: They combine to no plaintext.
    """
    used = {partial.index: partial.rows for partial in partials}
    if len(used) != public.threshold:
        raise ThresholdError(
            f"{len(used)} different partial decryptions; this key takes {public.threshold}"
        )
    return _combine.plaintexts(public.key, public.parties, used)


def combine(
    public: ThresholdPublic,
    vector: EncryptedVector,
    partials: Sequence[PartialDecryption],
    context: bytes = b"",
    *,
    dtype: npt.DTypeLike | None = None,
    progress: bool | Progress = False,
) -> FloatArray:
    """Returns the array that a vector holds, as `PrivateKey.decrypt` does.

    Args:
        public: The dealing.
        vector: What every party was given.
        partials: At least `threshold`, each from another party.
        context: What every party was to bind its proof to.
        dtype: float16, float32 or float64, if not the vector's own.
        progress: False, True for a bar, or a callable(stage, done, total) in parties verified.

    Raises:
        CheaterDetected: A partial decryption is wrong; `culprit` is the index of its party.
        ThresholdError: Fewer than `threshold` partial decryptions.
        RemoteProtocolError: An index that no party has; or a value is larger than `vector.terms`
            honest ones together: somebody encrypted something else.
        LocalProtocolError: Two of one party.
        CryptoError: The vector is under another key, or the dealing was none.
        EncodingError: `dtype` is none of these, or too narrow for a sum.
    """
    public.check_vector(vector)
    plaintexts = combine_rows(public, vector.rows, partials, context, progress=progress)
    return vector.form.decode(plaintexts, vector.terms, dtype)
