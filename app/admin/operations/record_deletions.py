"""Records deleted: the log starts later, and says so once that is durable."""

from collections.abc import Sequence

from app.admin.commands.records import DeleteRecords, LogStart, RecordsBefore
from app.admin.operations import partitions
from app.admin.parts import Parts
from app.admin.turns import Turns
from app.core import topic_names
from app.core.manifest.image import Topic
from app.errors import InvalidTopic, OffsetOutOfRange, PolicyViolation, StreamBusError
from app.model import Principal
from app.partitions.replica import Replica
from app.partitions.replies import Awaited

EVERYTHING = -1
"""As the offset: all that is committed."""


async def delete_records(
    parts: Parts, asker: Principal, command: DeleteRecords, items: Sequence[RecordsBefore]
) -> list[LogStart | StreamBusError]:
    """The partitions move together and wait together, so that many share one sync."""
    answers: list[LogStart | StreamBusError | None] = [None] * len(items)
    pending = Awaited(len(items), command.timeout_ms)
    moved: dict[int, tuple[Topic, Replica]] = {}
    turns = Turns()
    for slot, item in enumerate(items):
        try:
            topic, replica = partitions.leading(parts, item.topic, item.partition)
            start = _start(topic, replica, item)
        except StreamBusError as error:
            answers[slot] = error
            pending.resolve(slot, error.code, -1)
        else:
            moved[slot] = (topic, replica)
            replica.move_start(start)
            replica.when_started(start, pending, slot)
        await turns.took()
    told = await pending.wait()
    for slot, (topic, replica) in moved.items():
        code = told[slot][0]
        if code:
            answers[slot] = partitions.partition_error(parts, topic, replica, code)
        else:
            answers[slot] = LogStart(topic.name, replica.key.partition, replica.log_start)
        await turns.took()
    return [answer for answer in answers if answer is not None]


def _start(topic: Topic, replica: Replica, item: RecordsBefore) -> int:
    where = f"{topic.name}-{replica.key.partition}"
    if topic.name in topic_names.INTERNAL:
        raise InvalidTopic(f"Topic '{topic.name}' is the broker's own: only it deletes there.")
    if replica.policy.cleanup_compact and not replica.policy.cleanup_delete:
        raise PolicyViolation(
            f"Records of {where} can be deleted only if its cleanup.policy has 'delete': it has "
            "'compact' alone."
        )
    end = replica.high_watermark
    if item.offset == EVERYTHING:
        return end
    if not 0 <= item.offset <= end:
        raise OffsetOutOfRange(
            f"{where} has records up to {end}: what is before {item.offset} cannot be deleted."
        )
    return item.offset
