"""The command `fedsecure`: demonstrations, parameters, noise, keys, speed, this installation."""

from __future__ import annotations

import argparse
import dataclasses
import importlib.util
import json
import os
import sys
import typing
from collections.abc import Callable, Sequence
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any

import fedsecure
from fedsecure import _cli_keys, benchmark, calibrate
from fedsecure._cli_text import CODES, COMMANDS
from fedsecure._picture import NO_PICTURE
from fedsecure._report import Report, busy
from fedsecure.demo import credit, linear, run_demo
from fedsecure.errors import FedSecureError
from fedsecure.primitives import masks
from fedsecure.primitives.parameters import Adversary, policy_parameters
from fedsecure.primitives.risk import explain, risks

__all__ = ["main"]

_Add = Callable[[argparse.ArgumentParser], None]
_Run = Callable[[argparse.Namespace], None]

_SIGMA, _ETA = 40, 20
_EXTRAS = {
    "rich": "bars and tables",
    "matplotlib": "pictures",
    "dp-accounting": "differential privacy",
    "phe": "keys and vectors of phe",
    "flwr": "Flower",
    "nvflare": "NVIDIA FLARE",
    "ray": "sums in shards",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line and returns its exit code.

    Args:
        argv: arguments without the program's name; by default those of the process.

    Returns:
        0, or 1 when fedsecure or the operating system refused: one line on stderr says why.

    Raises:
        SystemExit: from argparse, with 0 for --help and --version, 2 for unusable arguments.
    """
    arguments = _parser().parse_args(argv)
    run: _Run = arguments.run
    try:
        run(arguments)
    except (FedSecureError, OSError) as error:
        print(f"fedsecure: {' '.join(str(error).split())}", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="fedsecure",
        description="Secure aggregation for federated learning: the server sees sums, never a "
        "single update.",
        epilog=CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"fedsecure {fedsecure.__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="command")
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--json", action="store_true", help="print figures as JSON, nothing else")
    # What adds a command's options, and what does it.
    doings: dict[str, tuple[_Add, _Run]] = {
        "demo": (_add_demo, _demo),
        "params": (_add_params, _params),
        "calibrate": (_add_calibrate, _calibrate),
        "keys": (partial(_cli_keys.add, common=common), _keys),
        "bench": (_add_bench, _bench),
        "info": (_add_nothing, _info),
    }
    for name, words in COMMANDS.items():
        add, run = doings[name]
        command = commands.add_parser(
            name,
            help=words.summary,
            description=words.teaches,
            epilog=f"example: {words.example}",
            parents=[] if name in {"keys", "bench"} else [common],
        )
        command.set_defaults(run=run)
        add(command)
    return parser


def _add_demo(demo: argparse.ArgumentParser) -> None:
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


def _demo(arguments: argparse.Namespace) -> None:
    found = run_demo(
        arguments.out,
        only=arguments.only,
        rounds=arguments.rounds,
        protocol=arguments.protocol,
        report=Report(sys.stderr) if arguments.json else None,
    )
    if arguments.json:
        _print_json({**found, "written_to": str(arguments.out)})


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
    corrupt = max(arguments.corrupt, 1 / clients)
    given = f'adversary="{arguments.adversary}", corrupt={arguments.corrupt}, dropout={dropout}'
    if (arguments.sigma, arguments.eta) != (_SIGMA, _ETA) and chosen.neighbors < clients - 1:
        # Sessions ask for the usual bits by themselves.
        given += f", neighbors={chosen.neighbors}, threshold={chosen.threshold}"
    call = f"PairwiseMasking({given})"
    if not arguments.json:
        print(explain(chosen, clients, corrupt, dropout, **wanted))
        print(f"in Python: {call}")
        return
    bounds = risks(chosen, clients, corrupt, dropout, adversary=arguments.adversary)
    asked = {"clients": clients, "corrupt": arguments.corrupt, "dropout": dropout, **wanted}
    found = {**chosen._asdict(), "failure_at_most": bounds._asdict(), "python": call}
    _print_json({"asked": asked, **found})


def _add_bench(parser: argparse.ArgumentParser) -> None:
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print a list of rows as JSON")
    form.add_argument("--markdown", action="store_true", help="print a table for a document")


def _bench(arguments: argparse.Namespace) -> None:
    with busy(lines=True) as doing:
        rows = benchmark.run(progress=lambda what: doing(f"measuring {what}"))
    if arguments.json:
        print(benchmark.as_json(rows))
    elif arguments.markdown:
        print(benchmark.as_markdown(rows, "fedsecure bench --markdown"))
    elif not sys.stdout.isatty() or importlib.util.find_spec("rich") is None:
        print(benchmark.as_table(rows))  # as wide as it is, where nothing says how wide it may be
    else:
        report = Report()
        report.table("Ours beside another one, in one run", *benchmark.cells(rows))
        report.lines("", *(f"{row.name}: {row.note}" for row in rows if row.note))
        report.lines("", benchmark.machine())


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
    with busy(lines=False) as doing:
        doing("calibrating")
        found = calibrate.run(calibrate.Plan(**wanted))
        if not arguments.json:
            calibrate.show(found, Report())
        doing("drawing")
        drawn = calibrate.draw(found, arguments.out)
    if arguments.json:
        _print_json({**found.figures(), "picture": str(arguments.out) if drawn else None})
    elif drawn:
        print(f"written: {arguments.out}")
    else:
        print(NO_PICTURE)


def _keys(arguments: argparse.Namespace) -> None:
    found = _cli_keys.run(arguments)
    if arguments.json:
        _print_json(found)
        return
    for name, value in found.items():
        print(f"{name.replace('_', ' '):<12}  {value}")


def _positive_int(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{value} is too few: give 1 or more")
    return value


def _add_nothing(parser: argparse.ArgumentParser) -> None:
    del parser


def _info(arguments: argparse.Namespace) -> None:
    available = fedsecure.available_kernels()
    extras = {name: _version(name) for name in _EXTRAS}
    if arguments.json:
        found: dict[str, Any] = {"version": fedsecure.__version__}
        found |= {"kernels": fedsecure.active_kernels(), "available_kernels": available}
        _print_json({**found, "threads": _threads(), "extras": extras})
        return
    print(f"fedsecure {fedsecure.__version__}")
    print(f"kernels   {fedsecure.active_kernels()} (available: {', '.join(available)})")
    print(f"threads   {_threads()}")
    Report().table(
        "What else is installed",
        ("package", "version", "for"),
        [(name, version or "-", _EXTRAS[name]) for name, version in extras.items()],
    )


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _threads() -> int:
    """Returns what FEDSECURE_THREADS says, or else how many cores this process may use."""
    chosen = masks.threads()
    if chosen:
        return chosen
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _print_json(found: Any) -> None:
    print(json.dumps(found, indent=1, allow_nan=False))
