"""What bounds decide about noise, integers of hundreds of bits decide alike."""

from __future__ import annotations

import math
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from core import exact_laws, native

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = native.needs_compiler

PARTS = ["density", "dispatch", "parallel", "prg", "sampler", "secret", "wide"]


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    here = Path(__file__).parent
    sources = [here / "sampler_check.cpp", *native.kernel_sources()]
    sources += [native.SOURCES / f"{part}.cpp" for part in PARTS]
    return native.link(tmp_path_factory.mktemp("sampler") / "sampler_check", sources)


@pytest.mark.parametrize(
    ("law", "blocks"),
    [
        (("gaussian", 1, 10, 1, 1), 20),
        (("gaussian", 1, 4, 1, 1), 20),
        (("gaussian", 10**10 + 7, 3, 1, 1), 200),
        (("gaussian", 2**61 + 1, 1, 1, 1), 100),
        (("laplace", 1, 1, 1, 1), 20),
        (("laplace", 1, 10**6, 1, 1), 100),
        (("poisson", 1, 8, 1, 1), 40),
        (("poisson", 21, 2, 1, 1), 20),
        (("poisson", 5001, 2, 1, 1), 4),
        (("poisson", 10**6, 7, 1, 1), 1),
        (("polya", 1, 2, 1, 1), 20),
        (("polya", 1, 10, 1, 10), 20),
        (("polya", 1, 3000, 1, 3), 1),
    ],
    ids=str,
)
def test_long_integers_decide_alike(program: Path, law: tuple[object, ...], blocks: int) -> None:
    assert native.run(program, *law, blocks).returncode == 0


ROUGH: dict[str, tuple[tuple[int, ...], exact_laws.ExactLaw]] = {
    "gaussian": ((21, 2, 1, 1), exact_laws.gaussian(Fraction(21, 2))),
    "laplace": ((1, 50, 1, 1), exact_laws.laplace(Fraction(1, 50))),
    "poisson": ((10_000, 3, 1, 1), exact_laws.poisson(Fraction(10_000, 3))),
    "polya": ((1, 50, 1, 3), exact_laws.polya(Fraction(1, 3), Fraction(1, 50))),
}


@pytest.mark.parametrize("slack", [3, 40, 300])
@pytest.mark.parametrize("kind", list(ROUGH))
def test_the_law_does_not_depend_on_the_table(program: Path, kind: str, slack: int) -> None:
    """Tails of large mass, and blocks that need more proposals than have words in one piece."""
    parameters, exact = ROUGH[kind]
    result = native.run(program, "rough", kind, *parameters, 2000, slack)
    assert result.returncode == 0
    numbers = np.array(result.stdout.split(), np.int64)
    reach = len(exact.pmf)
    counts, probabilities = exact_laws.histogram(numbers, reach), exact.array(reach)
    assert len(numbers) == 2000 * 128
    assert abs(exact_laws.chi_square(counts, probabilities)) < 5
    assert exact_laws.kolmogorov(counts, probabilities) < 2.7


def log_gaussian(x: int, s: Fraction, _: Fraction) -> float:
    return -(x**2) / (2 * float(s))


def log_laplace(x: int, s: Fraction, _: Fraction) -> float:
    return -abs(x) * float(s)


def log_poisson(x: int, s: Fraction, _: Fraction) -> float:
    low, high = sorted((x, math.floor(s)))
    logs = math.fsum(math.log(i / s) for i in range(low + 1, high + 1))
    return -abs(logs)


def log_polya(x: int, s: Fraction, r: Fraction) -> float:
    return -x * float(s) + math.fsum(math.log((r + i) / (1 + i)) for i in range(x))


@pytest.mark.parametrize(
    ("formula", "scale", "shape", "xs"),
    [
        (log_gaussian, "1/4", "1", [0, 1, -2, 7]),
        (log_gaussian, "10000000019/3", "1", [0, 1, -57735, 400_000, 1_400_000]),
        (log_laplace, "1/7", "1", [0, -1, 7, 100, -3000]),
        (log_poisson, "1/8", "1", [0, 1, 2, 9]),
        (log_poisson, "4000", "1", [3001, 3999, 4000, 4001, 4300, 5000]),
        (log_poisson, "12345679/10", "1", [1_230_000, 1_234_567, 1_234_568, 1_236_000, 1_240_000]),
        (log_poisson, "20000/3", "1", [5642, 5643, 6000, 7500, 7690]),
        (log_polya, "1/2", "1/3", [0, 1, 2, 50]),
        (log_polya, "1/300", "1/10", [1, 1000, 1024, 1025, 1026, 3000, 20_000]),
        (log_polya, "1/3000", "999/1000", [1, 1023, 1025, 5000]),
        (log_polya, "1/3000", "1/1000000", [1, 1023, 1025, 5000]),
    ],
)
def test_bounds_hold_and_are_narrow(
    program: Path, formula: Callable[..., float], scale: str, shape: str, xs: list[int]
) -> None:
    """Bounds and long integers against the definition, in another way."""
    s, r = Fraction(scale), Fraction(shape)
    kind = formula.__name__.removeprefix("log_")
    law = (kind, s.numerator, s.denominator, r.numerator, r.denominator)
    result = native.run(program, "density", *law, *xs)
    assert result.returncode == 0, result.stderr
    for x, line in zip(xs, result.stdout.splitlines(), strict=True):
        low, high, exact = map(float.fromhex, line.split())
        assert high - low <= 2**-34 * high
        assert low <= exact + 2**-55
        assert exact <= high
        wanted = math.exp(formula(x, s, r))
        assert exact == pytest.approx(wanted, rel=1e-9, abs=1e-16)
