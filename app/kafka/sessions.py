"""Fetch sessions (KIP-227): what a consumer fetches is kept here, so that it only tells changes.

Owns    the cache of sessions, its bounds and evictions, the order of partitions in a session, and
        which partitions an incremental answer has to mention.
Never   reads a log, a clock or a random number: answers, `now_ms` and ids come in.
Trusts  that one connection uses a session at a time; an epoch that does not follow is refused.

The rules are those of Kafka's `FetchSession.scala`. One bound is added: the partitions of all
sessions together.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence

from app import limits
from app.errors import FetchSessionIdNotFound, FetchSessionTopicIdError, InvalidFetchSessionEpoch
from app.model import NO_EPOCH
from streambus.protocol.messages.fetch import Forgotten, PartitionWanted

NO_SESSION = 0
INITIAL_EPOCH, FINAL_EPOCH = 0, -1
EPOCH_MAX = 2**31 - 1
EVICTION_MS = 120_000  # Kafka's min.incremental.fetch.session.eviction.ms

Key = tuple[bytes, int]
"""(topic name or topic id, partition): one session never mixes the two."""


class Fetched:
    """One partition of a fetch: what is asked, and in a session what was answered last."""

    __slots__ = (
        "current_leader_epoch",
        "high_watermark",
        "last_fetched_epoch",
        "log_start",
        "name",
        "offset",
        "partition",
        "size_max",
        "topic_id",
    )

    def __init__(self, wanted: PartitionWanted) -> None:
        self.high_watermark = -1
        self.log_start = -1
        self.ask(wanted)

    def ask(self, wanted: PartitionWanted) -> None:
        (
            self.name,
            self.topic_id,
            self.partition,
            self.current_leader_epoch,
            self.offset,
            self.last_fetched_epoch,
            _,
            self.size_max,
        ) = wanted
        # Any negative epoch is none here; to ListOffsets only -1 is. Both as Kafka has it.
        self.current_leader_epoch = max(self.current_leader_epoch, NO_EPOCH)

    @property
    def key(self) -> Key:
        return key_of(self.name, self.topic_id, self.partition)

    def must_mention(
        self, error: int, size: int, high_watermark: int, log_start: int, diverges: bool
    ) -> bool:
        """Whether an incremental answer has to name this partition; notes what was told."""
        changed = (
            size > 0
            or diverges
            or high_watermark != self.high_watermark
            or log_start != self.log_start
        )
        self.log_start = log_start
        # After an error the partition is told again when it works again, changed or not.
        self.high_watermark = -1 if error else high_watermark
        return changed or error != 0


def key_of(name: bytes | None, topic_id: bytes | None, partition: int) -> Key:
    return (name if name is not None else topic_id or b"", partition)


class Session:
    """One consumer's kept fetch. `partitions` is in the order in which they are served next."""

    __slots__ = ("created_ms", "epoch", "id", "partitions", "used_ms", "uses_topic_ids")

    def __init__(
        self, session_id: int, now_ms: int, partitions: dict[Key, Fetched], uses_topic_ids: bool
    ) -> None:
        self.id = session_id
        self.created_ms = now_ms
        self.used_ms = now_ms
        self.epoch = 1
        self.partitions = partitions
        self.uses_topic_ids = uses_topic_ids


class FetchScope:
    """What one request fetches: with a session, starting one, or without."""

    __slots__ = ("_partitions", "error", "is_incremental", "session", "wants_session")

    def __init__(
        self,
        partitions: list[Fetched],
        session: Session | None = None,
        *,
        wants_session: bool = False,
        error: int = 0,
    ) -> None:
        self.error = error
        self.session = session
        self.is_incremental = session is not None
        self.wants_session = wants_session
        self._partitions = partitions

    def __len__(self) -> int:
        return len(self._partitions if self.session is None else self.session.partitions)

    def __iter__(self) -> Iterator[Fetched]:
        if self.session is not None:
            return iter(list(self.session.partitions.values()))
        return iter(self._partitions)

    def served(self, fetched: Iterable[Fetched]) -> None:
        """These got records: they go behind the others, so that none starves (KIP-227)."""
        if self.session is None:
            return
        partitions = self.session.partitions
        for each in fetched:
            if partitions.pop(each.key, None) is not None:
                partitions[each.key] = each


