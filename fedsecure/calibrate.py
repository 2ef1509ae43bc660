"""The command `fedsecure calibrate`: how much noise a target takes, and what that does to sums."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from fedsecure._picture import BLUE, GREY, ORANGE, finish, new_figure
from fedsecure.errors import LocalProtocolError
from fedsecure.privacy import (
    DistributedDiscreteGaussian,
    DistributedSkellam,
    FixedSizeSampling,
    NoSampling,
    PoissonSampling,
    PrivacyAccountant,
    Relation,
    calibrate_noise,
    silo_hint,
)
from fedsecure.privacy.calibration import Mechanism, make_event
from fedsecure.privacy.events import Sampling

if TYPE_CHECKING:
    from fedsecure._report import Report
    from fedsecure.privacy.report import PrivacyReport

__all__ = ["Found", "Plan", "draw", "run", "show"]

Noise = Literal["gaussian", "skellam", "ddgauss", "laplace"]
_SHOWN_ROUNDS = 10
_DRAWN_ROUNDS = 25


@dataclass(frozen=True)
class Plan:
    """What the command was asked for.

    Attributes:
        epsilon: Target, above 0; None where `noise_multiplier` is given instead.
        noise_multiplier: z, where epsilon is to be computed.
        delta: Target.
        rounds: How many.
        clients: How many take part in a round, on average under Poisson sampling.
        population: Out of how many they are drawn; None for all in every round.
        fixed_size: Whether exactly that many are drawn, instead of each on its own.
        mechanism: Which noise.
        dimension: Values per update, for distributed noise.
        bits: Width of the ring, for distributed noise; None takes what the mechanism takes.
        certain: How many honest clients' noise is certain, for distributed noise; None for all.
    """

    epsilon: float | None
    noise_multiplier: float | None
    delta: float
    rounds: int
    clients: int
    population: int | None = None
    fixed_size: bool = False
    mechanism: Noise = "gaussian"
    dimension: int = 1_000_000
    bits: int | None = None
    certain: int | None = None

    @property
    def sampling(self) -> Sampling:
        """How clients are chosen."""
        if self.population is None or self.population == self.clients:
            if self.fixed_size and self.population is None:
                raise LocalProtocolError("cohorts of fixed size are drawn from a --population")
            return NoSampling()
        if self.population < self.clients:
            raise LocalProtocolError(
                f"{self.clients} clients cannot be drawn from a population of {self.population}"
            )
        if self.fixed_size:
            return FixedSizeSampling(self.population, self.clients)
        return PoissonSampling(self.clients / self.population)

    @property
    def relation(self) -> Relation:
        """The neighboring relation that goes with the sampling."""
        fixed = isinstance(self.sampling, FixedSizeSampling)
        return Relation.REPLACE_ONE if fixed else Relation.REPLACE_SPECIAL

    @property
    def noise(self) -> Mechanism:
        """What makes the events."""
        if self.mechanism in {"gaussian", "laplace"}:
            return self.mechanism
        shares = self._distributed(1.0)
        return shares.costs(clients=self.clients, size=self.dimension, noise_shares=self.certain)

    def words(self, z: float) -> str:
        """Returns who adds the noise, and how."""
        if self.mechanism in {"gaussian", "laplace"}:
            return "a trusted server adds it to the exact sum"
        plan = self._distributed(z).plan(
            clients=self.clients, size=self.dimension, noise_shares=self.certain
        )
        return f"{plan.words}, in a ring of {plan.bits} bits"

    def _distributed(self, z: float) -> DistributedSkellam | DistributedDiscreteGaussian:
        skellam = self.mechanism == "skellam"
        kind = DistributedSkellam if skellam else DistributedDiscreteGaussian
        return kind(1.0, z, bits=self.bits)


@dataclass(frozen=True)
class Found:
    """The answer to a plan.

    Attributes:
        plan: What was asked for.
        noise_multiplier: z.
        rows: Rounds so far, what they have spent, and the noise per coordinate of the mean over the
            clip.
        report: What all rounds spend, with all that it rests on.
    """

    plan: Plan
    noise_multiplier: float
    rows: tuple[tuple[int, float, float], ...]
    report: PrivacyReport

    @property
    def hint(self) -> str:
        """Advice where this hides nobody, or nothing."""
        return silo_hint(self.plan.clients, self.report.epsilon)

    def figures(self) -> dict[str, Any]:
        """Returns all of it as what JSON can hold: None is an epsilon without bound."""
        return {
            "plan": asdict(self.plan),
            "noise_multiplier": self.noise_multiplier,
            "noise": self.plan.words(self.noise_multiplier),
            "epsilon": _finite(self.report.epsilon),
            "delta": self.report.delta,
            "by_round": [
                {"rounds": rounds, "epsilon": _finite(spent), "noise_per_coordinate": noise}
                for rounds, spent, noise in self.rows
            ],
            "report": str(self.report).split("\n"),
            "hint": self.hint,
        }


def run(plan: Plan) -> Found:
    """Returns the noise that a plan takes, and what its rounds spend.

    Raises:
        FedSecureError: The plan cannot be met; see `calibrate_noise`.
    """
    z = plan.noise_multiplier
    if z is None:
        if plan.epsilon is None:
            raise LocalProtocolError("give a target epsilon, or a noise multiplier")
        z = calibrate_noise(
            plan.epsilon,
            plan.delta,
            plan.rounds,
            plan.sampling,
            mechanism=plan.noise,
            relation=plan.relation,
        )
    report = _spend(plan, z, plan.rounds).report(plan.delta)
    rows = tuple(
        (
            rounds,
            _spend(plan, z, rounds).get_epsilon(plan.delta),
            _per_coordinate(plan, z, plan.clients),
        )
        for rounds in _some(plan.rounds, _SHOWN_ROUNDS)
    )
    return Found(plan, z, rows, report)


def show(found: Found, report: Report) -> None:
    """Prints the noise, a table of epsilon over rounds, and the report."""
    plan = found.plan
    chosen = f"noise multiplier {found.noise_multiplier:.6g} ({plan.mechanism})"
    report.say(f"{chosen}, {plan.clients} clients a round: {plan.words(found.noise_multiplier)}.")
    report.table(
        "What is spent, by round",
        ("rounds", "epsilon", "noise per coordinate\nof the mean / clip"),
        [(str(rounds), f"{spent:.4f}", f"{noise:.3g}") for rounds, spent, noise in found.rows],
    )
    report.lines("", *str(found.report).split("\n"))
    if found.hint:
        report.say(f"{found.hint}.")


def _finite(epsilon: float) -> float | None:
    return epsilon if math.isfinite(epsilon) else None


def _spend(plan: Plan, z: float, rounds: int) -> PrivacyAccountant:
    accountant = PrivacyAccountant(plan.relation)
    make = make_event(plan.noise)
    accountant.compose(make(z, plan.sampling, plan.relation), rounds)
    return accountant


def _per_coordinate(plan: Plan, z: float, clients: int) -> float:
    """Returns the standard deviation of one coordinate of the mean of a cohort, over the clip."""
    # Under replacing, a calibrated Gaussian multiplier counts in units of twice the clip.
    replaced = plan.relation is Relation.REPLACE_ONE and plan.mechanism in {"gaussian", "laplace"}
    spread = math.sqrt(2) if plan.mechanism == "laplace" else 1.0
    # With some shares counted on to be missing, there is more noise when they are all there.
    certain = plan.certain if plan.mechanism in {"skellam", "ddgauss"} else None
    excess = 1.0 if certain is None else math.sqrt(plan.clients / certain)
    return z * spread * (2 if replaced else 1) * excess / clients


def _some(rounds: int, most: int) -> list[int]:
    """Returns up to so many numbers of rounds from 1 to all, evenly on a log scale."""
    steps = [round(rounds ** (step / (most - 1))) for step in range(most)]
    return sorted(set(steps))


def draw(found: Found, out: Path) -> bool:
    """Draws epsilon over rounds, and the noise over epsilon; returns whether matplotlib is there.

    Args:
        found: What to draw.
        out: Where the PNG goes; its folder is made.

    Raises:
        OSError: The file cannot be written.
    """
    plan, z = found.plan, found.noise_multiplier
    figure = new_figure(f"{plan.mechanism} noise, multiplier {z:.4g}, {plan.sampling}")
    if figure is None:
        return False
    spent, noise = figure.subplots(1, 2)
    rounds = _some(plan.rounds, _DRAWN_ROUNDS)
    spent.plot(
        rounds,
        [_spend(plan, z, each).get_epsilon(plan.delta) for each in rounds],
        color=BLUE,
        label=f"delta = {plan.delta:.3g}",
    )
    if plan.epsilon is not None:
        spent.axhline(plan.epsilon, color=GREY, linestyle="--", linewidth=1, label="target")
    spent.legend(frameon=False)
    finish(spent, "Epsilon by round", "round", "epsilon")
    _draw_trade(plan, noise)
    out.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(out)
    return True


def _draw_trade(plan: Plan, panel: Any) -> None:
    """Draws the noise on the mean over epsilon, for cohorts of several sizes."""
    center = plan.epsilon if plan.epsilon is not None else 4.0
    targets = [center * factor for factor in (0.25, 0.5, 1, 2, 4)]
    # Without sampling, so that cohorts differ in nothing but their size; RDP, for a picture.
    named: Mechanism = "laplace" if plan.mechanism == "laplace" else "gaussian"
    noises = [
        calibrate_noise(epsilon, plan.delta, plan.rounds, mechanism=named, accountant="rdp")
        for epsilon in targets
    ]
    sizes = [plan.clients, 10 * plan.clients, 100 * plan.clients]
    whole = Plan(None, 1.0, plan.delta, plan.rounds, plan.clients, mechanism=plan.mechanism)
    for clients, color in zip(sizes, (ORANGE, BLUE, GREY), strict=True):
        points = [_per_coordinate(whole, z, clients) for z in noises]
        panel.loglog(targets, points, color=color, marker="o", label=f"{clients} clients")
    panel.set_xticks(targets, [f"{epsilon:g}" for epsilon in targets])
    panel.minorticks_off()
    panel.legend(frameon=False)
    finish(
        panel,
        "Noise on one coordinate of the mean, all take part",
        f"epsilon after {plan.rounds} rounds, log scale",
        "standard deviation / clip",
    )
