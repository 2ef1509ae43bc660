"""Paillier encryption."""

from fedsecure.paillier.keys import PrivateKey, PublicKey, generate_keypair
from fedsecure.paillier.packing import Packing
from fedsecure.paillier.rows import RunningProduct

__all__ = ["Packing", "PrivateKey", "PublicKey", "RunningProduct", "generate_keypair"]
