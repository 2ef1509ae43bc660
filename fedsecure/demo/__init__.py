"""The demonstrations behind `fedsecure demo`: a line through shared points, and a credit score."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from fedsecure._report import Report
from fedsecure.demo import credit, linear

__all__ = ["Report", "run_demo"]


def run_demo(
    out: Path,
    *,
    only: Literal["linear", "credit"] | None = None,
    rounds: int | None = None,
    protocol: credit.ProtocolName = "masking",
    report: Report | None = None,
) -> dict[str, dict[str, Any]]:
    """Runs both demos, or the one named, prints them, and writes their curves to `out`.

    Args:
        out: folder for the CSV and PNG files; made if it is not there.
        only: one demo instead of both.
        rounds: rounds of federated averaging, > 0; by default what each demo needs.
        protocol: how the banks' updates are summed.
        report: where to print; by default to standard output.

    Returns:
        The figures at the end of each demo that ran, by its name; what JSON can hold.

    Raises:
        DemoError: the data set is missing, or secure and plain means of a round disagree.
    """
    out.mkdir(parents=True, exist_ok=True)
    report = Report() if report is None else report
    found = {}
    if only in (None, "linear"):
        line = linear.run_linear(report, out, rounds=rounds or linear.ROUNDS)
        found["linear"] = line.summary()
    if only in (None, "credit"):
        score = credit.run_credit(report, out, rounds=rounds or credit.ROUNDS, protocol=protocol)
        found["credit"] = {"protocol": protocol, **score.summary()}
    return found
