"""Topics made, deleted, and given more partitions."""

from collections import Counter
from collections.abc import Sequence

from app.admin import authorize
from app.admin.commands.topics import (
    AddedPartitions,
    AddPartitions,
    CreatedTopic,
    CreateTopics,
    Deleted,
    DeletedTopic,
    DeleteTopics,
    DeleteTopicsByPrefix,
    MorePartitions,
    TopicRef,
)
from app.admin.operations.configs import entries
from app.admin.operations.topics import find
from app.admin.parts import Parts
from app.admin.port import Failed, Touch
from app.admin.turns import Turns, aside
from app.core import topic_names
from app.core.effective_config import EffectiveConfigs
from app.core.manifest.decide import NewTopic
from app.core.manifest.image import Topic
from app.errors import InvalidRequest, StreamBusError
from app.model import Principal
from app.raft import controller
from app.security.ports import Operation, Resource


async def create_topics(
    parts: Parts, asker: Principal, command: CreateTopics, topics: Sequence[NewTopic]
) -> list[CreatedTopic | StreamBusError]:
    made = await parts.controller.create_topics(
        topics, validate_only=command.validate_only, timeout_ms=command.timeout_ms
    )
    effective = EffectiveConfigs(parts.image, parts.broker_id, parts.file)
    turns = Turns()
    answers: list[CreatedTopic | StreamBusError] = []
    for one in made:
        if isinstance(one, StreamBusError):
            answers.append(one)
            continue
        created = _created(parts, asker, one, effective)
        answers.append(created)
        await turns.took(1 + len(created.configs or ()))
    return answers


def _created(
    parts: Parts, asker: Principal, made: controller.CreatedTopic, effective: EffectiveConfigs
) -> CreatedTopic:
    is_told = parts.authorizer.allows(asker, Operation.DESCRIBE_CONFIGS, Resource.TOPIC, made.name)
    return CreatedTopic(
        made.name,
        made.topic_id,
        made.partitions,
        made.replication,
        entries(effective.topic(made.name, made.configs)) if is_told else None,
    )


async def delete_topics(
    parts: Parts, asker: Principal, command: DeleteTopics, topics: Sequence[TopicRef]
) -> list[DeletedTopic | StreamBusError]:
    """A topic that is named twice is not deleted: who wrote it twice meant something else once."""
    times = await aside(parts.world, len(topics), lambda: Counter(topics))
    image, turns = parts.image, Turns()
    answers: list[DeletedTopic | StreamBusError | None] = [None] * len(topics)
    found: list[tuple[int, Topic]] = []
    for place, ref in enumerate(topics):
        topic = find(image, ref)
        if times[ref] > 1:
            answers[place] = InvalidRequest("Duplicate topic in the request.")
        elif topic is None:
            answers[place] = authorize.unknown(ref.name, ref.topic_id)
        else:
            found.append((place, topic))
        await turns.took()
    ways = Counter([topic.topic_id for _, topic in found])
    once: list[tuple[int, Topic]] = []
    for place, topic in found:
        if ways[topic.topic_id] > 1:
            answers[place] = InvalidRequest("The topic is named by its name and by its id.")
        else:
            once.append((place, topic))
    gone = await _delete(
        parts, [topic for _, topic in once], command.validate_only, command.timeout_ms
    )
    for (place, _), answer in zip(once, gone, strict=True):
        answers[place] = answer
    assert None not in answers, "a topic was left without an answer"
    return [answer for answer in answers if answer is not None]


async def delete_by_prefix(
    parts: Parts, asker: Principal, command: DeleteTopicsByPrefix
) -> Deleted:
    prefix = command.prefix
    topic_names.check_prefix(prefix)
    image, turns = parts.image, Turns()
    answers: list[DeletedTopic | Failed] = []
    doomed: list[tuple[int, Topic]] = []
    for name in parts.names.beginning_with(prefix[:-1], image):
        await turns.took()
        refused = authorize.refusal(parts, asker, Touch(Operation.DELETE, Resource.TOPIC, name))
        if not authorize.may_describe(parts, asker, name):
            continue
        topic = image.topics_by_name[name]
        answers.append(DeletedTopic(name, topic.topic_id, len(topic.partitions)))
        if refused is None:
            doomed.append((len(answers) - 1, topic))
        else:
            answers[-1] = Failed.of(refused)
    gone = await _delete(
        parts, [topic for _, topic in doomed], command.validate_only, command.timeout_ms
    )
    for (place, _), answer in zip(doomed, gone, strict=True):
        answers[place] = Failed.of(answer) if isinstance(answer, StreamBusError) else answer
    return Deleted(tuple(answers))


async def _delete(
    parts: Parts, topics: Sequence[Topic], validate_only: bool, timeout_ms: int
) -> list[DeletedTopic | StreamBusError]:
    gone: Sequence[Topic | StreamBusError] = topics
    if topics and not validate_only:
        gone = await parts.controller.delete_topics(
            [topic.topic_id for topic in topics], timeout_ms=timeout_ms
        )
    return [
        topic
        if isinstance(topic, StreamBusError)
        else DeletedTopic(topic.name, topic.topic_id, len(topic.partitions))
        for topic in gone
    ]


async def add_partitions(
    parts: Parts, asker: Principal, command: AddPartitions, topics: Sequence[MorePartitions]
) -> list[AddedPartitions | StreamBusError]:
    answers = await parts.controller.add_partitions(
        topics, validate_only=command.validate_only, timeout_ms=command.timeout_ms
    )
    return [
        answer
        if isinstance(answer, StreamBusError)
        else AddedPartitions(answer.name, len(answer.partitions))
        for answer in answers
    ]
