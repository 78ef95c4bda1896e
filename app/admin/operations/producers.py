"""Producers that a partition remembers, as an operator looks for a hanging one (KIP-664)."""

from collections.abc import Sequence

from app import limits
from app.admin.commands.producers import (
    DescribeProducers,
    PartitionAsked,
    PartitionProducers,
    ProducerDescription,
)
from app.admin.operations import partitions
from app.admin.parts import Parts
from app.admin.turns import Turns
from app.core.manifest.image import Topic
from app.errors import StreamBusError
from app.model import Principal
from app.partitions.replica import Replica
from app.partitions.replies import Awaited


async def describe_producers(
    parts: Parts, asker: Principal, command: DescribeProducers, items: Sequence[PartitionAsked]
) -> list[PartitionProducers | StreamBusError]:
    answers: list[PartitionProducers | StreamBusError] = []
    found: list[tuple[int, Topic, Replica]] = []
    turns = Turns()
    for place, item in enumerate(items):
        try:
            topic, replica = partitions.leading(parts, item.topic, item.partition)
        except StreamBusError as error:
            answers.append(error)
            await turns.took()
        else:
            answers.append(await _describe(topic, replica, turns))
            found.append((place, topic, replica))
            await turns.took()
    # What was seen has been admitted, and is revealed when it is durable, like every answer.
    pending = Awaited(len(found), limits.PROPOSE_TIMEOUT_MS)
    for slot, (_, _, replica) in enumerate(found):
        replica.when_synced(pending, slot)
        await turns.took()
    for (place, topic, replica), (code, _, _) in zip(found, await pending.wait(), strict=True):
        if code:
            answers[place] = partitions.partition_error(parts, topic, replica, code)
    return answers


async def _describe(topic: Topic, replica: Replica, turns: Turns) -> PartitionProducers:
    producers = replica.log.producers
    shown = []
    for producer_id in producers.ids():
        state = producers.state_of(producer_id)
        if state is not None:  # else it expired since the last turn
            epoch, last_sequence, last_ms, transaction, _ = state
            shown.append(
                ProducerDescription(
                    producer_id, epoch, last_sequence, last_ms, transaction_start=transaction
                )
            )
        await turns.took()
    return PartitionProducers(topic.name, replica.key.partition, tuple(shown))
