"""Whose noise a sum is sure to have, and which noise a client insists on.

The session says both; a client computes both again from its own policy before it joins. So a
server that lowers the noise, counts on shares that may be missing, or leaves the noise out, has no
clients.
"""

from __future__ import annotations

from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any

from fedsecure.errors import LocalProtocolError, ThresholdError
from fedsecure.privacy.mechanisms import VectorMechanism
from fedsecure.privacy.plans import NoisyDecoded
from fedsecure.privacy.release import Release
from fedsecure.privacy.shares import certain_shares

if TYPE_CHECKING:
    from fedsecure.encoding import Decoded
    from fedsecure.protocols.session import Session

__all__ = ["certain", "check_mechanism", "check_privacy", "difference", "release"]


def certain(privacy: VectorMechanism | None, survivors: int, corrupt: int) -> int:
    """Returns how many shares of the noise are certain: m, to be pinned by the session.

    Noise of a client that has dropped out is missing, and whoever colludes knows its own. Of every
    sum that is released, at least ``survivors`` clients are in it, of whom ``corrupt`` may collude:
    m is the difference, and each share has a variance of 1/m of the target. A mechanism that
    declares ``corrupt`` itself is believed.

    Args:
        privacy: The mechanism, or None.
        survivors: Least number of clients in the sum.
        corrupt: How many may collude, as far as the protocol's policy goes.

    Returns:
        m; 1 for a mechanism whose noise the server adds, 0 for none.

    Raises:
        ThresholdError: No share is certain.
        LocalProtocolError: The mechanism is none.
    """
    if privacy is None:
        return 0
    check_mechanism(privacy)
    if privacy.placement == "server":
        return 1
    declared = getattr(privacy, "corrupt", None)
    return certain_shares(survivors, corrupt if declared is None else declared)


def check_mechanism(privacy: object) -> None:
    """Raises `LocalProtocolError` unless it is a mechanism for sums of vectors, or None."""
    if privacy is not None and not isinstance(privacy, VectorMechanism):
        raise LocalProtocolError(
            f"privacy is {privacy!r:.60}; give a mechanism for sums of vectors, such as "
            "fedsecure.DistributedSkellam(clip_norm=1.0, noise_multiplier=1.0), or None"
        )


def check_privacy(session: Session, wanted: VectorMechanism | None, corrupt: int) -> None:
    """Compares the noise of a session with what a client asks for.

    More noise is welcome. A clip norm that adapts may be any: noise is in proportion to it.

    Args:
        session: The session that the client was offered.
        wanted: The mechanism that it asks for; None for an exact sum.
        corrupt: How many clients may collude, as far as its own policy goes.

    Raises:
        LocalProtocolError: The session has no noise, less noise, or another mechanism; or noise
            that the client has not asked for.
        ThresholdError: It counts on more shares of the noise than this client's policy is sure of.
    """
    offered = session.privacy
    if wanted is None and offered is None:
        return
    if wanted is None:
        raise LocalProtocolError(
            f"the session adds noise ({type(offered).__name__}) that this client has not asked "
            "for: give client() the same privacy=, so that no server can lower it unnoticed"
        )
    if offered is None:
        raise LocalProtocolError(
            "the session has no noise, and this client asked for some: its update would be in an "
            "exact sum; do not join"
        )
    unequal = difference(offered, wanted)
    if unequal:
        raise LocalProtocolError(
            f"the session's mechanism is not the one this client asked for: {unequal}"
        )
    sure = certain(wanted, session.survivors, corrupt)
    if session.noise_shares > sure:
        raise ThresholdError(
            f"the session counts on {session.noise_shares} shares of the noise, this policy is "
            f"sure of {sure}: the noise could be smaller than what is claimed"
        )


def release(session: Session, contributors: int, decoded: Decoded, *, trust: str = "") -> Release:
    """Returns what a result of the session says about its privacy.

    Args:
        session: The session.
        contributors: How many clients are in it.
        decoded: What was read of the sum.
        trust: Who has to be trusted, where the event does not say it all.
    """
    return Release(
        clients=contributors,
        mechanism=session.privacy,
        plan=session.plan,
        noise_shares=session.noise_shares,
        within=decoded.within if isinstance(decoded, NoisyDecoded) else None,
        trust=trust,
    )


def difference(offered: VectorMechanism, wanted: VectorMechanism) -> str:
    """Returns how one mechanism falls short of another, or nothing."""
    if type(offered) is not type(wanted):
        return f"{type(offered).__name__} instead of {type(wanted).__name__}"
    if offered.noise_multiplier < wanted.noise_multiplier:
        return (
            f"noise multiplier {offered.noise_multiplier:.6g}, below {wanted.noise_multiplier:.6g}"
        )
    free: dict[str, Any] = {"noise_multiplier": wanted.noise_multiplier}
    if wanted.adaptive is not None and offered.adaptive is not None:
        clip = wanted.adaptive.clip
        free |= {"clip_norm": clip, "adaptive": replace(offered.adaptive, clip=clip)}
    given = replace(offered, **free)
    named = [field.name for field in fields(wanted)]
    unequal = [name for name in named if getattr(given, name) != getattr(wanted, name)]
    return ", ".join(
        f"{name} is {getattr(offered, name)!r}, not {getattr(wanted, name)!r}" for name in unequal
    )
