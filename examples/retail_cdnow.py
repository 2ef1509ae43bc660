"""Shops learn together which customers will come back; here they gain nothing, which is a result.

CDNOW sold music on the web; the data are all purchases, until June 1998, of the 23,570 customers
who first bought in the first quarter of 1997. What they did until September 1997 is to tell who
buys again in the nine months after. CDNOW was one shop, so the split is MADE: each week in which a
customer first bought plays one of 12 shops, as if branches had opened one after another. The
features are what shops call recency, frequency and money: seven numbers, which a thousand customers
are enough to weigh. (--shops day makes 84 small shops, which gain a little.)

  python examples/retail_cdnow.py                seconds
  python examples/retail_cdnow.py --shops day    two minutes
"""

from __future__ import annotations

import datetime as dt
from collections import defaultdict

import numpy as np
from _shared import (
    Logistic,
    Options,
    Organisation,
    Source,
    Study,
    accuracy,
    auc,
    main_of,
    parser,
    split,
    standardise,
)

SOURCE = Source(
    package="lifetimes==0.11.3",
    licence="MIT",
    file="lifetimes/datasets/CDNOW_master.txt",
    origin="CDNOW purchases (Fader and Hardie, 2001), brucehardie.com/datasets",
    terms="published by its collectors for research and teaching, without a formal licence",
)
START, UNTIL = dt.date(1997, 1, 1), dt.date(1997, 10, 1)
Purchase = tuple[int, int, float]  # days since START, CDs, dollars


def shops(days_each: int) -> list[Organisation]:
    """Returns the shops, each with customers to learn from and customers to be tested on."""
    purchases: dict[str, list[Purchase]] = defaultdict(list)
    for line in SOURCE.path().read_text(encoding="ascii").splitlines()[1:]:
        customer, date, discs, dollars = line.split()
        day = (dt.date.fromisoformat(date) - START).days
        purchases[customer].append((day, int(discs), float(dollars)))
    until = (UNTIL - START).days
    features = np.array([_features(bought, until) for bought in purchases.values()])
    again = np.array([float(bought[-1][0] >= until) for bought in purchases.values()])
    owners = [f"{bought[0][0] // days_each + 1}" for bought in purchases.values()]
    unit = "day" if days_each == 1 else "week"
    organisations = split([f"{unit} {o}" for o in owners], features, again, test_share=0.3)
    return standardise(organisations, features.shape[1])


def _features(bought: list[Purchase], until: int) -> list[float]:
    known = [purchase for purchase in bought if purchase[0] < until]
    first, last = known[0][0], known[-1][0]
    return [
        np.log(len({day for day, _, _ in known})),  # on how many days
        float(first != last),
        (until - last) / 100.0,  # days since the last purchase
        (last - first) / 100.0,  # days between the first and the last
        np.log1p(sum(dollars for _, _, dollars in known)),
        np.log1p(known[0][2]),  # dollars of the first day
        np.log1p(sum(discs for _, discs, _ in known)),
    ]


def run(options: Options) -> None:
    """Learns four ways, prints the tables and draws them."""
    made = shops(1 if options.extra.shops == "day" else 7)
    title = f"{len(made)} shops, one guess of who comes back"
    study = Study("retail_cdnow", title, [SOURCE], made)
    study.introduce()
    study.learn(options, Logistic(steps=20, rate=1.0), {"AUC": auc, "accuracy": accuracy})


if __name__ == "__main__":
    arguments = parser(__doc__, rounds=15, quick_rounds=2)
    arguments.add_argument(
        "--shops",
        choices=("day", "week"),
        default="week",
        help="what plays a shop: a week (12) or a day (84) of first purchases",
    )
    main_of(run, arguments)
