"""Distributed DP-SGD: five hospitals learn together and hide every patient, until the budget ends.

Five are too few to hide one hospital among, but each has hundreds of patients. In every step each
hospital draws patients by chance, clips the gradient of each, adds the gradients up and its share
of the noise, and the secure sum shows the noisy total and nothing else. No hospital trusts another,
nor the server, and epsilon is that of DP-SGD in one place with all patients.

  python examples/distributed_dp_sgd.py     seconds; the patients are made up
"""

from __future__ import annotations

import secrets
from dataclasses import replace

import numpy as np

import fedsecure as fs
from fedsecure.errors import BudgetError
from fedsecure.privacy import PoissonSampling, RecordSkellam, Relation

HOSPITALS = (1500, 1100, 700, 400, 300)  # patients
FEATURES = 20
EPSILON, DELTA, STEPS = 4.0, 1e-5, 60  # delta is far below one over 4000 patients
RATE = 0.05  # of patients in a step, each on its own
CLIP, STEP_SIZE = 1.0, 1.0
RELATION = Relation.ADD_OR_REMOVE_ONE

# Who is drawn has to stay secret: amplification by sampling counts against those only who cannot
# tell who was in a sum. So the coins come from the operating system. numpy's generators are made
# for simulations: whoever knows a seed, or enough of their output, knows all the rest.
COINS = secrets.SystemRandom()

Patients = tuple[np.ndarray, np.ndarray]


def make_patients(count: int, random: np.random.Generator) -> Patients:
    """Returns made-up patients: features, and who is ill; all are drawn from one law."""
    x = random.normal(size=(count, FEATURES)) / np.sqrt(FEATURES)
    truth = np.linspace(-6.0, 6.0, FEATURES)
    return x, (random.random(count) < 0.5 + 0.5 * np.tanh(0.5 * (x @ truth))).astype(float)


def gradients(weights: np.ndarray, patients: Patients) -> np.ndarray:
    """Returns one gradient of the log-loss for each patient drawn in this step, perhaps none."""
    x, ill = patients
    drawn = [row for row in range(len(ill)) if COINS.random() < RATE]
    error = 0.5 + 0.5 * np.tanh(0.5 * (x[drawn] @ weights)) - ill[drawn]
    return error[:, np.newaxis] * x[drawn]


def accuracy(weights: np.ndarray, patients: Patients) -> float:
    """Returns the share of patients that are told right."""
    x, ill = patients
    return float(np.mean((x @ weights > 0) == (ill > 0)))


def learn(hospitals: list[Patients]) -> tuple[np.ndarray, fs.PrivacyAccountant]:
    """Returns the weights at the end of the budget, and what was spent."""
    # Every hospital answers in every step, or the step is begun anew; one of them may be curious,
    # and its own share of the noise hides nothing from itself.
    protocol = fs.PairwiseMasking(threshold=len(hospitals))
    most = max(len(ill) for _, ill in hospitals) * RATE
    mechanism = RecordSkellam(
        CLIP, noise_multiplier=1.0, max_records=round(most + 10 * most**0.5), corrupt=1
    )
    facts = {
        "clients": len(hospitals),
        "size": FEATURES,
        "noise_shares": protocol.noise_shares(len(hospitals), mechanism),
    }
    z = fs.calibrate_noise(
        EPSILON, DELTA, STEPS, RATE, mechanism=mechanism.costs(**facts), relation=RELATION
    )
    mechanism = replace(mechanism, noise_multiplier=z)
    event = mechanism.event(**facts, sampling=PoissonSampling(RATE), relation=RELATION)
    accountant = fs.PrivacyAccountant(RELATION, epsilon=EPSILON, delta=DELTA, unit="record")
    expected = RATE * sum(len(ill) for _, ill in hospitals)  # public; how many were drawn is not
    weights, step = np.zeros(FEATURES), 0
    print(f"noise multiplier {z:.3f}, {expected:g} patients expected in a step")
    while True:
        try:
            accountant.compose(event)  # before anybody draws: a spent budget stops the step
        except BudgetError as error:
            print(f"step {step + 1} did not begin: {error}")
            return weights, accountant
        updates = [{"weights": gradients(weights, patients)} for patients in hospitals]
        result = fs.secure_aggregate(updates, privacy=mechanism, protocol=protocol)
        total = result.mean["weights"] * len(result.contributors)
        weights, step = weights - STEP_SIZE * total / expected, step + 1
        if step % 20 == 0:
            print(f"step {step}: epsilon {accountant.get_epsilon(DELTA):.2f} spent")


def main() -> None:
    """Prints the steps, what stopped them, the model's accuracy and the report."""
    random = np.random.default_rng(7)
    hospitals = [make_patients(count, random) for count in HOSPITALS]
    others = make_patients(4000, random)
    weights, accountant = learn(hospitals)
    best = accuracy(np.linspace(-6.0, 6.0, FEATURES), others)
    print(f"accuracy of what was learnt until then: {accuracy(weights, others):.3f} on others")
    print(f"(of the law that made them up: {best:.3f})\n")
    print(accountant.report())
    print("Who took part in a step, only a patient's own hospital knows here, not the server.")


if __name__ == "__main__":
    main()
