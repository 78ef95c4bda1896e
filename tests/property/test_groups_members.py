"""Many honest members of one group, whose messages are lost and delayed, who crash and come back,
and whose coordinator crashes: nobody is stuck, and no partition has two owners in a generation.
"""

from random import Random
from typing import Any

import pytest

from app.core.coordinator import Ticket
from app.core.groups.values import OffsetToCommit
from tests.property.groups_scene import NAMES, Scene

PARTITIONS = 6
STEP_MS = 100
HEARTBEAT_MS = 1_000
REQUEST_TIMEOUT_MS = 5_000
SESSION_MS = 6_000
REBALANCE_MS = 4_000


class Client:
    """A consumer as Kafka's protocol wants it. It has at most one request under way."""

    def __init__(self, house: "House", name: str, instance: str | None) -> None:
        self.house = house
        self.name = name
        self.instance = instance
        self.start()

    def start(self) -> None:
        """A new process: all that it knew is gone, but for its instance id."""
        self.id = ""
        self.generation = -1
        self.wants = "join"
        self.owns: tuple[int, ...] = ()
        self.roster: list[str] = []
        self.leads = self.skips = False
        self.ticket: Ticket | None = None
        self.asked = ""
        self.deaf_until_ms = 0  # its request, or the answer, is lost
        self.asked_at_ms = 0
        self.beat_at_ms = 0
        self.paused_until_ms = 0

    def step(self) -> None:
        scene = self.house.scene
        if scene.ms < self.paused_until_ms:
            return
        if self.ticket is not None:
            reply = scene.replies.get(self.ticket)
            if reply is not None and scene.ms >= self.deaf_until_ms:
                self.ticket = None
                getattr(self, f"{self.asked}_answered")(reply)
            elif scene.ms >= self.asked_at_ms + self.patience_ms:
                self.give_up()
        elif self.wants != "beat" or scene.ms >= self.beat_at_ms:
            self.ask(self.wants)

    @property
    def patience_ms(self) -> int:
        """A join takes as long as others take to come."""
        return REQUEST_TIMEOUT_MS + (REBALANCE_MS if self.asked == "join" else 0)

    def give_up(self) -> None:
        """Its connection is closed."""
        if self.ticket is not None:
            self.house.scene.cancel(self.ticket)
        self.ticket = None
        self.wants = "beat" if self.asked == "beat" else "join"

    def ask(self, what: str) -> None:
        scene, random = self.house.scene, self.house.random
        self.asked, self.asked_at_ms, self.deaf_until_ms = what, scene.ms, 0
        self.ticket = Ticket(-1)
        lost = random.random() < self.house.loss
        if lost and random.random() < 0.5:
            return  # it never arrives: nobody will answer -1
        getattr(self, f"send_{what}")()
        self.ticket = Ticket(scene.next_ticket)
        delay = random.randrange(0, 800) if self.house.loss else 0
        self.deaf_until_ms = scene.ms + (10**9 if lost else delay)

    def send_join(self) -> None:
        self.owns = ()
        self.house.born += 1
        self.house.scene.join(
            self.id,
            new=f"{self.name}-{self.house.born}",
            instance=self.instance,
            session_ms=SESSION_MS,
            rebalance_ms=REBALANCE_MS,
        )

    def join_answered(self, reply: Any) -> None:
        code = self.house.code(reply)
        if code == "MEMBER_ID_REQUIRED":
            self.id = reply.member_id
        elif code == "ok":
            self.id, self.generation = reply.member_id, reply.generation
            self.leads = reply.leader == self.id and not reply.skip_assignment
            self.roster = sorted(each.member_id for each in reply.members)
            self.wants = "sync"
        else:
            self.refused(code)

    def send_sync(self) -> None:
        assigned = {
            member: ",".join(str(p) for p in range(PARTITIONS) if p % len(self.roster) == number)
            for number, member in enumerate(self.roster)
            if self.leads
        }
        self.house.scene.sync(self.id, self.generation, instance=self.instance, **assigned)

    def sync_answered(self, reply: Any) -> None:
        code = self.house.code(reply)
        if code != "ok":
            self.refused(code)
            return
        self.owns = tuple(int(each) for each in reply.assignment.decode().split(",") if each)
        self.house.owned(self)
        self.wants, self.beat_at_ms = "beat", self.house.scene.ms + HEARTBEAT_MS

    def send_beat(self) -> None:
        scene = self.house.scene
        if self.owns and self.house.random.random() < 0.3:
            offset = OffsetToCommit("orders", self.owns[0], scene.ms)
            scene.commit(
                offset, member_id=self.id, generation=self.generation, instance=self.instance
            )
        else:
            scene.heartbeat(self.id, self.generation, instance=self.instance)

    def beat_answered(self, reply: Any) -> None:
        code = self.house.code(reply)
        self.beat_at_ms = self.house.scene.ms + HEARTBEAT_MS
        if code != "ok":
            self.refused(code)

    def refused(self, code: str) -> None:
        expected = ("REBALANCE_IN_PROGRESS", "ILLEGAL_GENERATION", "UNKNOWN_MEMBER_ID")
        assert code in (*expected, "FENCED_INSTANCE_ID"), f"{self.name}: {code}"
        if code in ("UNKNOWN_MEMBER_ID", "FENCED_INSTANCE_ID"):
            self.id = ""
        self.wants = "join"