class FetchSessions:
    """All sessions of a broker, at most `sessions_max`."""

    def __init__(
        self,
        sessions_max: int = limits.FETCH_SESSIONS_MAX,
        partitions_max: int = limits.FETCH_SESSION_PARTITIONS_MAX,
    ) -> None:
        self._sessions_max = sessions_max
        self._partitions_max = partitions_max
        # Kept in order of last use, the oldest first.
        self._sessions: dict[int, Session] = {}
        self.partitions = 0
        self.in_flight = 0
        """Partitions of large requests that are decoded and not answered yet."""
        self.evictions = 0

    def __len__(self) -> int:
        return len(self._sessions)

    def take(self, partitions: int) -> bool:
        """Whether there is memory for one more request of so many partitions: then `give_back`
        when it is answered or abandoned. Small ones are not counted."""
        if partitions <= limits.FETCH_PARTITIONS_PER_TURN:
            return True
        if self.in_flight + partitions > self._partitions_max:
            return False
        self.in_flight += partitions
        return True

    def give_back(self, partitions: int) -> None:
        if partitions > limits.FETCH_PARTITIONS_PER_TURN:
            self.in_flight -= partitions
            assert self.in_flight >= 0, "a request ended twice"

    def open(
        self,
        session_id: int,
        epoch: int,
        wanted: Sequence[PartitionWanted],
        forgotten: Sequence[Forgotten],
        now_ms: int,
        *,
        uses_topic_ids: bool,
    ) -> FetchScope:
        """What a request with this session id and epoch fetches, or the error that it gets."""
        if epoch in (INITIAL_EPOCH, FINAL_EPOCH):
            if session_id != NO_SESSION:
                self._remove(session_id)
            partitions = [Fetched(each) for each in wanted]
            return FetchScope(partitions, wants_session=epoch == INITIAL_EPOCH)
        session = self._sessions.get(session_id)
        if session is None:
            return FetchScope([], error=FetchSessionIdNotFound.code)
        if session.epoch != epoch:
            return FetchScope([], error=InvalidFetchSessionEpoch.code)
        if session.uses_topic_ids != uses_topic_ids:
            return FetchScope([], error=FetchSessionTopicIdError.code)
        self._update(session, wanted, forgotten)
        if self.partitions > self._partitions_max:
            self._remove(session_id)
            return FetchScope([], error=FetchSessionIdNotFound.code)
        if not session.partitions:
            # Nothing is left to keep; what was asked for, though forgotten at once, is served.
            self._remove(session_id)
            return FetchScope([Fetched(each) for each in wanted])
        session.epoch = 1 if epoch == EPOCH_MAX else epoch + 1
        self._touch(session, now_ms)
        return FetchScope([], session)

    def start(
        self, scope: FetchScope, now_ms: int, new_id: Callable[[], int], *, uses_topic_ids: bool
    ) -> int:
        """The id of a session for a full fetch that was just answered; 0 if there is no room."""
        assert scope.wants_session, "this fetch did not ask for a session"
        partitions = {each.key: each for each in scope}
        if not partitions or not self._make_room(len(partitions), now_ms):
            return NO_SESSION
        session_id = new_id()
        while session_id == NO_SESSION or session_id in self._sessions:
            session_id = new_id()
        self._sessions[session_id] = Session(session_id, now_ms, partitions, uses_topic_ids)
        self.partitions += len(partitions)
        return session_id

    def _update(
        self, session: Session, wanted: Sequence[PartitionWanted], forgotten: Sequence[Forgotten]
    ) -> None:
        partitions = session.partitions
        self.partitions -= len(partitions)
        for each in wanted:
            key = key_of(each[0], each[1], each[2])
            known = partitions.get(key)
            if known is None:
                partitions[key] = Fetched(each)
            else:
                known.ask(each)
        for name, topic_id, partition in forgotten:
            partitions.pop(key_of(name, topic_id, partition), None)
        self.partitions += len(partitions)

    def _touch(self, session: Session, now_ms: int) -> None:
        session.used_ms = now_ms
        del self._sessions[session.id]
        self._sessions[session.id] = session

    def _remove(self, session_id: int) -> None:
        session = self._sessions.pop(session_id, None)
        if session is not None:
            self.partitions -= len(session.partitions)

    def _make_room(self, size: int, now_ms: int) -> bool:
        """Room for one more session: a free slot, a stale session, or a smaller one that has had
        its time. A newcomer never pushes out its equals, or two clients would evict each other."""
        if self.partitions + size > self._partitions_max:
            return False
        if len(self._sessions) < self._sessions_max:
            return True
        oldest = next(iter(self._sessions.values()), None)
        if oldest is None:
            return False
        if now_ms - oldest.used_ms <= EVICTION_MS:
            had_their_time = [
                each for each in self._sessions.values() if now_ms - each.created_ms > EVICTION_MS
            ]
            oldest = min(
                had_their_time, key=lambda each: (len(each.partitions), each.id), default=None
            )
            if oldest is None or len(oldest.partitions) >= size:
                return False
        self._remove(oldest.id)
        self.evictions += 1
        return True
