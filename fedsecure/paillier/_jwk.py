"""Keys in the JSON form that phe's command line writes and reads (JWK, with its own key type)."""

from __future__ import annotations

import base64
import json
import re
from typing import Any

from fedsecure.errors import CryptoError

__all__ = ["private_jwk", "public_jwk", "read_private", "read_public"]

_TYPE = "DAJ"
_ALGORITHM = "PAI-GN1"
# Longer than any key of ours, so that nothing long is decoded.
_MOST = 1024

Jwk = dict[str, Any]


def public_jwk(n: int) -> Jwk:
    """Returns the form of a public key."""
    return {
        "kty": _TYPE,
        "alg": _ALGORITHM,
        "key_ops": ["encrypt"],
        "n": _text(n),
        "kid": "Paillier public key of fedsecure",
    }


def private_jwk(p: int, q: int) -> Jwk:
    """Returns the form of a private key, which is not encrypted."""
    return {
        "kty": _TYPE,
        "key_ops": ["decrypt"],
        "p": _text(p),
        "q": _text(q),
        "pub": public_jwk(p * q),
        "kid": "Paillier private key of fedsecure",
    }


def read_public(jwk: str | Jwk) -> int:
    """Returns n.

    Raises:
        CryptoError: Not the form of a public key.
    """
    fields = _fields(jwk, "encrypt")
    if fields.get("alg") != _ALGORITHM:
        raise CryptoError(f"not a Paillier key in JWK form: its alg is not {_ALGORITHM!r}")
    return _number(fields, "n")


def read_private(jwk: str | Jwk) -> tuple[int, int]:
    """Returns p and q, whose product is the n of the public key inside.

    Raises:
        CryptoError: Not the form of a private key.
    """
    fields = _fields(jwk, "decrypt")
    p, q = _number(fields, "p"), _number(fields, "q")
    if read_public(fields.get("pub", {})) != p * q:
        raise CryptoError("not a Paillier key in JWK form: p and q do not belong to its pub")
    return p, q


def _fields(jwk: object, operation: str) -> Jwk:
    if isinstance(jwk, str):
        try:
            jwk = json.loads(jwk)
        except (ValueError, RecursionError):
            raise CryptoError("not a Paillier key in JWK form: no JSON") from None
    if not isinstance(jwk, dict) or jwk.get("kty") != _TYPE:
        raise CryptoError(f"not a Paillier key in JWK form: its kty is not {_TYPE!r}")
    operations = jwk.get("key_ops")
    if not isinstance(operations, list) or operation not in operations:
        raise CryptoError(f"not a Paillier key in JWK form to {operation} with")
    return jwk


def _text(value: int) -> str:
    data = value.to_bytes(-(-value.bit_length() // 8), "big")
    return base64.urlsafe_b64encode(data).decode("ascii").rstrip("=")


def _number(fields: Jwk, name: str) -> int:
    text = fields.get(name)
    if not isinstance(text, str) or re.fullmatch(f"[A-Za-z0-9_-]{{1,{_MOST}}}", text) is None:
        raise CryptoError(f"not a Paillier key in JWK form: its {name} is not base64url")
    try:
        return int.from_bytes(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)), "big")
    except ValueError:
        raise CryptoError(f"not a Paillier key in JWK form: its {name} is cut off") from None
