"""The command line that every example has, and how it ends."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import fedsecure as fs
from fedsecure.demo.errors import DemoError
from fedsecure.protocols.base import Protocol

from .packages import MissingDataError

__all__ = ["WAYS", "Options", "main_of", "parser", "protocol"]

WAYS = ("masking", "paillier", "threshold")
_EPILOG = """\
exit codes: 0; 2 when the secure mean was more than one quantisation step from the plain mean of the
same updates, or fedsecure refused; 3 when the package that ships the data is not installed"""


@dataclass(frozen=True)
class Options:
    """What the user asked for.

    Attributes:
        rounds: rounds of federated averaging.
        out: an existing folder for CSV and PNG.
        quick: a short form, to see that it runs.
        protocol: how the sum is protected, one of `WAYS`.
        extra: arguments of this example alone.
    """

    rounds: int
    out: Path
    quick: bool
    protocol: str
    extra: argparse.Namespace


def parser(
    text: str, *, rounds: int, quick_rounds: int, ways: tuple[str, ...] = WAYS
) -> argparse.ArgumentParser:
    """Returns the arguments that all examples have; the module's own words are the help."""
    made = argparse.ArgumentParser(
        description=text, epilog=_EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    made.add_argument(
        "--rounds",
        type=_positive,
        help=f"rounds of federated averaging (default {rounds}; {quick_rounds} with --quick)",
    )
    made.add_argument(
        "--out",
        type=Path,
        default=Path("examples_out"),
        help="folder for the CSV and PNG files (default %(default)s)",
    )
    made.add_argument("--quick", action="store_true", help="a short form, to see that it runs")
    made.add_argument(
        "--protocol",
        choices=ways,
        default=ways[0],
        help="how the sum is protected: masks that cancel (milliseconds a round), Paillier's "
        "encryption with one key holder (a second), or with a key in shares (ten seconds and "
        "more; a minute for the key) (default %(default)s)",
    )
    made.set_defaults(_rounds=rounds, _quick_rounds=quick_rounds)
    return made


def protocol(name: str, clients: int) -> Protocol:
    """Returns the protocol of that name for so many clients, with its keys made for all rounds."""
    policies: dict[str, Protocol] = {
        "masking": fs.PairwiseMasking(),
        "paillier": fs.PaillierSum(),
        "threshold": fs.ThresholdPaillierSum(),
    }
    return policies[name].for_one_process(range(clients))


def main_of(run: Callable[[Options], None], arguments: argparse.ArgumentParser) -> None:
    """Runs an example and ends the process with its exit code."""
    given = arguments.parse_args()
    rounds = given.rounds or (given._quick_rounds if given.quick else given._rounds)  # noqa: SLF001
    try:
        given.out.mkdir(parents=True, exist_ok=True)
        run(Options(rounds, given.out, given.quick, given.protocol, given))
    except MissingDataError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(3)
    except (DemoError, fs.errors.FedSecureError, OSError) as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        sys.exit(2)


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError("at least 1")
    return value
