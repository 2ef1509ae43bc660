"""Noise has exactly the law it names, number by number from the seed."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from core import exact_laws, reference
from fedsecure import _core

if TYPE_CHECKING:
    from collections.abc import Callable

SEED = reference.random_seed(12, 2)
COUNT = 4_000_000
# Fixed seeds, so that a right sampler passes always or never; chances are below 10^-6 a test.
DEVIATE = 5.0
KOLMOGOROV = 2.7


def pair(x: Fraction | float) -> tuple[int, int]:
    return Fraction(x).as_integer_ratio()


def draw(
    sample: Callable[..., None], *parameters: Fraction | float, count: int = COUNT, number: int = 12
) -> np.ndarray:
    out = np.empty(count, np.int64)
    seed = reference.random_seed(number, 2)
    sample(*map(pair, parameters), seed, 0, out)
    return out


LAWS: dict[str, tuple[Callable[..., None], tuple[Fraction, ...], exact_laws.ExactLaw]] = {}


def _add(sample: Callable[..., None], law: Callable[..., Any], *parameters: str) -> None:
    exact = tuple(Fraction(p) for p in parameters)
    name = f"{law.__name__} {' '.join(parameters)}"
    LAWS[name] = (sample, exact, law(*exact))


for _s in ("1/10", "1/4", "1", "21/2", "4", "10000"):
    _add(_core.sample_discrete_gaussian, exact_laws.gaussian, _s)
for _s in ("1/4", "1", "21/2", "333/7", "10000"):
    _add(_core.sample_skellam, exact_laws.skellam, _s)
for _s in ("1/10", "1/2", "1", "2"):
    _add(_core.sample_discrete_laplace, exact_laws.laplace, _s)
for _s in (("1", "1/2"), ("1/10", "1/10"), ("1/1000", "1"), ("1/3", "1/50")):
    _add(_core.sample_polya_difference, exact_laws.polya_difference, *_s)


@pytest.fixture(scope="module", params=list(LAWS))
def drawn(request: pytest.FixtureRequest) -> tuple[np.ndarray, exact_laws.ExactLaw]:
    sample, parameters, law = LAWS[request.param]
    return draw(sample, *parameters), law


def test_every_count_is_as_the_law_says(drawn: tuple[np.ndarray, exact_laws.ExactLaw]) -> None:
    numbers, law = drawn
    reach = len(law.pmf)
    counts, probabilities = exact_laws.histogram(numbers, reach), law.array(reach)
    assert abs(exact_laws.chi_square(counts, probabilities)) < DEVIATE
    assert exact_laws.kolmogorov(counts, probabilities) < KOLMOGOROV


def test_moments(drawn: tuple[np.ndarray, exact_laws.ExactLaw]) -> None:
    numbers, law = drawn
    variance = law.variance
    fourth = 2 * sum(k**4 * float(p) for k, p in enumerate(law.pmf))
    assert abs(numbers.mean()) < DEVIATE * math.sqrt(variance / COUNT)
    error = math.sqrt((fourth - variance**2) / COUNT)
    assert abs((numbers.astype(float) ** 2).mean() - variance) < DEVIATE * error


def test_tails(drawn: tuple[np.ndarray, exact_laws.ExactLaw]) -> None:
    """Counts beyond 1, 2, ..., 6 standard deviations: Poisson, where they are few."""
    numbers, law = drawn
    for sigmas in range(1, 7):
        beyond = max(1, math.ceil(sigmas * math.sqrt(law.variance)))
        probability = law.tail(beyond)
        for side in (numbers >= beyond, numbers <= -beyond):
            mean = COUNT * probability / 2
            assert abs(side.sum() - mean) < DEVIATE * math.sqrt(mean) + 4


@pytest.mark.parametrize(
    ("sigma_squared", "total", "variance"),
    [
        ("1/10", 1.013475898120, 0.013296725174),
        ("1/4", 1.271341522189, 0.215012675088),
        ("1", 2.506628288043, 0.999999788768),
        ("4", 5.013256549262, 4.0),
    ],
)
def test_the_reference_has_published_constants(
    sigma_squared: str, total: float, variance: float
) -> None:
    """Normalizing constant and variance, as the authors' discretegauss.py has them."""
    law = exact_laws.gaussian(Fraction(sigma_squared))
    assert 1 / law(0) == pytest.approx(total, rel=1e-11)
    assert law.variance == pytest.approx(variance, rel=1e-11)


