"""`python -m fedsecure` is the command `fedsecure`."""

from __future__ import annotations

import sys

from fedsecure.cli import main

if __name__ == "__main__":
    sys.exit(main())
