"""What the examples share: reading data out of installed packages, comparing, drawing.

An example says where its data come from, who the organisations are and what they learn; the rest
is here. `fedsecure` itself is used as anybody would use it: `federated_averaging` over
`secure_aggregate`.
"""

from .experiment import compare
from .frames import read_frame
from .models import Logistic, Network, accuracy, auc, log_loss
from .options import WAYS, Options, main_of, parser
from .packages import Source
from .rows import Organisation, Rows, one_hot, pooled, split, standardise
from .study import Study

__all__ = [
    "WAYS",
    "Logistic",
    "Network",
    "Options",
    "Organisation",
    "Rows",
    "Source",
    "Study",
    "accuracy",
    "auc",
    "compare",
    "log_loss",
    "main_of",
    "one_hot",
    "parser",
    "pooled",
    "read_frame",
    "split",
    "standardise",
]
