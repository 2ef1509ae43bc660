"""Ten regional film shops learn together what their customers will like.

MovieLens has 100,000 ratings of 1682 films. The users' postcodes are in the data, so the split is
by region: the first digit of the US ZIP code plays one of ten shops. A customer's own taste (mean
rating, and how each genre stands to it) is computed where the customer is and never leaves the
shop; what the shops share is how good a film is, one weight per film, and how to weigh taste. No
shop has enough ratings of most films, and together they have. The guess is whether a customer gives
four stars or more.

  python examples/retail_movielens.py    half a minute
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from _shared import (
    Options,
    Organisation,
    Rows,
    Source,
    Study,
    accuracy,
    auc,
    main_of,
    parser,
    split,
)

from fedsecure.demo.models import logistic

FOLDER = "recbole/dataset_example/ml-100k/ml-100k"
RATINGS, FILMS, USERS = (
    Source(
        package="recbole==1.2.1",
        licence="MIT",
        file=f"{FOLDER}.{ending}",
        origin="MovieLens 100K (Harper and Konstan, 2015), grouplens.org/datasets/movielens",
        terms="for research, no redistribution, no commercial use without permission of GroupLens",
    )
    for ending in ("inter", "item", "user")
)
Array = npt.NDArray[Any]


def _table(source: Source) -> Iterable[list[str]]:
    lines = source.path().read_text(encoding="utf-8").splitlines()
    return (line.split("\t") for line in lines[1:])


def shops() -> tuple[list[Organisation], int]:
    """Returns the shops, and the number of films that they all sell."""
    genres = {film: set(names.split()) for film, _, _, names in _table(FILMS)}
    every = sorted(set.union(*genres.values()))
    table = np.array([[genre in genres[film] for genre in every] for film in genres], float)
    number = {film: place for place, film in enumerate(genres)}
    region = {user: zip_code[:1] for user, _, _, _, zip_code in _table(USERS)}
    ratings = [row for row in _table(RATINGS) if region[row[0]].isdecimal()]  # in the US
    # User, film and stars travel as columns until each shop has made its features of them.
    rows = np.array([(int(user), number[film], float(stars)) for user, film, stars, _ in ratings])
    liked = (rows[:, 2] >= 4).astype(float)
    made = split([f"ZIP {region[row[0]]}..." for row in ratings], rows, liked, test_share=0.3)
    return [_with_taste(shop, table) for shop in made], len(genres)


def _with_taste(shop: Organisation, genres: Array) -> Organisation:
    """Replaces user and stars by the user's taste, which the training rows alone tell."""
    train = shop.train.features
    taste: dict[float, tuple[float, Array]] = {}
    overall = float(train[:, 2].mean())
    for user in np.unique(np.concatenate([train[:, 0], shop.test.features[:, 0]])):
        own = train[train[:, 0] == user]
        # Five and ten imagined average ratings: what little is known counts for little.
        mean = (own[:, 2].sum() + 5 * overall) / (len(own) + 5)
        which = genres[own[:, 1].astype(int)]
        taste[user] = mean, (own[:, 2] - mean) @ which / (which.sum(axis=0) + 10)

    def made(rows: Rows) -> Rows:
        films = rows.features[:, 1].astype(int)
        means = np.array([taste[user][0] for user in rows.features[:, 0]]) - 3.5
        fits = np.array([taste[user][1] for user in rows.features[:, 0]])
        fit = (fits * genres[films]).sum(axis=1) / np.maximum(genres[films].sum(axis=1), 1)
        return Rows(np.column_stack([films, means, fit]), rows.target)

    return Organisation(shop.name, made(shop.train), made(shop.test))


@dataclass(frozen=True)
class Taste:
    """Logistic regression: a weight per film, and two for the customer's taste."""

    films: int
    steps: int = 10
    rate: float = 1.0

    def initial(self, features: int) -> dict[str, Array]:
        """Returns even odds for every film."""
        return {"film": np.zeros(self.films), "taste": np.zeros(features)}

    def train(self, params: dict[str, Array], rows: Rows) -> dict[str, Array]:
        """Returns the model after some gradient steps."""
        film, taste = params["film"], params["taste"]
        which, features = rows.features[:, 0].astype(int), _features(rows.features)
        for _ in range(self.steps):
            error = (logistic(film[which] + features @ taste) - rows.target) / len(rows)
            # A film is one in hundreds of rows: its weight takes so much larger steps.
            film = film - 300 * self.rate * np.bincount(which, error, minlength=self.films)
            taste = taste - self.rate * (error @ features)
        return {"film": film, "taste": taste}

    def scores(self, params: dict[str, Array], features: Array) -> Array:
        """Returns the log-odds of four stars or more."""
        return params["film"][features[:, 0].astype(int)] + _features(features) @ params["taste"]


def _features(columns: Array) -> Array:
    """Returns a one for the bias and the two numbers of taste, in the film's place."""
    return np.column_stack([np.ones(len(columns)), columns[:, 1:]])


def run(options: Options) -> None:
    """Learns four ways, prints the tables and draws them."""
    made, films = shops()
    title = f"{len(made)} film shops, one guess of what will be liked"
    study = Study("retail_movielens", title, [RATINGS], made)
    study.introduce()
    study.learn(options, Taste(films), {"AUC": auc, "accuracy": accuracy})


if __name__ == "__main__":
    main_of(run, parser(__doc__, rounds=20, quick_rounds=2))
