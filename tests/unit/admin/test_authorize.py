"""Who may touch what: Kafka's rights, and nobody learns what he may not describe."""

import pytest

from app.admin import authorize
from app.admin.parts import Parts
from app.admin.port import Touch
from app.model import ANONYMOUS
from app.security.ports import CLUSTER_NAME, Operation, Resource
from tests.unit.admin.arrange import ALICE, Rights
from tests.unit.kafka.arrange import FakeController, FakeRegistry, ManualWorld, topic_id

TOPIC, CLUSTER = Resource.TOPIC, Resource.CLUSTER


def parts(*rights: tuple[Operation, Resource, str]) -> Parts:
    registry = FakeRegistry()
    controller = FakeController(registry)
    controller.add("orders")
    return Parts(
        broker_id=1,  # type: ignore[arg-type]
        world=ManualWorld(),  # type: ignore[arg-type]
        registry=registry,  # type: ignore[arg-type]
        controller=controller,  # type: ignore[arg-type]
        authorizer=Rights(*rights),
        directory="data",
    )


def refused(touch: Touch, *rights: tuple[Operation, Resource, str]) -> str:
    """What who has these rights is told; "" if he may."""
    error = authorize.refusal(parts(*rights), ALICE, touch)
    return "" if error is None else f"{error.code} {error}"


SECRET_ID, UNKNOWN_ID = bytes(topic_id("orders")), bytes(range(16))


@pytest.mark.parametrize(
    ("touch", "rights", "expected"),
    [
        (Touch(Operation.DELETE, TOPIC, "orders"), ["DESCRIBE", "DELETE"], ""),
        (
            Touch(Operation.DELETE, TOPIC, "orders"),
            ["DESCRIBE"],
            "29 Topic authorization failed: User:alice has no right DELETE on topic 'orders'.",
        ),
        (
            Touch(Operation.DELETE, TOPIC, "orders"),
            ["DELETE"],
            "29 Topic authorization failed: User:alice has no right DELETE on topic 'orders'.",
        ),
        (
            Touch(Operation.DELETE, TOPIC, "absent"),
            ["DELETE"],
            "29 Topic authorization failed: User:alice has no right DELETE on topic 'absent'.",
        ),
        (
            Touch(Operation.DELETE, TOPIC, "absent"),
            ["DESCRIBE"],
            "3 This server does not host topic 'absent'.",
        ),
        (Touch(Operation.DESCRIBE_CONFIGS, TOPIC, "orders"), ["DESCRIBE_CONFIGS"], ""),
        (Touch(Operation.DESCRIBE_CONFIGS, TOPIC, "absent"), ["DESCRIBE_CONFIGS"], ""),
        (
            Touch(Operation.DESCRIBE_CONFIGS, TOPIC, "absent"),
            ["DESCRIBE"],
            "29 Topic authorization failed: User:alice has no right DESCRIBE_CONFIGS on topic "
            "'absent'.",
        ),
        (
            Touch(Operation.DESCRIBE, TOPIC, "orders", SECRET_ID),
            [],
            "42 A topic is named by its name or by its id, and by one of them.",
        ),
        (
            Touch(Operation.DESCRIBE, TOPIC, ""),
            ["DESCRIBE"],
            "42 A topic is named by its name or by its id, and by one of them.",
        ),
        (
            Touch(Operation.ALTER_CONFIGS, TOPIC, "app.*"),
            [],
            "29 Topic authorization failed: User:alice has no right ALTER_CONFIGS on topic "
            "'app.*'.",
        ),
        (Touch(Operation.ALTER_CONFIGS, TOPIC, "app.*"), ["ALTER_CONFIGS"], ""),
        (Touch(Operation.CREATE, TOPIC, "absent", or_cluster=True), ["CREATE"], ""),
        (
            Touch(Operation.CREATE, TOPIC, "absent", or_cluster=True),
            ["DESCRIBE"],
            "29 Topic authorization failed: User:alice has no right CREATE on topic 'absent'.",
        ),
        (Touch(Operation.DESCRIBE, TOPIC, "", SECRET_ID), ["DESCRIBE"], ""),
        (
            Touch(Operation.DESCRIBE, TOPIC, "", SECRET_ID),
            [],
            "29 Topic authorization failed: User:alice has no right DESCRIBE on topic id "
            "AAAAAAAAAAAAAG9yZGVycw.",
        ),
        (
            Touch(Operation.DESCRIBE, TOPIC, "", UNKNOWN_ID),
            [],
            "100 This server does not host topic id AAECAwQFBgcICQoLDA0ODw.",
        ),
    ],
)
def test_rights_on_topics(touch: Touch, rights: list[str], expected: str) -> None:
    assert refused(touch, *[(Operation[right], TOPIC, "*") for right in rights]) == expected


def test_a_right_on_the_cluster_creates_topics() -> None:
    touch = Touch(Operation.CREATE, TOPIC, "absent", or_cluster=True)
    assert refused(touch, (Operation.CREATE, CLUSTER, CLUSTER_NAME)) == ""


def test_rights_on_the_cluster() -> None:
    touch = Touch(Operation.DESCRIBE, CLUSTER, CLUSTER_NAME)
    assert refused(touch, (Operation.DESCRIBE, CLUSTER, CLUSTER_NAME)) == ""
    assert refused(touch) == (
        "31 Cluster authorization failed: User:alice has no right DESCRIBE on the cluster."
    )


def test_allowed_operations_are_those_that_each_kind_has() -> None:
    some = parts(*[(operation, resource, "*") for operation in Operation for resource in Resource])
    assert authorize.allowed(some, ANONYMOUS, TOPIC, "orders") == (3, 4, 5, 6, 7, 8, 10, 11)
    assert authorize.allowed(some, ANONYMOUS, CLUSTER, CLUSTER_NAME) == (5, 7, 8, 9, 10, 11, 12)
    assert authorize.allowed(parts(), ANONYMOUS, TOPIC, "orders") == ()
