"""A study: organisations, what they set out to learn together, and what came of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import fedsecure as fs
from fedsecure._report import Report
from fedsecure.demo.compare import SideBySide

from .experiment import compare
from .models import Measure, Model
from .options import Options, protocol
from .packages import Source
from .rows import Organisation
from .show import present

__all__ = ["Study"]


@dataclass(frozen=True)
class Study:
    """Who learns what, from whose data.

    Attributes:
        name: of the CSV and PNG files.
        title: what is learnt, in a line.
        sources: where the data come from.
        organisations: at least 3.
        report: where all of it is printed.
    """

    name: str
    title: str
    sources: Sequence[Source]
    organisations: Sequence[Organisation]
    report: Report = field(default_factory=Report)

    def introduce(self) -> None:
        """Prints what will be learnt, from whose data, and how many organisations there are."""
        self.report.heading(self.title)
        for source in self.sources:
            self.report.lines(*source.lines())
        sizes = [len(o.train) for o in self.organisations]
        tested = sum(len(o.test) for o in self.organisations)
        features = self.organisations[0].train.features.shape[1]
        self.report.say(
            f"{len(sizes)} organisations with {min(sizes)} to {max(sizes)} rows to learn from, "
            f"{sum(sizes)} in all; {tested} test rows; {features} features."
        )

    def learn(
        self,
        options: Options,
        model: Model,
        measures: Mapping[str, Measure],
        aggregate: SideBySide | None = None,
    ) -> None:
        """Learns four ways, prints the tables, and writes the CSV file and the picture.

        Args:
            options: how many rounds, how the sum is protected, and where files go.
            model: what all train.
            measures: how models are judged, the most important first.
            aggregate: sums in another way than `options` say.

        Raises:
            DemoError: secure and plain mean of one round are more than a quantisation step apart.
        """
        if aggregate is None:
            protection = protocol(options.protocol, len(self.organisations))
            aggregate = SideBySide(fs.FixedPoint(), protection)
        outcome = compare(
            self.organisations, model, measures, rounds=options.rounds, aggregate=aggregate
        )
        present(self.report, outcome, options.out, self.name, self.title)
