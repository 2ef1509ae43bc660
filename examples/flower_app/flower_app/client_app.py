"""The client end: a training function like any other, and one mod in front of it."""

from __future__ import annotations

import numpy as np
from flwr.app import Array, ArrayRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp

import fedsecure as fs
from fedsecure.adapters.flower import masking_from_node_config, secure_mod
from flower_app import task


def policy(context: Context) -> fs.PairwiseMasking:
    """Returns this node's policy: it never takes part in a session that is weaker.

    A deployed node names its identity and the verify keys it has pinned. In a simulation there is
    one process, and nobody to keep identities from.
    """
    if "identity" in context.node_config:
        return masking_from_node_config(context)
    return fs.PairwiseMasking(adversary="semi_honest")


app = ClientApp(mods=[secure_mod(policy)])


@app.train()
def train(message: Message, context: Context) -> Message:
    """Trains the model in the message on this node's data."""
    params = {name: array.numpy() for name, array in message.content["arrays"].items()}
    params, loss, examples = task.train(params, int(context.node_config["partition-id"]))
    content = RecordDict(
        {
            "arrays": ArrayRecord(
                {name: Array(np.asarray(value)) for name, value in params.items()}
            ),
            "metrics": MetricRecord({"train_loss": loss, "num-examples": examples}),
        }
    )
    return Message(content, reply_to=message)
