"""Authorisation and quotas as ports: every request meets both, whatever implements them.

Owns    the two protocols, Kafka's names of operations and resources, and the pair that a broker
        without security uses (`AllowAll`, `Unlimited`).
Never   decides for a protocol: a face turns a verdict or a throttle into its own reply.
"""

from enum import IntEnum
from typing import Protocol

from app.model import Principal


class Operation(IntEnum):
    """Kafka's codes (`AclOperation.java`); bit n of 'authorized operations' means code n."""

    READ = 3
    WRITE = 4
    CREATE = 5
    DELETE = 6
    ALTER = 7
    DESCRIBE = 8
    CLUSTER_ACTION = 9
    DESCRIBE_CONFIGS = 10
    ALTER_CONFIGS = 11
    IDEMPOTENT_WRITE = 12


class Resource(IntEnum):
    """Kafka's ResourceType codes (`ResourceType.java`)."""

    TOPIC = 2
    GROUP = 3
    CLUSTER = 4
    TRANSACTIONAL_ID = 5


CLUSTER_NAME = "kafka-cluster"
"""The one name that a resource of kind CLUSTER has."""


class Authorizer(Protocol):
    """Decides by principal, operation and resource. Called on the loop: must not block."""

    generation: int
    """Changes whenever any verdict may have: callers keep verdicts while it stays the same."""

    def allows(
        self, principal: Principal, operation: Operation, resource: Resource, name: str
    ) -> bool: ...

    def allows_any(self, principal: Principal, operation: Operation, resource: Resource) -> bool:
        """Whether there is a name of that kind for which it is allowed (KIP-679)."""


class Quotas(Protocol):
    """Charges what a client used and says how long it must be quiet. Must not block."""

    def throttle_ms(self, principal: Principal, client_id: str, api_key: int, size: int) -> int:
        """0, or how long this client is to be muted after its reply. `size` is bytes produced
        (Produce), bytes about to be sent (Fetch) or 1. A throttled Fetch sends no records, so a
        positive answer to one charges nothing."""


class AllowAll:
    """Everybody may do everything: a broker whose listeners are loopback or `insecure`."""

    generation = 0

    def allows(
        self, principal: Principal, operation: Operation, resource: Resource, name: str
    ) -> bool:
        return True

    def allows_any(self, principal: Principal, operation: Operation, resource: Resource) -> bool:
        return True


class Unlimited:
    """Nobody is ever throttled."""

    def throttle_ms(self, principal: Principal, client_id: str, api_key: int, size: int) -> int:
        return 0
