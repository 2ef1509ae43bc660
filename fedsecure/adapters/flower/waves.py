"""One wave: a message to each of some nodes and their replies, until all came or time is up."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = ["wave"]

_LOG = logging.getLogger("flwr.fedsecure")
_FIRST_PAUSE, _LONGEST_PAUSE = 0.02, 1.0


def wave(
    grid: Any,
    name: str,
    messages: Iterable[Any],
    *,
    timeout: float,
    arrived: Callable[[int, Any], str | None],
) -> dict[int, str]:
    """Sends messages, hands each reply on as it arrives, and returns why there is none.

    Flower's own loop looks for replies every 3 seconds and gives all of them at the end; here they
    are taken one by one, so that a server holds one masked vector at a time.

    Args:
        grid: Flower's grid.
        name: What this wave is for, in the log.
        messages: The messages, at most one per node.
        timeout: Seconds after which whoever has not replied has dropped out.
        arrived: Gets a node id and its reply, which is no error; returns why it does not count, or
            None.

    Returns:
        For each node without a reply that counts, the reason.
    """
    sent = list(messages)
    start = time.monotonic()
    pushed = {each for each in grid.push_messages(sent) if each}
    node_of = {message.metadata.message_id: message.metadata.dst_node_id for message in sent}
    lost = dict.fromkeys(node_of.values(), "the message could not be sent")
    waiting = pushed.intersection(node_of)
    for message_id in waiting:
        lost[node_of[message_id]] = f"no reply within {timeout:g} s"
    pause = _FIRST_PAUSE
    while waiting:
        replies = list(grid.pull_messages(waiting))
        for reply in replies:
            message_id = reply.metadata.reply_to_message_id
            if message_id in waiting:
                waiting.discard(message_id)
                node = node_of[message_id]
                reason = _error(reply) if reply.has_error() else arrived(node, reply)
                lost.pop(node)
                if reason is not None:
                    lost[node] = reason
        left = timeout - (time.monotonic() - start)
        if left <= 0:
            break
        if waiting and not replies:
            time.sleep(min(pause, left))
            pause = min(2 * pause, _LONGEST_PAUSE)
    _LOG.info(
        "fedsecure: wave %r, %d of %d replies, %.1f s",
        name,
        len(sent) - len(lost),
        len(sent),
        time.monotonic() - start,
    )
    for node, reason in lost.items():
        _LOG.warning("fedsecure: node %d dropped out of wave %r: %s", node, name, reason)
    return lost


def _error(reply: Any) -> str:
    return reply.error.reason or f"error {reply.error.code}"
