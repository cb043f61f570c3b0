"""Names that both ends of a link between two nodes' NATS servers agree on.

A node is named on a link by its JetStream domain. What crosses: API calls for a reader's own consumers, their
deliveries, acknowledgements, and `ask.` requests. The source makes the consumers for its readers (deploy/nats): a
reader that could make one could choose where its deliveries go, and store them under other subjects there.
"""

from __future__ import annotations

import re

DOMAIN = re.compile(r"[a-z][a-z0-9-]{0,31}")
"""A JetStream domain of ours: one token of a subject, without `_`, which separates names below."""

INTAKE = "intake"
"""The local NATS user with which a node reads its peers."""

ASK = "ask"

HUB_READS = ("FACTS", "CIRCLES")
"""Streams of a member that its hub pulls."""
MEMBER_READS = ("FACTS", "VERIFIED", "CIRCLES")
"""Streams of the hub that a member pulls. Of VERIFIED and CIRCLES it is handed what its agencies may read."""


def consumer_of(reader: str, source: str) -> str:
    """The durable consumer by which the node with domain `reader` pulls from each stream of `source`.

    Both names: acknowledgements go to `$JS.ACK.<stream>.<consumer>.…` without a domain. Were the consumer called the
    same on every member, the hub's acknowledgement of one member's message would reach all of them, and count.
    """
    return f"intake_{reader}_{source}"


def reader_in(consumer: str, source: str) -> str | None:
    """The domain of the node that reads `source` by this consumer; None for a consumer of another kind."""
    reader = consumer.removeprefix("intake_").removesuffix(f"_{source}")
    return reader if consumer == consumer_of(reader, source) and DOMAIN.fullmatch(reader) else None


def inbox_for(node: str, peer: str) -> str:
    """The inbox prefix under which the intake of `node` takes what `peer` answers and delivers, and nobody else.

    One for each peer: whoever could write to a common one could answer in another's place, with rubbish that is then
    held against that other, or with the word that there is nothing more.
    """
    return f"_INBOX.{node}.{peer}"


def ask_subject(asked: str, asking: str) -> str:
    """Where the node `asking` puts a request to the node `asked`. Permissions pin both ends: who asks is no claim."""
    return f"{ASK}.{asked}.{asking}"


def asked_by(subject: str) -> str:
    """Who asks, from the subject of a request."""
    return subject.rsplit(".", 1)[1]
