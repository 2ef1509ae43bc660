"""`PairwiseMasking`: the policy of a masking session, and what makes its sessions and parties."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, get_args

from fedsecure.encoding import FixedPoint
from fedsecure.errors import LocalProtocolError
from fedsecure.primitives.identity import Identity
from fedsecure.primitives.masks import Prg, PrgName
from fedsecure.protocols import session as sessions
from fedsecure.protocols.masking import levels, policy
from fedsecure.protocols.masking.client import MaskingClient
from fedsecure.protocols.masking.levels import Adversary
from fedsecure.protocols.masking.server import MaskingServer
from fedsecure.protocols.noise import certain, check_privacy
from fedsecure.protocols.session import Session
from fedsecure.protocols.vectors import VectorSum

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from fedsecure.privacy.mechanisms import VectorMechanism
    from fedsecure.protocols.base import Client
    from fedsecure.protocols.vectors import RunningSum
    from fedsecure.pytree import PyTree, TreeSpec

__all__ = ["PairwiseMasking"]

Identities = Mapping[int, Identity | bytes]

_DEFAULT_ENCODING = FixedPoint()


@dataclass(frozen=True)
class PairwiseMasking:
    """Secure aggregation by double masking: the server learns the sum of the survivors' updates.

    Bonawitz, Ivanov, Kreuter, Marcedone, McMahan, Patel, Ramage, Segal, Seth: "Practical Secure
    Aggregation for Privacy-Preserving Machine Learning" (CCS 2017), figure 4; with neighbors, Bell,
    Bonawitz, Gascon, Lepoint, Raykova: "Secure Single-Server Aggregation with (Poly)Logarithmic
    Overhead" (CCS 2020). Clients may vanish at any point as long as enough of them stay; nobody is
    waited for, and a vanished client's update is not in the sum.

    What the server may do without learning more than the sum:

    - ``"malicious"``: anything. Clients sign their keys with identities that everybody has pinned,
      and compare who survived before they give up a share: five stages, complete graph.
    - ``"semi_malicious"``: lie about who dropped out when it asks for shares. Four stages; keys are
      not signed, so it must not replace them. In a k-regular graph it never has both secrets of a
      client, and yet can single out a client or a few by telling others different lies: only the
      complete graph, which it is up to 64 clients, withstands that.
    - ``"semi_honest"``: nothing but look. Four stages.

    In all cases it may collude with some of the clients: with c of n in the complete graph where
    2t > n + c and c <= t - 2 (semi-honest: c <= t - 2), with the fraction `corrupt` in a k-regular
    graph.

    Every party makes this object for itself. A client compares the session it is invited to with
    its own object and refuses a weaker one.

    Args:
        adversary: See above.
        identities: Against a malicious server, who is who: for every client that may be invited its
            pinned verify key of 32 bytes, or in a client's own object its own `Identity`. None
            otherwise; `secure_aggregate` makes identities for its parties if there are none.
        threshold: t, how many shares give a client's secret back. Given alone, it is that of the
            complete graph, and also the least number of survivors: more than half of the n invited
            clients, at least 3. None: floor(2n/3) + 1; or, if `corrupt` is given, the least
            t with 2t > n + corrupt * n; in a k-regular graph, the least that is safe.
        neighbors: k, with how many others each client shares, even; for the weaker two only. None:
            all up to 64 clients, and as few as `corrupt` and `dropout` allow above.
        corrupt: Largest fraction of the invited clients that collude with the server. None: 0.1 in
            a k-regular graph; in the complete graph, what the threshold withstands.
        dropout: Largest fraction of the invited clients that may drop out. None: 0.1 in a k-regular
            graph; in the complete graph, what the threshold leaves.
        chunk: Ring elements in one message of a masked input; a client's memory beyond its update.
        prg: The cipher that masks are made with. ``"aes128"`` is the fastest by far where there are
            AES instructions, as in most processors; ``"chacha20"`` where there are none;
            ``"aes256"`` has keys for those who must have 256 bits (SECURITY.md says what they buy).

    Raises:
        ThresholdError: A threshold below 3.
        LocalProtocolError: A value of the wrong type or out of range, or one that does not go with
            the others.
    """

    adversary: Adversary = "malicious"
    identities: Identities | None = field(default=None, hash=False)
    threshold: int | None = None
    neighbors: int | None = None
    corrupt: float | None = None
    dropout: float | None = None
    chunk: int = 1 << 20
    prg: PrgName = "aes128"

    def __post_init__(self) -> None:
        if self.adversary not in ("semi_honest", "semi_malicious", "malicious"):
            raise LocalProtocolError(
                f'adversary is {self.adversary!r}; use "malicious", or by name a weaker one: '
                '"semi_malicious" or "semi_honest"'
            )
        if type(self.chunk) is not int or not 1 <= self.chunk <= sessions.MAX_CHUNK:
            raise LocalProtocolError(
                f"chunk is {self.chunk!r}; use a number of elements from 1 to {sessions.MAX_CHUNK}"
            )
        if self.prg not in get_args(PrgName):
            raise LocalProtocolError(
                f'prg is {self.prg!r}; use "aes128", "aes256" or, without AES instructions, '
                '"chacha20"'
            )
        policy.check_wishes(self._wishes)
        if self.identities is not None:
            object.__setattr__(self, "identities", self._checked_identities(self.identities))

    @property
    def name(self) -> str:
        """What sessions of this protocol call it."""
        return levels.protocol_name(self.adversary)

    def shape_for(self, num_clients: int) -> policy.Shape:
        """Returns k, t and the least number of survivors for `num_clients` invited clients.

        Raises:
            ThresholdError: Fewer than 3 clients, or wishes that cannot be met with so many.
        """
        return policy.shape(self._wishes, num_clients)

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
        """Returns the public description of one run, to be sent to every client.

        Args:
            client_ids: The clients to invite, in any order; each below 2^32 - 1.
            spec: The tree of an update, `TreeSpec.of(update)`.
            encoding: How values become ring elements.
            weighted: Whether every update carries a weight, which stays secret.
            round: The caller's count of rounds.
            model_digest: 32 bytes that name the model the clients train from: clients that hold
                different models do not agree on masks, and the server learns nothing from them.
            session_id: 16 bytes that no other run has; None draws them.
            privacy: The mechanism whose noise the sum gets, such as `fedsecure.DistributedSkellam`;
                None for an exact sum. It also decides how values become ring elements, so leave
                `encoding` out. Noise is shared among so many clients as are certain to be honest
                and in the sum: the least number of survivors, less those that may collude.
                Those are what the mechanism declares as `corrupt`; else what this object does; else
                as many as the threshold withstands (`PairwiseMasking.colluders`).

        Raises:
            ThresholdError: See `shape_for`; or no share of the noise would be certain.
            EncodingError: The ring is too narrow for so many clients; or weights under a mechanism
                that declares no `max_weight`.
            LocalProtocolError: Another value is out of range, or a client has no identity.
        """
        ids = sessions.checked_ids(client_ids)
        shape = self.shape_for(len(ids))
        return Session(
            protocol=self.name,
            session_id=sessions.fresh_session_id() if session_id is None else session_id,
            round=round,
            client_ids=ids,
            threshold=shape.threshold,
            spec=spec,
            encoding=encoding,
            weighted=weighted,
            model_digest=sessions.NO_MODEL if model_digest is None else model_digest,
            chunk=self.chunk,
            suite=self._suite,
            verify_keys=self._verify_keys(ids),
            neighbors=shape.neighbors,
            survivors=shape.survivors,
            privacy=privacy,
            noise_shares=self.noise_shares(len(ids), privacy),
        )

    def client(
        self,
        session: Session,
        client_id: int,
        update: PyTree = None,
        weight: float | None = None,
        *,
        privacy: VectorMechanism | None = None,
    ) -> MaskingClient:
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
            ThresholdError: The session's parameters are weaker than this object's policy, or it
                counts on more shares of the noise than this policy is sure of.
            LocalProtocolError: The session is of another protocol or has other parameters, or pins
                other verify keys, or this client's own identity is not here; or its noise is not
                what the client asks for.
            EncodingError: The update or the weight cannot be encoded.
        """
        self._check(session)
        check_privacy(session, privacy, self.colluders(session))
        return MaskingClient(
            session, client_id, update, weight, identity=self.identity_of(client_id)
        )

    def server(
        self, session: Session, *, vectors: Callable[[Session], RunningSum] = VectorSum
    ) -> MaskingServer:
        """Returns the server of a session.

        Args:
            session: The session.
            vectors: Makes what the clients' vectors are summed in, if not in this process.

        Raises:
            ThresholdError: The session's parameters are weaker than this object's policy.
            LocalProtocolError: The session is of another protocol or has other parameters.
        """
        self._check(session)
        return MaskingServer(session, vectors=vectors)

    def noise_shares(self, num_clients: int, privacy: VectorMechanism | None) -> int:
        """Returns how many shares of a mechanism's noise are certain among so many invited clients.

        What a session pins: the least number of survivors less those that may collude; 1 where the
        server adds the noise, 0 without a mechanism. Each client's share has 1 over it of the
        variance that a sum shall have.

        Raises:
            ThresholdError: Too few clients, or no share is certain.
        """
        shape = self.shape_for(num_clients)
        corrupt = policy.colluders(self._wishes, num_clients, shape)
        return certain(privacy, shape.survivors, corrupt)

    def colluders(self, session: Session) -> int:
        """Returns how many clients of a session may collude with the server: c.

        With `corrupt`, that fraction of the invited clients, at least one; without it in the
        complete graph as many as the session's threshold withstands, min(2t - n - 1, t - 2), at
        least one; in a k-regular graph a tenth. Shares of noise are counted on for the rest only.
        """
        shape = policy.Shape(session.neighbors, session.threshold, session.survivors)
        return policy.colluders(self._wishes, len(session.client_ids), shape)

    def helpers(self, session: Session) -> Mapping[int, Client]:
        """Returns no parties beside clients and server."""
        del session
        return {}

    def identity_of(self, client_id: int) -> Identity | None:
        """Returns a client's secret identity if it is here, as a client's own is."""
        known = None if self.identities is None else self.identities.get(client_id)
        return known if isinstance(known, Identity) else None

    def for_one_process(self, client_ids: Iterable[int]) -> PairwiseMasking:
        """Returns this protocol with all that is needed to play every party in one process.

        Against a malicious server parties have identities; if none are given, they are made here,
        and nobody outside this process ever knows them.
        """
        if self.adversary != "malicious" or self.identities is not None:
            return self
        made = {client_id: Identity.generate() for client_id in client_ids}
        return replace(self, identities=made)

    @property
    def _wishes(self) -> policy.Wishes:
        return policy.Wishes(
            self.adversary, self.threshold, self.neighbors, self.corrupt, self.dropout
        )

    @property
    def _suite(self) -> int:
        return int(Prg.named(self.prg))

    def _check(self, session: Session) -> None:
        mine = (self.name, self._suite, self.chunk)
        theirs = (session.protocol, session.suite, session.chunk)
        if mine != theirs:
            raise LocalProtocolError(
                f"the session has (protocol, suite, chunk) {theirs}, this policy has {mine}; give "
                "all parties the same protocol object"
            )
        levels.adversary_of(session)
        if session.verify_keys != self._verify_keys(session.client_ids):
            raise LocalProtocolError(
                "the session names other verify keys than the ones this policy has pinned; if a "
                "client has a new identity, learn its verify key from the client itself"
            )
        policy.check_shape(
            self._wishes,
            len(session.client_ids),
            policy.Shape(session.neighbors, session.threshold, session.survivors),
        )

    def _checked_identities(self, identities: object) -> dict[int, Identity | bytes]:
        if self.adversary != "malicious":
            raise LocalProtocolError(
                f"identities are pinned against a malicious server only, not a {self.adversary} one"
            )
        if not isinstance(identities, Mapping):
            raise LocalProtocolError(
                "identities is no mapping; give {client id: verify key or Identity}"
            )
        return levels.checked_identities(identities)

    def _verify_keys(self, client_ids: Iterable[int]) -> tuple[bytes, ...]:
        if self.adversary != "malicious":
            return ()
        if self.identities is None:
            raise LocalProtocolError(
                "a malicious server is withstood only by clients that know each other: give "
                "identities={client id: verify key, ...}, with your own Identity in your own "
                'place, or name a weaker adversary, such as adversary="semi_honest"'
            )
        unknown = [client_id for client_id in client_ids if client_id not in self.identities]
        if unknown:
            raise LocalProtocolError(
                f"client {unknown[0]} has no identity here; pin its verify key before inviting it"
            )
        return tuple(
            known.verify_key if isinstance(known, Identity) else known
            for known in (self.identities[client_id] for client_id in client_ids)
        )
