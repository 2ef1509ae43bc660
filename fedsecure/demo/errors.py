"""The one error of the demos."""

from __future__ import annotations

from fedsecure.errors import FedSecureError

__all__ = ["DemoError"]


class DemoError(FedSecureError):
    """A demo could not run (its data set is missing) or did not show what it promises."""