@pytest.mark.parametrize(
    ("rate", "zero", "variance"),
    [
        ("1/10", 0.049958374958, 199.833416633609),
        ("1/2", 0.244918662404, 7.835396178066),
        ("1", 0.462117157260, 1.841347188416),
        ("2", 0.761594155956, 0.362030830483),
    ],
)
def test_the_reference_knows_the_geometric_law(rate: str, zero: float, variance: float) -> None:
    law = exact_laws.laplace(Fraction(rate))
    assert law(0) == pytest.approx(zero, rel=1e-11)
    assert law.variance == pytest.approx(variance, rel=1e-11)


def test_neighbors_and_blocks_are_independent(
    drawn: tuple[np.ndarray, exact_laws.ExactLaw],
) -> None:
    numbers = drawn[0].astype(float)
    for lag in (1, 2, 64, 127, 128, 129, 256, 8192):
        products = numbers[lag:] * numbers[:-lag]
        assert abs(products.mean()) < DEVIATE * products.std() / math.sqrt(len(products)) + 1e-12


def test_shares_of_skellam_noise_sum_to_the_central_law() -> None:
    total = sum(draw(_core.sample_skellam, Fraction(9, 7), number=n) for n in range(7))
    law = exact_laws.skellam(Fraction(9))
    counts = exact_laws.histogram(total, 60)
    assert abs(exact_laws.chi_square(counts, law.array(60))) < DEVIATE


def test_polya_shares_sum_to_the_discrete_laplace_law() -> None:
    shape, rate = Fraction(1, 5), Fraction(1, 3)
    total = sum(draw(_core.sample_polya_difference, shape, rate, number=n) for n in range(5))
    counts = exact_laws.histogram(total, 100)
    assert abs(exact_laws.chi_square(counts, exact_laws.laplace(rate).array(100))) < DEVIATE


@pytest.mark.parametrize("sigma", [1e5, 1e7, 2e9])
def test_wide_laws_look_normal(sigma: float) -> None:
    """Where no table holds the law: its distribution function is the normal one to 1 / sigma."""
    samplers = [_core.sample_discrete_gaussian, _core.sample_skellam][: 2 if sigma < 1e6 else 1]
    for sample in samplers:
        numbers = np.sort(draw(sample, int(sigma) ** 2, count=1_000_000))
        ranks = np.linspace(0, len(numbers) - 1, 2001).astype(int)
        normal = [0.5 * math.erfc(-x / (sigma * math.sqrt(2))) for x in numbers[ranks]]
        assert np.abs(ranks / len(numbers) - normal).max() * 1000 < KOLMOGOROV
        assert np.var(numbers.astype(float)) == pytest.approx(sigma**2, rel=0.01)


ONE_OF_EACH: list[tuple[Callable[..., None], tuple[Fraction, ...]]] = [
    (_core.sample_discrete_gaussian, (Fraction(1, 4),)),
    (_core.sample_discrete_gaussian, (Fraction(815321, 1000),)),
    (_core.sample_discrete_gaussian, (Fraction(10**18),)),
    (_core.sample_skellam, (Fraction(3),)),
    (_core.sample_skellam, (Fraction(10**10),)),
    (_core.sample_discrete_laplace, (Fraction(1, 100),)),
    (_core.sample_polya_difference, (Fraction(1, 10), Fraction(1, 1000))),
]
each = pytest.mark.parametrize(("sample", "parameters"), ONE_OF_EACH)


@each
@pytest.mark.parametrize("threads", [0, 2, 3, 7])
def test_threads_change_nothing(
    sample: Callable[..., None], parameters: tuple[Fraction, ...], threads: int
) -> None:
    one, many = np.zeros(70_001, np.int64), np.zeros(70_001, np.int64)
    sample(*map(pair, parameters), SEED, 77, one, threads=1)
    sample(*map(pair, parameters), SEED, 77, many, threads=threads)
    np.testing.assert_array_equal(one, many)


