"""Differential privacy: what noisy releases cost, and how much noise meets a target.

>>> from fedsecure.privacy import GaussianEvent, PoissonSampling, PrivacyAccountant, Relation
>>> relation = Relation.ADD_OR_REMOVE_ONE
>>> accountant = PrivacyAccountant(relation, epsilon=2.0, delta=1e-5)
>>> accountant.compose(GaussianEvent(1.0, sampling=PoissonSampling(0.01), relation=relation), 1000)
>>> round(accountant.get_epsilon(1e-5), 3)
1.828

Accounting needs the extra ``privacy`` (``pip install 'fedsecure[privacy]'``); importing this module
does not.
"""

from fedsecure.privacy.accounting import PrivacyAccountant
from fedsecure.privacy.calibration import calibrate_noise, gaussian_epsilon, gaussian_sigma
from fedsecure.privacy.central import CentralGaussian
from fedsecure.privacy.choice import ExponentialMechanism
from fedsecure.privacy.clipping import AdaptiveClip, indicator_sigma, update_noise_multiplier
from fedsecure.privacy.concentrated import zcdp_epsilon, zcdp_rho
from fedsecure.privacy.configs import from_config, to_config
from fedsecure.privacy.counts import Geometric, Laplace
from fedsecure.privacy.distributed import DistributedDiscreteGaussian, DistributedSkellam
from fedsecure.privacy.events import (
    DDGaussEvent,
    DiscreteLaplaceEvent,
    Event,
    ExponentialEvent,
    FixedSizeSampling,
    GaussianEvent,
    LaplaceEvent,
    NoSampling,
    PoissonSampling,
    PolyaEvent,
    Relation,
    SkellamEvent,
)
from fedsecure.privacy.mechanisms import VectorMechanism
from fedsecure.privacy.plans import NoisyDecoded, Plan
from fedsecure.privacy.records import RecordSkellam
from fedsecure.privacy.release import Release
from fedsecure.privacy.report import PrivacyReport, no_privacy, silo_hint
from fedsecure.privacy.scaling import (
    DistributedEncoding,
    heuristic_scale,
    least_bits,
    rounded_l1_bound,
    rounded_l2_bound,
)
from fedsecure.privacy.shares import excess_variance, guaranteed_variance, share_variance

__all__ = [
    "AdaptiveClip",
    "CentralGaussian",
    "DDGaussEvent",
    "DiscreteLaplaceEvent",
    "DistributedDiscreteGaussian",
    "DistributedEncoding",
    "DistributedSkellam",
    "Event",
    "ExponentialEvent",
    "ExponentialMechanism",
    "FixedSizeSampling",
    "GaussianEvent",
    "Geometric",
    "Laplace",
    "LaplaceEvent",
    "NoSampling",
    "NoisyDecoded",
    "Plan",
    "PoissonSampling",
    "PolyaEvent",
    "PrivacyAccountant",
    "PrivacyReport",
    "RecordSkellam",
    "Relation",
    "Release",
    "SkellamEvent",
    "VectorMechanism",
    "calibrate_noise",
    "excess_variance",
    "from_config",
    "gaussian_epsilon",
    "gaussian_sigma",
    "guaranteed_variance",
    "heuristic_scale",
    "indicator_sigma",
    "least_bits",
    "no_privacy",
    "rounded_l1_bound",
    "rounded_l2_bound",
    "share_variance",
    "silo_hint",
    "to_config",
    "update_noise_multiplier",
    "zcdp_epsilon",
    "zcdp_rho",
]
