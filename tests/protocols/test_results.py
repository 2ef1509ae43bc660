"""A sum is read once, whatever becomes of what was read."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import fedsecure as fs
from encrypted_sums import IDS, KINDS, policy
from fedsecure.errors import EncodingError, LocalProtocolError
from fedsecure.protocols import results
from fedsecure.pytree import TreeSpec
from fedsecure.testing import play

NOISE = fs.CentralGaussian(clip_norm=2.0**24, noise_multiplier=1.0)
UPDATES = {name: {"w": np.ones(64, np.float16)} for name in IDS}


@pytest.mark.parametrize("kind", ["masks", *KINDS])
def test_a_mean_that_a_leaf_cannot_hold_ends_the_session(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another look at the sum would give other noise, and two of them half of its variance."""
    protocol: Any = fs.PairwiseMasking("semi_honest") if kind == "masks" else policy(kind)
    session = protocol.session(
        client_ids=IDS, spec=TreeSpec.of(UPDATES[3]), encoding=fs.FixedPoint(), privacy=NOISE
    )
    parties = {
        name: protocol.client(session, name, update, privacy=NOISE)
        for name, update in UPDATES.items()
    }
    server = protocol.server(session)
    read, decode = [], results.decode
    monkeypatch.setattr(results, "decode", lambda *given: read.append(given) or decode(*given))
    with pytest.raises(EncodingError, match=r"is float16.*has been read") as caught:
        play(server, parties | protocol.helpers(session))
    assert caught.value.may_be_known
    for call in (server.advance, server.result):
        with pytest.raises(LocalProtocolError):
            call()
    assert len(read) == 1
