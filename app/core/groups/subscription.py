"""Which topics a consumer subscribes to, read from what it offers when it joins.

Owns    the one thing that a coordinator reads in a member's bytes: the topics of a subscription.
Never   judges them: bytes that do not parse are a subscription that we do not know.
Trusts  nothing: the bytes come from clients, and only other clients have to understand them.

Every version of Kafka's ConsumerProtocolSubscription begins with its version and its topics.
"""

from app.errors import Malformed
from streambus.protocol.wire import Reader


def topics(metadata: bytes) -> frozenset[str] | None:
    """None where `metadata` is not a subscription."""
    reader = Reader(memoryview(metadata), 0, len(metadata), flexible=False)
    try:
        if reader.int16() < 0:
            return None
        return frozenset(reader.string() for _ in range(reader.count(2)))
    except Malformed:
        return None
