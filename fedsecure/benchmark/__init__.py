"""The speed of secure aggregation on this machine, beside what else a user could take.

Every row compares two figures of one run, medians of several after a warm-up, measured in turn.
Figures of one thread are seconds of processor, so that other programs disturb them less.

- ``mask_k16_*``: k = 16 masks, half of them added and half subtracted, on 2^24 uint32 words
  (64 MB), in place. ``vs_port_bound``: the baseline is the time that the AES instructions
  alone would need (10 rounds for 16 bytes, at the rate measured in registers), the ratio our time
  over that. ``vs_cryptography``: the same masks with AES-128-CTR of `cryptography` and numpy's
  add, one whole mask after the other. ``vs_pcg64``: masks from numpy's PCG64, likewise.
  ``..._in_cache``: both again, cut by hand into pieces that stay in the cache. ``two_threads``: one
  thread's time over that of two, the least of each by the clock.
- ``client_pass_vs_flower``: one client's whole round without network, on one thread: keys,
  shares, opening the others' shares, encoding, masks, packing to bytes. A million float32, n = 100,
  k = 22, semi-honest, as Flower's. Flower: `secaggplus_mod`.
- ``server_round_vs_flower``: all that the server does in that round, when 10 % of the clients
  vanish after sharing keys. Flower: the parts of `SecAggPlusWorkflow`, each timed and multiplied by
  how often it is needed; ``make bench`` runs the whole of it.
- ``server_complete_graph_vs_flower``: the same when all clients are neighbors of all.
- ``wire_bits_overhead``: bytes of a client's masked input per weight; the baseline is the width of
  the ring, the ratio one plus the overhead. ``wire_bytes_vs_flower``: the same beside Flower's.
- ``paillier<bits>_*_vs_phe``: one ciphertext of a key of 2048 or 3072 bits, ours and one of phe's
  under the same key. ``encrypt_half``, ``_short``, ``_full``: by the public key, for each choice of
  `PublicKey.randomizer`; ``encrypt_owner``: by the private key, with short exponents. ``add``:
  ten vectors as they come from the wire, multiplied up and given back as bytes.
  ``packed_*``: the same for each weight, 51 weights of 32 bits in a ciphertext with room for sums
  of 255, beside one weight per ciphertext; ``packed_encrypt_short_vs_ckks``: beside TenSEAL's CKKS
  (degree 8192), which is approximate. ``bytes_per_weight``: on the wire.

Rows whose baseline is not installed have None there and a note that says how to install it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from fedsecure.benchmark.masking import mask_rows
from fedsecure.benchmark.paillier import PaillierSizes, paillier_rows
from fedsecure.benchmark.parties import Case
from fedsecure.benchmark.rounds import complete_rows, regular_rows
from fedsecure.benchmark.rows import Row, as_json, as_markdown, as_table, cells, machine

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "SHORT",
    "Row",
    "Sizes",
    "as_json",
    "as_markdown",
    "as_table",
    "cells",
    "machine",
    "run",
]


_REGULAR = Case(clients=100, weights=1_000_000, neighbors=22, gone=10)
_COMPLETE = replace(_REGULAR, neighbors=None)
_PAILLIER = PaillierSizes()


@dataclass(frozen=True)
class Sizes:
    """How much is measured; the defaults are what the rows' names stand for.

    Attributes:
        words: Length of the vector that masks are measured on.
        mask_neighbors: How many masks.
        regular: The round in the k-regular graph.
        complete: The round in the complete graph.
        measured: How many of Flower's clients are timed.
        repeats: How often all else is.
        paillier: How many ciphertexts.
    """

    words: int = 1 << 24
    mask_neighbors: int = 16
    regular: Case = _REGULAR
    complete: Case = _COMPLETE
    measured: int = 7
    repeats: int = 7
    paillier: PaillierSizes = _PAILLIER


SHORT = Sizes()


def run(sizes: Sizes | None = None, progress: Callable[[str], None] = lambda _: None) -> list[Row]:
    """Measures everything: less than a minute on two processors with AES instructions.

    Args:
        sizes: How much is measured; None for `SHORT`.
        progress: Told what comes next.
    """
    sizes = SHORT if sizes is None else sizes
    progress("masks")
    rows = mask_rows(sizes.words, sizes.mask_neighbors, sizes.repeats)
    progress("a round with neighbors")
    rows += regular_rows(sizes.regular, sizes.measured, sizes.repeats)
    progress("a round of all with all")
    rows += complete_rows(sizes.complete, sizes.repeats)
    progress("Paillier")
    return rows + paillier_rows(sizes.paillier, sizes.repeats)
