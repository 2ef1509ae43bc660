"""`SecureClient`: a site's side of a job."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import numpy as np
import nvflare.client as flare
from nvflare.app_common.abstract.fl_model import FLModel, MetaKey, ParamsType

from fedsecure import wire
from fedsecure.adapters.nvflare.messages import (
    ANSWER,
    DOWN,
    GONE,
    INVITATION,
    KEY,
    UP,
    Sites,
    arrays,
    floats_of,
    ids_of,
    kind_of,
    packed,
    policy,
    unpacked,
)
from fedsecure.errors import (
    CheaterDetected,
    EncodingError,
    FedSecureError,
    LocalProtocolError,
    RemoteProtocolError,
)
from fedsecure.primitives.identity import Identity
from fedsecure.protocols.base import Client
from fedsecure.protocols.model import model_digest
from fedsecure.protocols.session import Session

__all__ = ["SecureClient"]

_log = logging.getLogger(__name__)


class SecureClient:
    """A site's side of `SecureFedAvg`, in its client script, in the place of `flare`'s calls.

    ::

        flare.init()
        secure = SecureClient(SITES, identity=Identity.from_bytes(key_file.read_bytes()))
        while (model := secure.receive(timeout=3600)) is not None:
            trained, steps = train(model.params)
            secure.send(FLModel(params=trained, meta={MetaKey.NUM_STEPS_CURRENT_ROUND: steps}))

    Between `receive` and `send` the script trains; all other stages are answered inside `receive`.
    Tasks of other workflows pass through `receive`, and `send` answers them with metrics alone:
    a server could give such a task in the place of a round, to get the model in clear.

    Args:
        sites: As in `SecureFedAvg`, but this site's own copy: what is pinned here is not the
            server's to say.
        identity: This site's own, whose verify key is in `sites`; None if no keys are pinned.
        adversary: The strongest server to withstand; a session for a weaker one is refused.
        threshold: See `PairwiseMasking`.
        name: This site's name; None asks NVFlare.

    Raises:
        LocalProtocolError: A wrong argument, or an identity that is not this site's.
    """

    def __init__(
        self,
        sites: Sites,
        *,
        identity: Identity | None = None,
        adversary: str = "malicious",
        threshold: int | None = None,
        name: str | None = None,
    ) -> None:
        own = flare.get_site_name() if name is None else name
        ids = ids_of(sites)
        if own not in ids:
            raise LocalProtocolError(f"this site is {own!r}, which is not one of {sorted(ids)}")
        self._id = ids[own]
        self._protocol = policy(sites, adversary, threshold, own=(own, identity))
        self._party: Client | None = None
        self._session: Session | None = None
        self._base: dict[str, Any] = {}
        self._known: frozenset[str] = frozenset()
        self._kind = "numpy"
        self._training = False
        self._foreign = False

    def receive(self, timeout: float) -> FLModel | None:
        """Returns the next model to train from; None if the job is over or time is up.

        Args:
            timeout: Seconds to wait for each message.

        Raises:
            ThresholdError, LocalProtocolError: The session is weaker than this site's policy, or
                pins other keys. The server has been told that this site takes no part.
        """
        while (task := flare.receive(timeout)) is not None:
            step = (task.meta or {}).get(KEY)
            self._foreign = step is None
            if step is None:
                return task
            try:
                if step == INVITATION:
                    return self._invited(task)
                answers = self._answered(task)
            except RemoteProtocolError as error:
                _log.error("this site leaves the round: %s", error)
                self._leave()
                continue
            except FedSecureError:
                self._leave()
                raise
            flare.send(self._message(ANSWER, answers))
        return None

    def send(self, model: FLModel) -> None:
        """Gives the trained model: what leaves this site is masked.

        Args:
            model: With `params` as they were received, trained (`ParamsType.FULL`), or the
                difference (`ParamsType.DIFF`); and in a weighted job with
                ``meta[MetaKey.NUM_STEPS_CURRENT_ROUND]``, which stays secret. The rest of `meta` is
                not sent.

        Raises:
            EncodingError: Wrong names, shapes or weight, values beyond `clip`, or metrics, which
                nothing would hide. The server has been told that this site leaves the round; catch
                the error to take part in the next one.
            LocalProtocolError: No task waits for an answer, or one of another workflow would be
                answered with a model in clear. Nothing is sent; `flare.send` does that, if it is
                what you want.
        """
        if self._foreign:
            self._answer_in_clear(model)
            return
        if not self._training or self._party is None:
            raise LocalProtocolError(
                "there is nothing to answer: this site has sent its model, or has left the round"
            )
        self._training = False
        try:
            self._party.set_update(*self._update(model))
            answers = list(self._party.start())
        except Exception:  # also what is not ours: nobody should wait for this site
            self._leave()
            raise
        self._base = {}
        flare.send(self._message(ANSWER, answers))

    def _answer_in_clear(self, model: FLModel) -> None:
        if model.params or getattr(model, "optimizer_params", None):
            raise LocalProtocolError(
                "this task is not of SecureFedAvg, and a model would be sent in clear: answer with "
                "metrics alone, or with flare.send if the server may read it"
            )
        self._foreign = False
        flare.send(model)

    def _invited(self, task: FLModel) -> FLModel:
        if not isinstance(task.params, Mapping):
            raise RemoteProtocolError("an invitation without a model")
        own = {name: v for name, v in task.params.items() if not str(name).startswith(DOWN)}
        messages = unpacked(task.params, DOWN)
        if len(messages) != 1:
            raise RemoteProtocolError("an invitation without a session")
        session = Session.from_bytes(messages[0])
        try:
            self._kind = kind_of(task.params)
            model = arrays(own)
            floats = floats_of(model)
            named = model_digest(floats)
        except EncodingError as error:
            raise RemoteProtocolError(f"the model cannot be read: {error}") from None
        if named != session.model_digest:
            raise CheaterDetected("the model is not the one that the session names", wire.SERVER)
        self._party = self._protocol.client(session, self._id)
        self._session = session
        self._base = {name: np.array(value) for name, value in floats.items()}
        self._known = frozenset(model)
        self._training = True
        return FLModel(
            params=own,
            params_type=ParamsType.FULL,
            current_round=task.current_round,
            total_rounds=task.total_rounds,
        )

    def _answered(self, task: FLModel) -> list[bytes]:
        if self._party is None:
            raise RemoteProtocolError("a stage of a session that this site does not know")
        messages = unpacked(task.params, DOWN)
        return [answer for message in messages for answer in self._party.receive(message)]

    def _update(self, model: FLModel) -> tuple[dict[str, Any], float | None]:
        if model.metrics:
            raise EncodingError("metrics would be sent in clear; leave them out, or log them here")
        params = model.params or {}
        problems = [name for name in params if name not in self._known]
        problems += [name for name in self._base if name not in params]
        if problems:
            raise EncodingError(f"{problems[0]!r} is not in both the model received and this one")
        given = arrays({name: params[name] for name in self._base})
        for name, base in self._base.items():
            if given[name].shape != base.shape:
                raise EncodingError(
                    f"{name!r} has shape {given[name].shape}, the model's is {base.shape}"
                )
            if given[name].dtype.kind not in "fiub":
                raise EncodingError(f"{name!r} is {given[name].dtype}, the model's is {base.dtype}")
        full = model.params_type != ParamsType.DIFF
        update = {
            name: value - self._base[name] if full else value for name, value in given.items()
        }
        weight = (model.meta or {}).get(MetaKey.NUM_STEPS_CURRENT_ROUND)
        weighted = self._session is not None and self._session.weighted
        if weighted and weight is None:
            raise EncodingError("this job is weighted: give meta[MetaKey.NUM_STEPS_CURRENT_ROUND]")
        update = {n: np.asarray(v, self._base[n].dtype) for n, v in update.items()}
        return update, weight if weighted else None

    def _leave(self) -> None:
        self._party = None
        self._base = {}
        self._training = False
        flare.send(self._message(GONE, [b"\0"]))

    def _message(self, step: str, messages: list[bytes]) -> FLModel:
        return FLModel(params=packed(messages, UP, self._kind), meta={KEY: step})