@each
@pytest.mark.usefixtures("kernels")
def test_pieces_and_kernels_change_nothing(
    sample: Callable[..., None], parameters: tuple[Fraction, ...]
) -> None:
    whole = draw(sample, *parameters, count=5000)
    borders = [0, 1, 127, 128, 129, 384, 1000, 4999, 5000]
    for first, end in itertools.pairwise(borders):
        piece = np.zeros(end - first, np.int64)
        sample(*map(pair, parameters), SEED, first, piece)
        np.testing.assert_array_equal(piece, whole[first:end])


@each
@pytest.mark.parametrize("lane", reference.LANES)
def test_ring_arrays_are_added_to(
    sample: Callable[..., None], parameters: tuple[Fraction, ...], lane: type[np.unsignedinteger]
) -> None:
    acc = np.arange(3000, dtype=lane) * lane(50_021)
    wanted = acc + draw(sample, *parameters, count=3000).astype(lane)
    sample(*map(pair, parameters), SEED, 0, acc)
    np.testing.assert_array_equal(acc, wanted)


@each
def test_equal_fractions_are_one_law(
    sample: Callable[..., None], parameters: tuple[Fraction, ...]
) -> None:
    out = np.zeros(1000, np.int64)
    sample(*[(6 * p.numerator, 6 * p.denominator) for p in parameters], SEED, 0, out)
    np.testing.assert_array_equal(out, draw(sample, *parameters, count=1000))


def test_extreme_parameters() -> None:
    assert not draw(_core.sample_discrete_gaussian, Fraction(1, 2**40), count=1000).any()
    assert not draw(_core.sample_discrete_laplace, 2**40, count=1000).any()
    assert not draw(_core.sample_polya_difference, Fraction(1, 2**40), 2**40, count=1000).any()
    wide = draw(_core.sample_discrete_laplace, Fraction(1, 2**40), count=100_000)
    assert np.abs(wide.astype(float)).mean() == pytest.approx(2.0**40, rel=0.02)
    end = np.zeros(3, np.int64)
    _core.sample_skellam((5, 1), SEED, 2**44 - 3, end)
    assert end.any()


def test_generators_and_seeds_differ() -> None:
    rows = []
    for prg, number in ((1, 1), (2, 1), (3, 1), (2, 2)):
        out = np.zeros(200, np.int64)
        _core.sample_skellam((100, 1), reference.random_seed(number, prg), 0, out, prg=prg)
        rows.append(out.tobytes())
    assert len(set(rows)) == 4


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda o: _core.sample_discrete_gaussian((0, 1), SEED, 0, o), "the variance must be a"),
        (lambda o: _core.sample_discrete_gaussian((1, 0), SEED, 0, o), "the variance must be a"),
        (lambda o: _core.sample_discrete_gaussian((1, 2**41), SEED, 0, o), "must lie in"),
        (lambda o: _core.sample_discrete_gaussian((2**62, 1), SEED, 0, o), "integers in"),
        (lambda o: _core.sample_skellam((2**42, 1), SEED, 0, o), "the mean must lie"),
        (lambda o: _core.sample_skellam((1, 2**62), SEED, 0, o), "the mean must be"),
        (lambda o: _core.sample_discrete_laplace((2**41, 1), SEED, 0, o), "the rate must lie"),
        (lambda o: _core.sample_polya_difference((2, 1), (1, 1), SEED, 0, o), "the shape must"),
        (lambda o: _core.sample_polya_difference((1, 1), (1, 2**25), SEED, 0, o), "the rate must"),
        (lambda o: _core.sample_skellam((1, 1), SEED[:-1], 0, o), "40 bytes"),
        (lambda o: _core.sample_skellam((1, 1), SEED, 2**44, o), "2\\*\\*44"),
        (lambda o: _core.sample_skellam((1, 1), SEED, -1, o), "first must lie"),
        (lambda o: _core.sample_skellam((-1, 1), SEED, 0, o), "must lie in"),
    ],
)
def test_refusals(call: Callable[[np.ndarray], None], message: str) -> None:
    out = np.full(4, 7, np.int64)
    with pytest.raises(ValueError, match=message):
        call(out)
    assert (out == 7).all()


@pytest.mark.parametrize("pair_", [5, (1, 2, 3), [1, 2]])
def test_what_is_no_pair(pair_: Any) -> None:
    with pytest.raises(TypeError, match="pair"):
        _core.sample_skellam(pair_, SEED, 0, np.zeros(4, np.int64))
