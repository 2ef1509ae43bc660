"""The command `fedsecure`: demonstrations, parameters, speed, and what this installation is."""

from __future__ import annotations

import argparse
import dataclasses
import os
import sys
import typing
from collections.abc import Sequence
from pathlib import Path

import fedsecure
from fedsecure import benchmark, calibrate
from fedsecure.demo import credit, linear, run_demo
from fedsecure.errors import FedSecureError
from fedsecure.primitives import masks
from fedsecure.primitives.parameters import Adversary, policy_parameters
from fedsecure.primitives.risk import explain

__all__ = ["main"]

_SIGMA, _ETA = 40, 20


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line and returns its exit code.

    Args:
        argv: arguments without the program's name; by default those of the process.

    Returns:
        0, or 2 when fedsecure or the operating system refused: one line on stderr says why.

    Raises:
        SystemExit: from argparse, for --help, --version and unusable arguments.
    """
    arguments = _parser().parse_args(argv)
    try:
        if arguments.command == "demo":
            run_demo(
                arguments.out,
                only=arguments.only,
                rounds=arguments.rounds,
                protocol=arguments.protocol,
            )
        elif arguments.command == "params":
            _params(arguments)
        elif arguments.command == "bench":
            _bench(arguments)
        elif arguments.command == "calibrate":
            _calibrate(arguments)
        else:
            _info()
    except (FedSecureError, OSError) as error:
        print(f"fedsecure: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="fedsecure", description="Secure aggregation for federated learning."
    )
    parser.add_argument("--version", action="version", version=f"fedsecure {fedsecure.__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="command")
    demo = commands.add_parser(
        "demo", help="federated averaging on real data, secure and plain side by side"
    )
    demo.add_argument("--only", choices=("linear", "credit"), help="one demo instead of both")
    demo.add_argument(
        "--rounds",
        type=_positive_int,
        metavar="N",
        help="rounds of federated averaging "
        f"(default: {linear.ROUNDS} for linear, {credit.ROUNDS} for credit)",
    )
    demo.add_argument(
        "--protocol",
        choices=typing.get_args(credit.ProtocolName),
        default="masking",
        help="how the banks' updates are summed: under masks (default), encrypted for one key "
        "holder, or under a key that seven of the ten banks have together",
    )
    demo.add_argument(
        "--out",
        type=Path,
        default=Path("demo_out"),
        metavar="DIR",
        help="folder for the CSV and PNG files (default: demo_out)",
    )
    _add_params(
        commands.add_parser(
            "params", help="neighbors and threshold for a number of clients, explained"
        )
    )
    _add_bench(
        commands.add_parser(
            "bench", help="the speed of this machine beside other libraries, in about a minute"
        )
    )
    _add_calibrate(
        commands.add_parser(
            "calibrate", help="how much noise a differential privacy target takes, explained"
        )
    )
    commands.add_parser("info", help="version, kernels and threads of this installation")
    return parser


def _add_params(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--clients", type=int, required=True, metavar="N", help="how many take part"
    )
    parser.add_argument(
        "--corrupt",
        type=float,
        required=True,
        metavar="FRACTION",
        help="how many of them may collude with the server, for example 0.1",
    )
    parser.add_argument(
        "--dropout",
        type=float,
        required=True,
        metavar="FRACTION",
        help="how many of them may drop out, for example 0.1",
    )
    parser.add_argument(
        "--adversary",
        choices=typing.get_args(Adversary),
        default="semi_honest",
        help="the server follows the protocol (default), lies about who dropped out, or does "
        "anything",
    )
    parser.add_argument(
        "--sigma",
        type=int,
        default=_SIGMA,
        help=f"privacy fails once in 2^SIGMA (default: {_SIGMA})",
    )
    parser.add_argument(
        "--eta", type=int, default=_ETA, help=f"a session fails once in 2^ETA (default: {_ETA})"
    )


def _params(arguments: argparse.Namespace) -> None:
    wanted = {
        "sigma": arguments.sigma,
        "eta": arguments.eta,
        "adversary": arguments.adversary,
    }
    clients, dropout = arguments.clients, arguments.dropout
    chosen = policy_parameters(clients, arguments.corrupt, dropout, **wanted)
    # The policy counts on one colluder at least.
    print(explain(chosen, clients, max(arguments.corrupt, 1 / clients), dropout, **wanted))
    given = f'adversary="{arguments.adversary}", corrupt={arguments.corrupt}, dropout={dropout}'
    if (arguments.sigma, arguments.eta) != (_SIGMA, _ETA) and chosen.neighbors < clients - 1:
        # Sessions ask for the usual bits by themselves.
        given += f", neighbors={chosen.neighbors}, threshold={chosen.threshold}"
    print(f"in Python: PairwiseMasking({given})")


def _add_bench(parser: argparse.ArgumentParser) -> None:
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print a list of rows as JSON")
    form.add_argument("--markdown", action="store_true", help="print a table for a document")


def _bench(arguments: argparse.Namespace) -> None:
    rows = benchmark.run(progress=lambda what: print(f"measuring {what} ...", file=sys.stderr))
    if arguments.json:
        print(benchmark.as_json(rows))
    elif arguments.markdown:
        print(benchmark.as_markdown(rows, "fedsecure bench --markdown"))
    else:
        print(benchmark.as_table(rows))


def _add_calibrate(parser: argparse.ArgumentParser) -> None:
    aim = parser.add_mutually_exclusive_group(required=True)
    aim.add_argument("--epsilon", type=float, help="what all rounds may spend")
    aim.add_argument(
        "--noise-multiplier", type=float, metavar="Z", help="noise, to be told what it spends"
    )
    parser.add_argument("--delta", type=float, default=1e-5, help="(default: 1e-5)")
    parser.add_argument("--rounds", type=_positive_int, required=True, metavar="T")
    parser.add_argument(
        "--clients", type=_positive_int, required=True, metavar="N", help="in one round"
    )
    parser.add_argument(
        "--population",
        type=_positive_int,
        metavar="M",
        help="out of how many they are drawn, each on its own (default: all take part)",
    )
    parser.add_argument(
        "--fixed-size", action="store_true", help="exactly N are drawn, without replacement"
    )
    parser.add_argument(
        "--mechanism",
        choices=typing.get_args(calibrate.Noise),
        default="gaussian",
        help="central Gaussian (default) or Laplace noise, or noise shares of the clients",
    )
    parser.add_argument(
        "--dimension",
        type=_positive_int,
        default=1_000_000,
        metavar="D",
        help="values per update, for skellam and ddgauss (default: 1000000)",
    )
    parser.add_argument(
        "--bits",
        type=_positive_int,
        metavar="B",
        help="width of the ring, for skellam and ddgauss (default: as rounding takes, 13 to 19)",
    )
    parser.add_argument(
        "--certain",
        type=_positive_int,
        metavar="S",
        help="of how many honest clients the noise is certain, for skellam and ddgauss: the "
        "threshold less those who may collude (default: all)",
    )
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("calibrate.png"),
        metavar="FILE",
        help="picture of both curves (default: calibrate.png)",
    )


def _calibrate(arguments: argparse.Namespace) -> None:
    wanted = {
        each.name: getattr(arguments, each.name) for each in dataclasses.fields(calibrate.Plan)
    }
    calibrate.run(calibrate.Plan(**wanted), arguments.out)


def _positive_int(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{value} is too few: give 1 or more")
    return value


def _info() -> None:
    print(f"fedsecure {fedsecure.__version__}")
    print(f"kernels   {fedsecure.active_kernels()} (available: {_available()})")
    print(f"threads   {_threads()}")


def _available() -> str:
    return ", ".join(fedsecure.available_kernels())


def _threads() -> int:
    """Returns what FEDSECURE_THREADS says, or else how many cores this process may use."""
    chosen = masks.threads()
    if chosen:
        return chosen
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
