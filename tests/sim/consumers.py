"""Consumers of a simulated run: they read on, with sessions and without, slowly, from anywhere.

What arrives goes to the judge (history.py). Some stop reading their socket for long while the WAL
wraps round, and some break their connection with answers unread.
"""

from random import Random
from typing import TYPE_CHECKING

from streambus.protocol.messages import list_offsets as listing
from streambus.protocol.messages.fetch import (
    FetchRequest,
    Forgotten,
    PartitionRead,
    PartitionWanted,
)
from tests.sim.broker import KafkaClient, NoAnswer
from tests.sim.history import Floors, Key, PartitionHistory
from tests.sim.producers import GONE, NOT_LEADER, STORAGE_ERROR

if TYPE_CHECKING:
    from tests.sim.workload import Topic, Workload

OUT_OF_RANGE, FENCED_EPOCH = 1, 74
SESSION_ERRORS = (70, 71)


class Place:
    """A consumer's position in one partition."""

    def __init__(self, topic: "Topic", partition: int, history: PartitionHistory) -> None:
        self.topic = topic
        self.partition = partition
        self.history = history
        self.offset = 0
        self.floors = Floors(0, 0)
        self.was_deleted = False


class Consumer:
    def __init__(self, run: "Workload", number: int) -> None:
        self.run = run
        self.random: Random = run.random_of(f"consumer {number}")
        self.version = self.random.choice((4, 6, 7, 9, 11, 12, 13, 15, 16, 18))
        self.places: dict[Key, Place] = {}
        self.leader_epochs: dict[Key, int] = {}
        self._session = (0, -1)
        self._told: dict[Key, int] = {}

    async def live(self) -> None:
        while not self.run.is_done:
            try:
                client = await self.run.connect()
                try:
                    await self._on(client)
                finally:
                    if self.random.random() < 0.3:
                        client.abort()
                    client.close()
            except NoAnswer:
                self.run.history.mark("consumer.disconnected")
            await self.run.pause(self.random)

    async def _on(self, client: KafkaClient) -> None:
        random, run = self.random, self.run
        uses_session = self.version >= 7 and random.random() < 0.7
        self._session, self._told = (0, 0 if uses_session else -1), {}
        self._choose_places()
        while not run.is_done and random.random() < 0.97:
            if not self.places:
                return
            if random.random() < (0.1 if run.is_large else 0.03):
                await self._fetch_and_stall(client)
                return
            if random.random() < 0.05:
                await self._list_ends(client, random.choice(list(self.places.values())))
            await self._fetch(client)
            await run.think(random)

    def _choose_places(self) -> None:
        run, random = self.run, self.random
        for topic in run.topics.values():
            if topic.is_volatile and (self.version < 13 or topic.is_deleting):
                continue
            for partition in range(topic.partitions):
                key = (topic.topic_id, partition)
                if key not in self.places:
                    self.places[key] = Place(topic, partition, run.history.of(*key))
                if random.random() < 0.1:  # somewhere else, perhaps inside a batch
                    seen = self.places[key].history
                    self.places[key].offset = random.randint(0, seen.high_watermark)

    async def _fetch(self, client: KafkaClient) -> None:
        run, random = self.run, self.random
        asked, request = self._request()
        response = await client.fetch(request, self.version)
        if response.error:
            assert response.error in SESSION_ERRORS, response
            run.history.mark("fetch.session_lost")
            self._session, self._told = (0, 0), {}
            return
        if response.session_id:
            self._session = (response.session_id, request.session_epoch + 1)
        else:
            self._session = (0, -1 if request.session_epoch < 0 else 0)
        found, behind = False, False
        for name, topic_id, partitions in response.topics:
            for fetched in partitions:
                place = self._place_of(asked, name, topic_id, fetched.partition)
                size = 0 if fetched.records is None else len(fetched.records)
                found = found or size > 0
                behind = behind or (
                    not fetched.error
                    and place.offset < fetched.high_watermark
                    and not place.topic.is_deleting
                )
                await self._take(client, place, fetched)
        assert found or not behind, "no records at all, though a partition has some"
        if random.random() < 0.02:
            self._session, self._told = (0, 0 if self._session[0] else -1), {}

    @staticmethod
    def _place_of(
        asked: dict[Key, Place], name: bytes | None, topic_id: bytes | None, partition: int
    ) -> Place:
        (place,) = (
            place
            for place in asked.values()
            if place.partition == partition
            and topic_id in (None, place.topic.topic_id)
            and name in (None, place.topic.name.encode())
        )
        return place

    def _request(self) -> tuple[dict[Key, Place], FetchRequest]:
        random = self.random
        session_id, session_epoch = self._session
        wanted: list[PartitionWanted] = []
        for key, place in self.places.items():
            place.floors = place.history.floors
            place.was_deleted = place.topic.is_deleted
            if session_id and self._told.get(key) == place.offset:
                continue
            self._told[key] = place.offset
            wanted.append(
                (
                    place.topic.name.encode(),
                    place.topic.topic_id,
                    place.partition,
                    self.leader_epochs.get(key, -1),
                    place.offset,
                    -1,
                    -1,
                    random.choice((1, 2_000, 20_000, 1 << 20)),
                )
            )
        forgotten: list[Forgotten] = [
            (self.run.names[topic_id], topic_id, partition)
            for topic_id, partition in self._told
            if (topic_id, partition) not in self.places
        ]
        self._told = {key: offset for key, offset in self._told.items() if key in self.places}
        return dict(self.places), FetchRequest(
            max_wait_ms=random.choice((0, 50, 500)),
            min_bytes=random.choice((0, 1, 1, 10_000)),
            max_bytes=random.choice((1, 10_000, 1 << 20, 50 << 20)),
            isolation=random.randint(0, 1),
            session_id=session_id,
            session_epoch=session_epoch,
            partitions=wanted,
            forgotten=forgotten,
        )

    async def _take(self, client: KafkaClient, place: Place, fetched: PartitionRead) -> None:
        error, key = fetched.error, place.history.key
        if place.was_deleted:
            assert error in GONE, f"{place.topic.name} is deleted and gives {fetched}"
        if error == 0:
            if self.version < 5:
                fetched = fetched._replace(log_start_offset=place.floors.log_start)
            place.offset = place.history.read(place.floors, place.offset, fetched)
            self.run.history.mark("fetch.read")
            return
        self.run.history.mark(f"fetch.error {error}")
        if error in GONE:
            assert place.topic.is_deleting, f"{place.topic.name} is not there any more"
            del self.places[key]
        elif error == OUT_OF_RANGE:
            await self._list_ends(client, place)
            place.offset = min(
                max(place.offset, place.history.log_start), place.history.high_watermark
            )
        elif error == FENCED_EPOCH:
            self.leader_epochs.pop(key, None)
            self._told.pop(key, None)
        else:
            assert error in (NOT_LEADER, STORAGE_ERROR), f"fetch of {place.topic.name}: {error}"

    async def _fetch_and_stall(self, client: KafkaClient) -> None:
        """Ask, and read nothing of the answer for a long time; perhaps never."""
        run, random = self.run, self.random
        client.channel.pause_reading()
        run.history.mark("consumer.stalled")
        wakes = random.random() < 0.7

        async def resume() -> None:
            await run.sleep(random.uniform(0.5, 20))
            if wakes:
                if client.is_open:
                    client.channel.resume_reading()
            else:
                client.abort()

        task = run.spawn(resume())
        try:
            await self._fetch(client)
        finally:
            await task

    async def _list_ends(self, client: KafkaClient, place: Place) -> None:
        name, floors = place.topic.name.encode(), place.history.floors
        if place.topic.is_volatile:
            return  # ListOffsets knows names alone, and this one may be another topic by now
        latest = await client.list_offset(name, place.partition, listing.LATEST)
        earliest = await client.list_offset(name, place.partition, listing.EARLIEST)
        if latest[1] or earliest[1]:
            assert latest[1] in (0, NOT_LEADER, STORAGE_ERROR), latest
            return
        place.history.check_ends(floors, latest[3], min(earliest[3], latest[3]))
        self.leader_epochs[place.history.key] = latest[4]
