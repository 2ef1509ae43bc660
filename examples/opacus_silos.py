"""DP-SGD inside each silo with Opacus, and secure aggregation on top.

Each of four silos hides its own records from everybody, by itself: it trains with noise of its own
(Abadi et al., CCS 2016), as Opacus adds it, and keeps its own budget. The secure sum then hides
which silo learned what. Nobody is trusted with noise, and silos may take several steps in a round;
in return every silo's noise is as large as if it were alone, which sharing the noise saves
(examples/distributed_dp_sgd.py).

  pip install torch opacus 'fedsecure[privacy]'
  python examples/opacus_silos.py     half a minute; the records are made up

exit codes: 0; 3 when torch or opacus is not installed
"""

from __future__ import annotations

import sys
import warnings
from dataclasses import dataclass
from typing import Any

import fedsecure as fs
from fedsecure.privacy import GaussianEvent, PoissonSampling, Relation

try:
    import opacus
    import torch
    from torch.utils.data import DataLoader, TensorDataset
except ImportError as error:
    print(f"error: {error}: pip install torch opacus", file=sys.stderr)
    sys.exit(3)

SILOS = (2000, 1500, 1000, 800)  # records; public here, as weights that are sent have to be
FEATURES = 20
EPSILON, DELTA = 4.0, 1e-5
ROUNDS, STEPS = 10, 10  # steps of each silo in a round
RATE = 0.05  # of its records in a step, each on its own
CLIP, STEP_SIZE = 1.0, 2.0
RELATION = Relation.ADD_OR_REMOVE_ONE


@dataclass
class Silo:
    """One silo: its model, and what Opacus made of its optimizer and its records."""

    engine: Any
    model: Any
    optimizer: Any
    loader: Any
    records: int

    def train(self, weights: dict[str, Any]) -> dict[str, Any]:
        """Returns how far the silo's model moves away from the common one in one round."""
        self.model.load_state_dict(weights)
        batches = iter(self.loader)
        for _ in range(STEPS):
            x, y = next(batches)  # Poisson sampling: perhaps none, which is noise alone
            self.optimizer.zero_grad()
            torch.nn.functional.cross_entropy(self.model(x), y, reduction="mean").backward()
            self.optimizer.step()
        return {name: value - weights[name] for name, value in self.model.state_dict().items()}


def make_records(count: int, random: torch.Generator) -> TensorDataset:
    """Returns made-up records of two classes."""
    x = torch.randn(count, FEATURES, generator=random) / FEATURES**0.5
    odds = x @ torch.linspace(-6.0, 6.0, FEATURES)
    return TensorDataset(x, (torch.rand(count, generator=random) < torch.sigmoid(odds)).long())


def make_silo(records: TensorDataset, z: float) -> Silo:
    """Returns a silo whose optimizer clips each record's gradient, and adds noise of z clips."""
    model = torch.nn.Linear(FEATURES, 2)
    engine = opacus.PrivacyEngine(accountant="rdp")
    private, optimizer, loader = engine.make_private(
        module=model,
        optimizer=torch.optim.SGD(model.parameters(), lr=STEP_SIZE),
        data_loader=DataLoader(records, batch_size=round(RATE * len(records))),
        noise_multiplier=z,
        max_grad_norm=CLIP,
    )
    return Silo(engine, private, optimizer, loader, len(records))


def main() -> None:
    """Prints the rounds, the accuracy, and epsilon by two accountants."""
    warnings.filterwarnings("ignore", message="Full backward hook is firing")
    print(f"opacus {opacus.__version__}, torch {torch.__version__}, fedsecure {fs.__version__}")
    # By RDP, which is what Opacus's accountant is asked for below: the two must agree.
    z = fs.calibrate_noise(
        EPSILON, DELTA, ROUNDS * STEPS, RATE, relation=RELATION, accountant="rdp"
    )
    random = torch.Generator().manual_seed(7)  # of the made-up records alone, never of the noise
    silos = [make_silo(make_records(count, random), z) for count in SILOS]
    x, y = make_records(4000, random).tensors
    weights = {name: value.clone() for name, value in silos[0].model.state_dict().items()}
    accountant = fs.PrivacyAccountant(
        RELATION, epsilon=EPSILON, delta=DELTA, accountant="rdp", unit="record"
    )
    event = GaussianEvent(z, sampling=PoissonSampling(RATE), relation=RELATION)
    print(f"noise multiplier {z:.3f} in each of {len(silos)} silos")
    for number in range(1, ROUNDS + 1):
        accountant.compose(event, STEPS)  # what one record costs, whichever silo it is in
        updates = [silo.train(weights) for silo in silos]
        result = fs.secure_aggregate(updates, weights=[silo.records for silo in silos])
        weights = {name: value + result.mean[name] for name, value in weights.items()}
        silos[0].model.load_state_dict(weights)
        with torch.no_grad():
            right = (silos[0].model(x).argmax(dim=1) == y).float().mean().item()
        print(f"round {number}: accuracy {right:.3f}, epsilon {accountant.get_epsilon(DELTA):.2f}")
    spent = [silo.engine.get_epsilon(DELTA) for silo in silos]
    print(f"epsilon by Opacus's own accountant (RDP), in each silo: {max(spent):.2f}\n")
    print(accountant.report())


if __name__ == "__main__":
    main()
