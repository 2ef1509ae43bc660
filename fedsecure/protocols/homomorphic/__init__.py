"""Encrypted sums: clients encrypt and sign, a server multiplies, a key holder or t of l decrypt."""

from fedsecure.protocols.homomorphic.client import PaillierClient
from fedsecure.protocols.homomorphic.config import PaillierSum, ThresholdPaillierSum
from fedsecure.protocols.homomorphic.holders import KeyHolder, ShareHolder
from fedsecure.protocols.homomorphic.server import PaillierServer, ThresholdPaillierServer

__all__ = [
    "KeyHolder",
    "PaillierClient",
    "PaillierServer",
    "PaillierSum",
    "ShareHolder",
    "ThresholdPaillierServer",
    "ThresholdPaillierSum",
]
