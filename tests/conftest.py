"""What all property tests share: the same examples in every run, and no clock."""

from __future__ import annotations

from hypothesis import settings

# Machines are noisy and a test never judges time; a failure must come back when it is run again.
settings.register_profile("fedsecure", deadline=None, derandomize=True)
settings.load_profile("fedsecure")
