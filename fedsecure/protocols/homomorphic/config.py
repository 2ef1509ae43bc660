"""`PaillierSum` and `ThresholdPaillierSum`: policies of encrypted sums, and their parties."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, ClassVar

from fedsecure import wire
from fedsecure.encoding import FixedPoint
from fedsecure.errors import LocalProtocolError, ThresholdError
from fedsecure.paillier import PrivateKey, PublicKey, RunningProduct, generate_keypair
from fedsecure.paillier.threshold import KeyShare, ThresholdPublic, generate_threshold_keys
from fedsecure.primitives import keys
from fedsecure.primitives.identity import Identity
from fedsecure.primitives.masks import Prg
from fedsecure.protocols import session as sessions
from fedsecure.protocols.homomorphic.client import PaillierClient
from fedsecure.protocols.homomorphic.holders import KeyHolder, ShareHolder
from fedsecure.protocols.homomorphic.server import PaillierServer, ThresholdPaillierServer
from fedsecure.protocols.noise import certain, check_privacy
from fedsecure.protocols.session import Session
from fedsecure.protocols.signing import checked_identities

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from fedsecure.privacy.mechanisms import VectorMechanism
    from fedsecure.protocols.base import Client
    from fedsecure.protocols.homomorphic.holders import Rows
    from fedsecure.protocols.homomorphic.server import Products
    from fedsecure.pytree import PyTree, TreeSpec

__all__ = ["PaillierSum", "ThresholdPaillierSum"]

Identities = Mapping[int, Identity | bytes]

_DEFAULT_ENCODING = FixedPoint()
_LOOKERS_ON = 1  # a client that sees the result knows its own share of the noise
_LEAST = 3  # a sum of two is no secret to either of them
_SUITE = int(Prg.AES256)


@dataclass(frozen=True)
class _Policy:
    """What both have in common: identities, the least number of inputs, pieces."""

    name: ClassVar[str]

    identities: Identities | None = field(default=None, hash=False, kw_only=True)
    min_inputs: int | None = field(default=None, kw_only=True)
    chunk: int = field(default=1 << 16, kw_only=True)

    def __post_init__(self) -> None:
        if self.identities is not None:
            if not isinstance(self.identities, Mapping):
                raise LocalProtocolError(
                    "identities is no mapping; give {client id: verify key or Identity}"
                )
            object.__setattr__(self, "identities", checked_identities(self.identities))
        if self.min_inputs is not None:
            if type(self.min_inputs) is not int:
                raise LocalProtocolError(f"min_inputs is {self.min_inputs!r}; use a plain int")
            if self.min_inputs < _LEAST:
                raise ThresholdError(
                    f"min_inputs={self.min_inputs}; sums of fewer than {_LEAST} give inputs away"
                )
        if type(self.chunk) is not int or not 1 <= self.chunk <= sessions.MAX_CHUNK:
            raise LocalProtocolError(
                f"chunk is {self.chunk!r}; use a number of elements from 1 to {sessions.MAX_CHUNK}"
            )

    def least_inputs(self, num_clients: int) -> int:
        """Returns how many inputs a sum needs among so many invited clients.

        Raises:
            ThresholdError: They are fewer than that.
        """
        least = self.min_inputs or max(_LEAST, 2 * num_clients // 3 + 1)
        if num_clients < least:
            raise ThresholdError(
                f"{num_clients} clients were invited, and a sum needs {least}: invite more"
            )
        return least

    def session(
        self,
        *,
        client_ids: Iterable[int],
        spec: TreeSpec,
        encoding: FixedPoint = _DEFAULT_ENCODING,
        weighted: bool = False,
        round: int = 0,  # noqa: A002  # the glossary's word, given by name only
        model_digest: bytes | None = None,
        session_id: bytes | None = None,
        privacy: VectorMechanism | None = None,
    ) -> Session:
        """Returns the public description of one run, to be sent to every party.

        Args:
            client_ids: The clients to invite, in any order; each below 2^32 - 2.
            spec: The tree of an update, `TreeSpec.of(update)`.
            encoding: How values become ring elements, which are as wide as a sum of all needs.
            weighted: Whether every update carries a weight, which stays secret.
            round: The caller's count of rounds.
            model_digest: 32 bytes that name the model the clients train from: inputs of clients
                that hold different models do not add up.
            session_id: 16 bytes that no other run has; None draws them.
            privacy: The mechanism whose noise the sum gets, such as `fedsecure.DistributedSkellam`;
                None for an exact sum. It also decides how values become ring elements, so leave
                `encoding` out. Noise is shared among so many clients as are certain to be honest
                and in the sum: the least number of survivors, less those that may collude.
                Nobody colludes with this server, but one client may be who looks at the result.

        Raises:
            ThresholdError: Too few clients.
            EncodingError: The ring is too narrow for so many clients; or weights under a mechanism
                that declares no `max_weight`.
            LocalProtocolError: Another value is out of range, or a client has no identity.
        """
        ids = sessions.checked_ids(client_ids)
        return Session(
            protocol=self.name,
            session_id=sessions.fresh_session_id() if session_id is None else session_id,
            round=round,
            client_ids=ids,
            threshold=self._threshold,
            spec=spec,
            encoding=encoding,
            weighted=weighted,
            model_digest=sessions.NO_MODEL if model_digest is None else model_digest,
            chunk=self.chunk,
            suite=_SUITE,
            verify_keys=self._verify_keys(ids),
            survivors=self.least_inputs(len(ids)),
            parameters=self._parameters(ids),
            privacy=privacy,
            noise_shares=self.noise_shares(len(ids), privacy),
        )

    def noise_shares(self, num_clients: int, privacy: VectorMechanism | None) -> int:
        """Returns how many shares of a mechanism's noise are certain among so many invited clients.

        What a session pins: the least number of survivors less those that may collude; 1 where the
        server adds the noise, 0 without a mechanism. Each client's share has 1 over it of the
        variance that a sum shall have.

        Raises:
            ThresholdError: Too few clients, or no share is certain.
        """
        return certain(privacy, self.least_inputs(num_clients), _LOOKERS_ON)

    def identity_of(self, client_id: int) -> Identity | None:
        """Returns a client's secret identity if it is here, as a client's own is."""
        known = None if self.identities is None else self.identities.get(client_id)
        return known if isinstance(known, Identity) else None

    @property
    def _threshold(self) -> int:
        raise NotImplementedError

    def _parameters(self, client_ids: tuple[int, ...]) -> bytes:
        """What a session pins of the key."""
        raise NotImplementedError

    def _check(self, session: Session) -> None:
        ids = session.client_ids
        mine = (self.name, _SUITE, self.chunk)
        theirs = (session.protocol, session.suite, session.chunk)
        if mine != theirs:
            raise LocalProtocolError(
                f"the session has (protocol, suite, chunk) {theirs}, this policy has {mine}; give "
                "all parties the same protocol object"
            )
        if session.verify_keys != self._verify_keys(ids):
            raise LocalProtocolError(
                "the session names other verify keys than the ones this policy has pinned; if a "
                "client has a new identity, learn its verify key from the client itself"
            )
        if session.parameters != self._parameters(ids) or session.threshold != self._threshold:
            raise LocalProtocolError(
                "the session is for another key than this policy's; a key that somebody else puts "
                "in its place reads your update"
            )
        least = self.least_inputs(len(ids))
        if session.survivors < least:
            raise ThresholdError(
                f"the session decrypts sums of {session.survivors} inputs, this policy of {least} "
                "or more"
            )

    def _verify_keys(self, client_ids: Iterable[int]) -> tuple[bytes, ...]:
        if self.identities is None:
            raise LocalProtocolError(
                "what is decrypted is what enough known clients have signed: give "
                "identities={client id: verify key, ...}, with your own Identity in your own place"
            )
        unknown = [client_id for client_id in client_ids if client_id not in self.identities]
        if unknown or wire.KEY_HOLDER in client_ids:
            name = unknown[0] if unknown else wire.KEY_HOLDER
            raise LocalProtocolError(
                f"client {name} has no identity here; pin its verify key before inviting it"
            )
        return tuple(
            known.verify_key if isinstance(known, Identity) else known
            for known in (self.identities[client_id] for client_id in client_ids)
        )

    def _identities_for(self, client_ids: Iterable[int]) -> Identities:
        if self.identities is not None:
            return self.identities
        return {client_id: Identity.generate() for client_id in client_ids}


@dataclass(frozen=True)
class PaillierSum(_Policy):
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
        check_privacy(session, privacy, _LOOKERS_ON)
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
class ThresholdPaillierSum(_Policy):
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
        check_privacy(session, privacy, _LOOKERS_ON)
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
