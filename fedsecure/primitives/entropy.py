"""Secrets: the one door to the operating system's entropy, and the holder that keeps them quiet.

Everything secret that a party draws comes through `draw` (key material) or is a public nonce from
`token` (session ids). No other module asks the operating system for randomness, so tests can put
known bytes here and nowhere else.

Python cannot promise that memory is wiped: the interpreter and the libraries below it may have made
copies. What this package owns, it keeps in a `Secret` and overwrites as soon as it is not needed.
"""

from __future__ import annotations

import hmac
from typing import NoReturn

from fedsecure import _core
from fedsecure.errors import CryptoError, LocalProtocolError

__all__ = ["Secret", "copied_or_drawn", "draw", "token", "wipe"]


class Secret:
    """Bytes that are neither printed, compared in the open, copied nor pickled, and can be wiped.

    Use it for whatever would unmask an update: private keys, mask seeds, share keys, shares. Read
    it through `view` at the moment of use and let the view go again.

    Args:
        data: The secret bytes. A ``bytearray`` is taken over and wiped with the holder; ``bytes``
            are copied, and the original stays with the caller.
    """

    __slots__ = ("_data", "_wiped")
    __hash__ = None  # type: ignore[assignment]  # a hash would be a fingerprint of the secret

    def __init__(self, data: bytes | bytearray) -> None:
        self._data = data if isinstance(data, bytearray) else bytearray(data)
        self._wiped = False

    @property
    def view(self) -> memoryview:
        """The bytes, read-only and without a copy.

        Raises:
            CryptoError: The secret has been wiped.
        """
        if self._wiped:
            raise CryptoError("this secret has been wiped: its session is over")
        return memoryview(self._data).toreadonly()

    @property
    def wiped(self) -> bool:
        """Whether the bytes are gone."""
        return self._wiped

    def wipe(self) -> None:
        """Overwrites the bytes with zeros. Doing it again changes nothing."""
        self._wiped = True
        _core.wipe(self._data)

    def __len__(self) -> int:
        return len(self._data)

    def __eq__(self, other: object) -> bool:
        """Compares in time that depends on the length only. Wiped secrets equal nothing."""
        if not isinstance(other, Secret):
            return NotImplemented
        if self._wiped or other._wiped:
            return False
        return hmac.compare_digest(self._data, other._data)

    def __repr__(self) -> str:
        return f"Secret({len(self._data)} bytes, {'wiped' if self._wiped else 'hidden'})"

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise CryptoError("a secret is neither copied nor pickled: a copy could not be wiped")

    def __del__(self) -> None:
        # A party that is dropped half-way leaves no secret behind in reusable memory. The core may
        # be gone already when the interpreter ends.
        data = getattr(self, "_data", None)
        if data and _core is not None:
            _core.wipe(data)


def draw(size: int) -> Secret:
    """Returns `size` fresh secret bytes from the operating system.

    Raises:
        CryptoError: The operating system has no entropy to give.
    """
    return Secret(_system(size))


def copied_or_drawn(seed: bytes | bytearray | memoryview | None, size: int) -> Secret:
    """Returns a copy of the seed that was given, or if none was, `size` fresh secret bytes.

    Raises:
        LocalProtocolError: The seed has another length.
        CryptoError: The operating system has no entropy to give.
    """
    if seed is None:
        return draw(size)
    if len(seed) != size:
        raise LocalProtocolError(f"a seed of {size} bytes is needed here, not one of {len(seed)}")
    return Secret(bytearray(seed))


def token(size: int) -> bytes:
    """Returns `size` fresh bytes that need not stay secret, such as a session id."""
    return _system(size)


def wipe(buffer: bytearray | memoryview) -> None:
    """Overwrites a writable buffer with zeros in a way no compiler removes."""
    _core.wipe(buffer)


def _system(size: int) -> bytes:
    try:
        return _core.random_bytes(size)
    except RuntimeError as error:
        raise CryptoError(f"no randomness from the operating system: {error}") from None
