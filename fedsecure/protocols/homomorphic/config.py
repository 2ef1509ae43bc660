"""`PaillierSum` and `ThresholdPaillierSum`: policies of encrypted sums, and their parties."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, ClassVar

from fedsecure import wire
from fedsecure.errors import LocalProtocolError, ThresholdError
from fedsecure.paillier import PrivateKey, PublicKey, RunningProduct, generate_keypair
from fedsecure.paillier.threshold import KeyShare, ThresholdPublic, generate_threshold_keys
from fedsecure.primitives import keys
from fedsecure.protocols.homomorphic.client import PaillierClient
from fedsecure.protocols.homomorphic.holders import KeyHolder, ShareHolder
from fedsecure.protocols.homomorphic.policy import LOOKERS_ON, Policy
from fedsecure.protocols.homomorphic.server import PaillierServer, ThresholdPaillierServer
from fedsecure.protocols.noise import check_privacy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from fedsecure.privacy.mechanisms import VectorMechanism
    from fedsecure.protocols.base import Client
    from fedsecure.protocols.homomorphic.collecting import Products
    from fedsecure.protocols.homomorphic.holders import Rows
    from fedsecure.protocols.session import Session
    from fedsecure.pytree import PyTree

__all__ = ["PaillierSum", "ThresholdPaillierSum"]


@dataclass(frozen=True)
class PaillierSum(Policy):
    """Encrypted sums with one key holder: clients send once, and need not be there afterwards.

    Paillier, "Public-key cryptosystems based on composite degree residuosity classes" (EUROCRYPT
    1999), with the randomizers of Damgard, Jurik and Nielsen (IJIS 2010) and many values to a
    ciphertext. Three roles: clients encrypt and sign; the server (aggregator) multiplies; the key
    holder multiplies for itself what the clients have signed, compares, and decrypts that product:
    one a session, of `min_inputs` clients or more.

    The server may do anything, but not together with a client: it learns the sum, and by itself
    cannot have anything else decrypted. A server that can sign as one client is not withstood: that
    client's "input" can be computed from the ciphertexts of others so that these cancel, and the
    sum is what one of them sent. Invite only clients that do not work for the server, or take
    `fedsecure.PairwiseMasking`, which withstands some that do. The key holder is trusted not to
    read the single inputs it audits, nor to give the server its key; `ThresholdPaillierSum` needs
    no such party. Every party makes this object for itself; a client refuses a session for another
    key.

    Args:
        key: The public key; where it decrypts, the private one. None only for
            `secure_aggregate`, which makes one.
        identities: For every client that may be invited its pinned verify key of 32 bytes, or in a
            client's own object its own `Identity`; `secure_aggregate` makes what is missing.
        min_inputs: Least number of inputs in a sum, at least 3. None: floor(2n/3) + 1 of n invited.
        chunk: Ring elements in one message, roughly; a client's memory beyond its update.

    Raises:
        ThresholdError: `min_inputs` below 3.
        LocalProtocolError: A value of the wrong type or out of range.
    """

    name: ClassVar[str] = "paillier-sum"

    key: PublicKey | PrivateKey | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.key is not None and not isinstance(self.key, PublicKey | PrivateKey):
            raise LocalProtocolError(
                f"key is a {type(self.key).__name__}; give a PublicKey of fedsecure.paillier, or "
                "the PrivateKey where sums are decrypted"
            )

    def client(
        self,
        session: Session,
        client_id: int,
        update: PyTree = None,
        weight: float | None = None,
        *,
        privacy: VectorMechanism | None = None,
    ) -> PaillierClient:
        """Returns one client of a session.

        Args:
            session: The session; perhaps restored from the server's bytes.
            client_id: Which of the session's clients this is.
            update: The update to aggregate; None to give it later with `set_update`.
            weight: Its weight, if and only if the session is weighted.
            privacy: The mechanism that this client asks for; None for an exact sum. A session with
                less noise, none, or another mechanism is refused, and so is noise unasked for. More
                noise is not, nor another clip norm where the mechanism adapts it.

        Raises:
            ThresholdError: The session decrypts sums of fewer inputs than this policy.
            LocalProtocolError: The session is of another protocol or key, or pins other verify
                keys, or this client's own identity is not here; or its noise is not what the
                client asks for.
            EncodingError: The update or the weight cannot be encoded.
        """
        self._check(session)
        check_privacy(session, privacy, LOOKERS_ON)
        identity = self.identity_of(client_id)
        return PaillierClient(session, self._public, client_id, update, weight, identity=identity)

    def server(self, session: Session, *, products: Products = RunningProduct) -> PaillierServer:
        """Returns the server of a session.

        Args:
            session: The session.
            products: Makes what ciphertexts are multiplied in, if not in this process.

        Raises:
            ThresholdError: See `client`.
            LocalProtocolError: See `client`.
        """
        self._check(session)
        return PaillierServer(session, self._public, products=products)

    def key_holder(
        self, session: Session, *, decrypt: Callable[[Rows], Rows] | None = None
    ) -> KeyHolder:
        """Returns the key holder of a session; `key` must be the private key.

        Args:
            session: The session.
            decrypt: Gives the plaintexts of ciphertexts, if that is not to be done in this process.

        Raises:
            ThresholdError: See `client`.
            LocalProtocolError: See `client`; or the private key is not here.
        """
        self._check(session)
        if not isinstance(self.key, PrivateKey):
            raise LocalProtocolError("the key holder's own object has key=PrivateKey(...)")
        return KeyHolder(session, self.key, decrypt=decrypt)

    def helpers(self, session: Session) -> Mapping[int, Client]:
        """Returns the parties beside clients and server: the key holder."""
        return {wire.KEY_HOLDER: self.key_holder(session)}

    def for_one_process(self, client_ids: Iterable[int]) -> PaillierSum:
        """Returns this protocol with all that one process needs to play every party."""
        key = generate_keypair()[1] if self.key is None else self.key
        return replace(self, key=key, identities=self._identities_for(client_ids))

    @property
    def _public(self) -> PublicKey:
        if self.key is None:
            raise LocalProtocolError(
                "there is no key: make one with fedsecure.paillier.generate_keypair(), keep the "
                "private one where sums are decrypted, and give everybody the public one"
            )
        return self.key.public if isinstance(self.key, PrivateKey) else self.key

    @property
    def _threshold(self) -> int:
        return 1

    def _parameters(self, client_ids: tuple[int, ...]) -> bytes:
        del client_ids
        return self._public.fingerprint


@dataclass(frozen=True)
class ThresholdPaillierSum(Policy):
    """Encrypted sums whose key nobody has: t of the clients decrypt together.

    As `PaillierSum`, but the key is dealt to the clients (`fedsecure.paillier.threshold`; Damgard
    and Jurik, PKC 2001, section 4.1). Each client that holds a share audits the signed inputs and
    answers for their product only, with a proof that its answer is right. A wrong one names its
    sender, and the sum comes from the others.

    The server may do anything, but not together with a client, as in `PaillierSum`; t - 1 shares
    alone read nothing. Of l holders t must decrypt with 2t > l + 1: if fewer could, a server would
    show two halves of them two sums that differ in one input, and subtract. The dealer of the key
    is trusted to have forgotten it. Clients that hold shares have to be there twice.

    Args:
        public: The dealing; None only for `secure_aggregate`, which deals a key.
        holders: The clients that hold shares, in the order of the shares: the first has that of
            index 1.
        shares: The shares that are here: in a client's own object its own.
        identities: As in `PaillierSum`.
        min_inputs: As in `PaillierSum`.
        chunk: As in `PaillierSum`.

    Raises:
        ThresholdError: `min_inputs` below 3, or a dealing whose threshold is too low.
        LocalProtocolError: A value of the wrong type, or shares and holders that do not fit.
    """

    name: ClassVar[str] = "threshold-paillier-sum"

    public: ThresholdPublic | None = None
    holders: tuple[int, ...] = ()
    shares: tuple[KeyShare, ...] = field(default=(), hash=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "holders", tuple(self.holders))
        object.__setattr__(self, "shares", tuple(self.shares))
        if self.public is None:
            if self.holders or self.shares:
                raise LocalProtocolError("holders and shares belong to a dealing: give public too")
            return
        if not isinstance(self.public, ThresholdPublic):
            raise LocalProtocolError(f"public is a {type(self.public).__name__}, no dealing")
        if len(set(self.holders)) != self.public.parties or len(self.holders) != len(
            set(self.holders)
        ):
            raise LocalProtocolError(
                f"{len(self.holders)} holders for {self.public.parties} shares; name the client of "
                "each share once, in the order of the shares"
            )
        least = (self.public.parties + 1) // 2 + 1
        if self.public.threshold < least:
            raise ThresholdError(
                f"{self.public.threshold} of {self.public.parties} shares decrypt: two groups of "
                "holders could be shown two sums that differ in one input; have a key dealt with "
                f"threshold {least} or more"
            )
        if any(share.public != self.public for share in self.shares):
            raise LocalProtocolError("a share here is of another dealing")

    def client(
        self,
        session: Session,
        client_id: int,
        update: PyTree = None,
        weight: float | None = None,
        *,
        privacy: VectorMechanism | None = None,
    ) -> PaillierClient:
        """Returns one client of a session; one that holds a share if its share is here.

        Args:
            session: The session; perhaps restored from the server's bytes.
            client_id: Which of the session's clients this is.
            update: The update to aggregate; None to give it later with `set_update`.
            weight: Its weight, if and only if the session is weighted.
            privacy: The mechanism that this client asks for; None for an exact sum. A session with
                less noise, none, or another mechanism is refused, and so is noise unasked for. More
                noise is not, nor another clip norm where the mechanism adapts it.

        Raises:
            ThresholdError: The session decrypts sums of fewer inputs than this policy.
            LocalProtocolError: See `PaillierSum.client`; or this client's share is not here.
            EncodingError: The update or the weight cannot be encoded.
        """
        self._check(session)
        check_privacy(session, privacy, LOOKERS_ON)
        identity = self.identity_of(client_id)
        if client_id not in self.holders:
            return PaillierClient(
                session, self._dealing.key, client_id, update, weight, identity=identity
            )
        index = self.holders.index(client_id) + 1
        own = [share for share in self.shares if share.index == index]
        if not own:
            raise LocalProtocolError(
                f"client {client_id} holds share {index}: its own object has shares=[that share]"
            )
        return ShareHolder(session, own[0], client_id, update, weight, identity=identity)

    def server(
        self, session: Session, *, products: Products = RunningProduct
    ) -> ThresholdPaillierServer:
        """Returns the server of a session.

        Args:
            session: The session.
            products: Makes what ciphertexts are multiplied in, if not in this process.

        Raises:
            ThresholdError: See `client`.
            LocalProtocolError: See `client`.
        """
        self._check(session)
        indices = {name: index for index, name in enumerate(self.holders, 1)}
        return ThresholdPaillierServer(session, self._dealing, indices, products=products)

    def helpers(self, session: Session) -> Mapping[int, Client]:
        """Returns no parties beside clients and server."""
        del session
        return {}

    def for_one_process(self, client_ids: Iterable[int]) -> ThresholdPaillierSum:
        """Returns this protocol with all that one process needs to play every party.

        A key that has to be dealt takes safe primes, and so some ten seconds.
        """
        ids = tuple(client_ids)
        made = replace(self, identities=self._identities_for(ids))
        if self.public is not None:
            return made
        public, shares = generate_threshold_keys(len(ids), max(2, 2 * len(ids) // 3 + 1))
        return replace(made, public=public, holders=ids, shares=tuple(shares))

    @property
    def _dealing(self) -> ThresholdPublic:
        if self.public is None:
            raise LocalProtocolError(
                "there is no key: have one dealt by fedsecure.paillier.threshold."
                "generate_threshold_keys(), and pin its public part at every party"
            )
        return self.public

    @property
    def _threshold(self) -> int:
        return self._dealing.threshold

    def _parameters(self, client_ids: tuple[int, ...]) -> bytes:
        del client_ids
        held = b"".join(name.to_bytes(4, "little") for name in self.holders)
        return keys.digest(b"encrypted-sum/dealing", self._dealing.fingerprint, held)
