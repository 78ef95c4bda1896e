"""Features as clients see them in ApiVersions (KIP-584): ours under Kafka's names.

Owns    which of Kafka's features are supported and finalised here, and their levels.
Never   mixes with the manifest's own feature level, which is no client's concern.

Clients act on a feature when it is finalised: `transaction.version` 2 turns on the new transaction
protocol, `group.version` 1 the new group protocol. Neither is here before it works.
"""

from typing import NamedTuple


class Feature(NamedTuple):
    """Levels inclusive; `finalised` is the level in force."""

    name: str
    oldest: int
    newest: int
    finalised: int


# Kafka's number of the release whose behaviour towards clients we follow: 25 is 4.0-IV3; brokers of
# 4.x support levels from 7 (3.3-IV3) on.
METADATA_VERSION = Feature("metadata.version", 7, 25, 25)

FEATURES = (METADATA_VERSION,)
