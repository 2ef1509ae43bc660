"""Paillier key pairs."""

from fedsecure.paillier.private_key import PrivateKey, generate_keypair
from fedsecure.paillier.public_key import PublicKey, Randomizer

__all__ = ["PrivateKey", "PublicKey", "Randomizer", "generate_keypair"]