class House:
    def __init__(self, seed: int, delay_ms: int) -> None:
        self.random = Random(seed)
        self.scene = Scene(initial_rebalance_delay_ms=delay_ms)
        self.loss = 0.1
        self.born = 0
        self.owners: dict[tuple[int, int], str] = {}
        self.clients = [
            Client(self, f"c{number}", f"i{number}" if number % 3 == 0 else None)
            for number in range(self.random.randrange(1, 6))
        ]

    def code(self, reply: Any) -> str:
        return NAMES[reply.code]

    def owned(self, client: Client) -> None:
        """A static member keeps what it owns under another id: so it is known by its name."""
        for partition in client.owns:
            owner = self.owners.setdefault((client.generation, partition), client.name)
            assert owner == client.name, (
                f"{partition} in {client.generation}: {owner} and {client.name}"
            )

    def run(self, ms: int, *, faults: bool) -> None:
        self.loss = 0.1 if faults else 0.0
        for _ in range(ms // STEP_MS):
            if faults and self.random.random() < 0.01:
                self.fault()
            for client in self.random.sample(self.clients, len(self.clients)):
                client.step()
            self.scene.advance(STEP_MS)

    def fault(self) -> None:
        client = self.random.choice(self.clients)
        match self.random.randrange(4):
            case 0:  # the coordinator crashes: every connection is lost
                self.scene.reload()
                for each in self.clients:
                    if each.ticket is not None and each.ticket not in self.scene.replies:
                        each.give_up()
            case 1:  # a member crashes, and starts again
                client.start()
            case 2:  # a member pauses beyond its session
                client.paused_until_ms = self.scene.ms + 2 * SESSION_MS
            case _:
                if client.id:
                    self.scene.leave(client.id)
                    client.start()


@pytest.mark.parametrize("delay_ms", [0, 1_000])
@pytest.mark.parametrize("seed", range(12))
def test_members_come_together_whatever_was_lost(seed: int, delay_ms: int) -> None:
    house = House(seed, delay_ms)
    house.run(120_000, faults=True)
    house.run(60_000, faults=False)
    assert house.scene.state() == "Stable"
    owned = sorted(partition for client in house.clients for partition in client.owns)
    assert owned == list(range(PARTITIONS))
    assert sorted(client.id for client in house.clients) == sorted(house.scene.members())
    generations = {client.generation for client in house.clients}
    assert generations == {house.scene.generation()}
    assert house.scene.generation() > 3, "nothing happened"


def test_without_faults_nobody_is_disturbed() -> None:
    house = House(1, 1_000)
    house.run(20_000, faults=False)
    before = house.scene.generation()
    house.run(120_000, faults=False)
    assert house.scene.generation() == before
