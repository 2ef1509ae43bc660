"""Encrypted vectors as bytes, version 1: strict and canonical.

    "FSPV" | version u8 | header length u16 | header | ciphertexts

The header is a msgpack array; ciphertexts follow without padding, each `2 * key_bytes` bytes,
little-endian.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Annotated, Literal

import msgspec
import numpy as np

from fedsecure import wire
from fedsecure.encoding import FixedPoint
from fedsecure.errors import CryptoError, EncodingError, LocalProtocolError, RemoteProtocolError
from fedsecure.paillier.form import Form

if TYPE_CHECKING:
    from fedsecure.paillier._seam import Rows
    from fedsecure.paillier.public_key import PublicKey

__all__ = ["decode", "encode"]

_MAGIC = b"FSPV"
_VERSION = 1
_START = struct.Struct("<4sBH")
_Count = Annotated[int, msgspec.Meta(ge=0, le=1 << 62)]


class _Header(wire.Control, frozen=True):
    key: wire.Digest
    clip: float
    bits: int
    max_weight: float | None
    rounding: Annotated[str, msgspec.Meta(max_length=16)]
    modulus_bits: int | None
    budget: _Count
    shape: Annotated[tuple[_Count, ...], msgspec.Meta(max_length=32)]
    dtype: Literal["float16", "float32", "float64"]
    packed: bool
    slot_bits: Annotated[int, msgspec.Meta(ge=8, le=64)]
    terms: _Count
    count: _Count


def encode(form: Form, terms: int, rows: Rows) -> bytes:
    """Returns the one encoding of a vector."""
    header = wire.encode_control(_header(form, terms))
    return b"".join((_START.pack(_MAGIC, _VERSION, len(header)), header, rows.data))


def decode(data: bytes, public: PublicKey) -> tuple[Form, int, Rows]:
    """Returns form, terms and ciphertexts of what `encode` gave; the rows are a view of `data`.

    Raises:
        RemoteProtocolError: Not that, or not under this key.
        LocalProtocolError: `data` is not bytes.
    """
    if not isinstance(data, bytes):
        raise LocalProtocolError(f"an encrypted vector is read from bytes, not {type(data)}")
    if len(data) < _START.size:
        raise RemoteProtocolError("not an encrypted vector: too short")
    magic, version, length = _START.unpack_from(data)
    if magic != _MAGIC or version != _VERSION:
        raise RemoteProtocolError("not an encrypted vector, or one of another version")
    stop = _START.size + length
    if len(data) < stop:
        raise RemoteProtocolError("not an encrypted vector: its header is cut off")
    header = wire.decode_control(_Header, data[_START.size : stop])
    if header.key != public.fingerprint:
        raise RemoteProtocolError("this vector is encrypted under another key")
    try:
        form = _form(header, public)
        form.check_terms(header.terms)
    except EncodingError as error:
        raise RemoteProtocolError(f"not a valid encrypted vector: {error}") from None
    if _header(form, header.terms) != header:
        raise RemoteProtocolError("not a valid encrypted vector: its counts do not fit its shape")
    if len(data) - stop != header.count * 2 * public.key_bytes:
        raise RemoteProtocolError(
            f"{len(data) - stop} bytes came for {header.count} ciphertexts of "
            f"{2 * public.key_bytes}"
        )
    rows = np.frombuffer(data, np.uint8, offset=stop).reshape(-1, 2 * public.key_bytes)
    try:
        public.check_rows(rows)
    except CryptoError as error:
        raise RemoteProtocolError(f"not a valid encrypted vector: {error}") from None
    return form, header.terms, rows


def _header(form: Form, terms: int) -> _Header:
    encoding = form.encoding
    return _Header(
        key=form.public.fingerprint,
        clip=encoding.clip,
        bits=encoding.bits,
        max_weight=encoding.max_weight,
        rounding=encoding.rounding,
        modulus_bits=encoding.modulus_bits,
        budget=form.budget,
        shape=form.shape,
        dtype=form.dtype,  # type: ignore[arg-type]  # one of them by construction
        packed=form.packed,
        slot_bits=form.packing.slot_bits,
        terms=terms,
        count=form.num_ciphertexts,
    )


def _form(header: _Header, public: PublicKey) -> Form:
    encoding = FixedPoint(
        header.clip,
        header.bits,
        max_weight=header.max_weight,
        rounding=header.rounding,  # type: ignore[arg-type]  # checked by FixedPoint
        modulus_bits=header.modulus_bits,
    )
    return Form(public, encoding, header.budget, header.shape, header.dtype, header.packed)
