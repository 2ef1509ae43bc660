"""Paillier encryption of numpy arrays: the public key encrypts and adds, the private one reads.

>>> import numpy as np
>>> from fedsecure.paillier import EncryptedVector, generate_keypair
>>> public, private = generate_keypair(2048)
>>> a = public.encrypt(np.array([0.5, -1.25], np.float32))
>>> b = public.encrypt(np.array([1.0, 2.0], np.float32))
>>> message = (a + 3 * b).to_bytes()
>>> private.decrypt(EncryptedVector.from_bytes(message, public))
array([3.5 , 4.75], dtype=float32)

Values become fixed-point integers (`fedsecure.FixedPoint`), as many side by side in one ciphertext
as fit; sums are exact, and refused before a slot can overflow into the next. The scheme is that of
Paillier (EUROCRYPT 1999) with the randomizers of Damgard, Jurik and Nielsen (IJIS 2010). It hides
values from everybody without the private key; it does not say who encrypted what, and it is no
protocol: who asks for which decryption is for its user to decide.
"""

from fedsecure.paillier._phe import from_phe, to_phe
from fedsecure.paillier.form import Form
from fedsecure.paillier.keys import PrivateKey, PublicKey, generate_keypair
from fedsecure.paillier.packing import Packing
from fedsecure.paillier.rows import RunningProduct
from fedsecure.paillier.vector import EncryptedVector, weighted_sum

__all__ = [
    "EncryptedVector",
    "Form",
    "Packing",
    "PrivateKey",
    "PublicKey",
    "RunningProduct",
    "from_phe",
    "generate_keypair",
    "to_phe",
    "weighted_sum",
]
