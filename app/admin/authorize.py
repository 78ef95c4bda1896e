"""May he? Every touch of a command is judged here, before anything of the command is done.

Owns    the answer to who asks for what he may not do, or for what is not there.
Never   tells what exists to one who may not describe it: to him an unknown topic and a forbidden
        one are the same.
Trusts  the authorizer's verdicts, and the image for which topics there are.
"""

import base64

from app.admin.parts import Parts
from app.admin.port import Touch
from app.core.manifest.image import Image
from app.errors import (
    ClusterAuthorizationFailed,
    InvalidRequest,
    StreamBusError,
    TopicAuthorizationFailed,
    UnknownTopicId,
    UnknownTopicOrPartition,
)
from app.model import Principal, TopicId
from app.security.ports import CLUSTER_NAME, Operation, Resource

_OF_CONFIGS = (Operation.DESCRIBE_CONFIGS, Operation.ALTER_CONFIGS)

TOPIC_OPERATIONS = (
    Operation.READ,
    Operation.WRITE,
    Operation.CREATE,
    Operation.DELETE,
    Operation.ALTER,
    Operation.DESCRIBE,
    Operation.DESCRIBE_CONFIGS,
    Operation.ALTER_CONFIGS,
)
CLUSTER_OPERATIONS = (
    Operation.CREATE,
    Operation.ALTER,
    Operation.DESCRIBE,
    Operation.CLUSTER_ACTION,
    Operation.DESCRIBE_CONFIGS,
    Operation.ALTER_CONFIGS,
    Operation.IDEMPOTENT_WRITE,
)


def refusal(parts: Parts, asker: Principal, touch: Touch) -> StreamBusError | None:
    """Why the asker may not touch this; None if he may."""
    if touch.or_cluster and _allows(parts, asker, touch.operation, Resource.CLUSTER, CLUSTER_NAME):
        return None
    if touch.resource is Resource.TOPIC:
        return _topic_refusal(parts, asker, touch)
    if _allows(parts, asker, touch.operation, touch.resource, touch.name):
        return None
    return ClusterAuthorizationFailed(
        f"Cluster authorization failed: {asker} has no right {touch.operation.name} on the cluster."
    )


def allowed(parts: Parts, asker: Principal, resource: Resource, name: str) -> tuple[int, ...]:
    """The codes of the operations that the asker is allowed on this resource."""
    operations = TOPIC_OPERATIONS if resource is Resource.TOPIC else CLUSTER_OPERATIONS
    return tuple([int(each) for each in operations if _allows(parts, asker, each, resource, name)])


def may_describe(parts: Parts, asker: Principal, topic: str) -> bool:
    return _allows(parts, asker, Operation.DESCRIBE, Resource.TOPIC, topic)


def may_describe_cluster(parts: Parts, asker: Principal) -> bool:
    return _allows(parts, asker, Operation.DESCRIBE, Resource.CLUSTER, CLUSTER_NAME)


def topic_of(image: Image, name: str, topic_id: bytes = b"") -> str | None:
    """The name of the topic that is meant, None if there is none."""
    if topic_id:
        topic = image.topics_by_id.get(TopicId(topic_id))
        return None if topic is None else topic.name
    return name if name in image.topics_by_name else None


def unknown(name: str, topic_id: bytes = b"") -> StreamBusError:
    if topic_id:
        return UnknownTopicId(f"This server does not host topic id {id_text(topic_id)}.")
    return UnknownTopicOrPartition(f"This server does not host topic '{name}'.")


def id_text(topic_id: bytes) -> str:
    """A topic id as Kafka writes it: 22 characters."""
    return base64.urlsafe_b64encode(topic_id).decode().rstrip("=")


def _topic_refusal(parts: Parts, asker: Principal, touch: Touch) -> StreamBusError | None:
    operation = touch.operation
    # A new topic is not there yet, and a prefix never is: their names alone are judged. In Kafka
    # the rights on configs say nothing of the topic, and who has them may learn that it is not
    # there: the operation says so.
    if operation is Operation.CREATE or operation in _OF_CONFIGS:
        is_allowed = _allows(parts, asker, operation, Resource.TOPIC, touch.name)
        return None if is_allowed else _forbidden(asker, touch)
    if bool(touch.name) == bool(touch.topic_id):
        return InvalidRequest("A topic is named by its name or by its id, and by one of them.")
    name = topic_of(parts.image, touch.name, touch.topic_id)
    if name is None and touch.topic_id:
        return unknown("", touch.topic_id)
    # Every other right lets see the topic.
    if not may_describe(parts, asker, name or touch.name):
        return _forbidden(asker, touch)
    if name is None:
        return unknown(touch.name)
    is_allowed = _allows(parts, asker, operation, Resource.TOPIC, name)
    return None if is_allowed else _forbidden(asker, touch)


def _forbidden(asker: Principal, touch: Touch) -> TopicAuthorizationFailed:
    """In the asker's own words: the name behind an id may be a secret."""
    which = f"topic '{touch.name}'" if not touch.topic_id else f"topic id {id_text(touch.topic_id)}"
    return TopicAuthorizationFailed(
        f"Topic authorization failed: {asker} has no right {touch.operation.name} on {which}."
    )


def _allows(
    parts: Parts, asker: Principal, operation: Operation, resource: Resource, name: str
) -> bool:
    return parts.authorizer.allows(asker, operation, resource, name)
