"""What the examples share: reading data out of installed packages, comparing, drawing.

An example says where its data come from, who the organisations are and what they learn; the rest
is here. `fedsecure` itself is used as anybody would use it: `federated_averaging` over
`secure_aggregate`.
"""

from fedsecure.demo.report import Report

from .experiment import Outcome, compare
from .frames import read_frame
from .models import Logistic, Network, accuracy, auc, log_loss
from .options import WAYS, Options, main_of, parser, protocol
from .packages import MissingDataError, Source
from .rows import Organisation, Rows, one_hot, pooled, split, standardise
from .show import introduce, present

__all__ = [
    "WAYS",
    "Logistic",
    "MissingDataError",
    "Network",
    "Options",
    "Organisation",
    "Outcome",
    "Report",
    "Rows",
    "Source",
    "accuracy",
    "auc",
    "compare",
    "introduce",
    "log_loss",
    "main_of",
    "one_hot",
    "parser",
    "pooled",
    "present",
    "protocol",
    "read_frame",
    "split",
    "standardise",
]
