"""A live broker, as `make run` starts it, between hostile and honest clients.

    python -m tests.fuzz.live SECONDS SEED [CONNECTIONS]

Hostile clients (hostile.py) do their worst for so long, beside a crowd of up to CONNECTIONS idle
ones; honest clients (honest.py) must see no error meanwhile and lose nothing. The broker has to
stay up, keep to the memory that its limits add up to, say nothing at level error, have as few
sockets afterwards as before, and end as it should. A failure prints what was done last and what
the broker said.
"""

import asyncio
import os
import re
import resource
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from app import limits
from benchmarks.broker import BrokerProcess
from streambus.protocol.messages.control import CONTROL_BYTES_MAX
from tests.fuzz.honest import PATIENCE_SECONDS, Honest, Newcomer, Prober, Reader, Writer, made_topic
from tests.fuzz.hostile import TEMPTING, Attack, assault
from tests.integration.wire import Wire, a_batch, eventually, produced, resident_mb

CLIENTS = 150
DESCRIPTORS_SPARE = 1_000  # of this process, for all that is not the crowd
IDLE_CONNECTION_BYTES = 40 * limits.KIB  # as tests/integration/test_bounds.py holds it
PARTITION_BYTES = 5 * limits.KIB  # of a topic that a hostile client makes: limits.PARTITIONS_MAX
CONTROL_OBJECTS = 20  # times its bytes: what a control request takes when it is decoded
GREETING = "StreamBus is ready for Kafka clients", "everything acknowledged is kept."
EXPECTED = re.compile(r'\{"at_ms": \d+, "level": "(debug|info|warning)", "event": ')


@dataclass(frozen=True)
class Outcome:
    attack: Attack
    honest: list[Honest]
    records: int
    refused: int
    memory_mb: float
    memory_bound_mb: float
    complaints: list[str]

    def __str__(self) -> str:
        attack = self.attack
        slowest = ", ".join(
            f"{type(each).__name__.lower()} {each.slowest_ms:.0f} ms"
            for each in self.honest
            if each.slowest_ms
        )
        return (
            f"seed {attack.seed}: {attack.connections} connections ({attack.open_peak} at once,"
            f" a crowd of {attack.crowd_peak}), {attack.requests} requests,"
            f" {attack.dropped} dropped, {attack.no_port} without a port;"
            f" {self.records} honest records, slowest {slowest},"
            f" {self.refused} newcomers refused for want of room;"
            f" RSS {self.memory_mb:.0f} MB of {self.memory_bound_mb:.0f}"
        )


def memory_bound_mb(baseline_mb: float, open_peak: int, clients: int, partitions: int) -> float:
    """What the broker may take: the bounds of app/limits.py that these clients can reach."""
    shared = (
        limits.RECEIVE_POOL_BYTES_MAX
        + limits.WAL_PENDING_BYTES_MAX
        + limits.METADATA_ANSWERS_BYTES_MAX
        + limits.SIDECAR_ROWS_BYTES_MAX
        + limits.API_BUFFERED_BYTES_MAX
        + CONTROL_BYTES_MAX * CONTROL_OBJECTS
    )
    each = limits.OUTBOUND_BYTES_MAX + limits.FETCH_COPIED_BYTES_MAX
    crowds = open_peak * IDLE_CONNECTION_BYTES + clients * each + partitions * PARTITION_BYTES
    return baseline_mb + (shared + crowds) / 1e6


def memory_peak_mb(broker: BrokerProcess) -> float:
    for line in Path(f"/proc/{broker.pid}/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) / 1000
    raise AssertionError("no VmHWM")


def descriptors(broker: BrokerProcess) -> int:
    """Open ones of the process, without the files of its data: they come and go as it writes."""
    folder, count = Path(f"/proc/{broker.pid}/fd"), 0
    for name in os.listdir(folder):
        try:
            count += not os.readlink(folder / name).startswith(str(broker.data))
        except FileNotFoundError:  # closed meanwhile
            continue
    return count


def errors_in(log: str) -> list[str]:
    """Lines that no client may cause: events at level error, and what is no event at all, but for
    the greeting."""
    before, _, after = log.partition(GREETING[0])
    said = (before + after.partition(GREETING[1])[2]).splitlines()
    return [line for line in said if line and not EXPECTED.match(line)]


def tempt(broker: BrokerProcess) -> None:
    """What hostile clients fetch: small runs of two partitions in turn, and larger records."""
    wire = Wire(broker)
    wire.create(TEMPTING, 2)
    for size in (2_000, 200_000):
        for turn in range(40):
            wire.send(produced(TEMPTING, a_batch([bytes(size)]), turn % 2))
            wire.answer()
    wire.close()


def verdict(writer: Writer, reader: Reader) -> list[str]:
    """What was acknowledged against what was read."""
    complaints = []
    for partition, acknowledged in writer.acknowledged.items():
        read = reader.read[partition]
        numbers = list(read.values())
        if read != acknowledged:
            missing = sorted(acknowledged.items() - read.items())[:5]
            added = sorted(read.items() - acknowledged.items())[:5]
            complaints.append(f"partition {partition}: {missing} not read, {added} never written")
        if numbers != sorted(set(numbers)):
            complaints.append(f"partition {partition}: twice, or out of order")
    return complaints


def besieged(broker: BrokerProcess, attack: Attack, seconds: float, crowd_size: int) -> Outcome:
    """Everything between the start of the broker and its end."""
    tempt(broker)
    topic = made_topic(broker)
    eventually(lambda: sockets_settled(broker))
    before, baseline_mb = descriptors(broker), resident_mb(broker)
    writer, reader, prober = Writer(broker, topic), Reader(broker, topic), Prober(broker)
    newcomer = Newcomer(broker, lambda: attack.full_at)
    honest: list[Honest] = [writer, reader, prober, newcomer]
    for each in honest:
        each.start()
    complaints = []
    try:
        asyncio.run(assault(attack, seconds, CLIENTS, crowd_size))
        sent = writer.sent
        eventually(lambda: writer.sent > sent)  # they go on after it
    finally:
        for each in (writer, prober, newcomer):
            each.stop()
        patience = time.monotonic() + PATIENCE_SECONDS
        while reader.count < writer.sent and time.monotonic() < patience:
            time.sleep(0.05)
        reader.stop()
    writer.close()
    for each in honest:
        complaints += each.complaints[:20]
    complaints += verdict(writer, reader)
    bound_mb = memory_bound_mb(baseline_mb, attack.open_peak, CLIENTS, prober.partitions_peak)
    peak_mb = memory_peak_mb(broker) if broker.process and broker.process.poll() is None else 0.0
    if not 0 < peak_mb < bound_mb:
        complaints.append(f"{peak_mb:.0f} MB, not within {bound_mb:.0f}")
    try:
        eventually(lambda: descriptors(broker) <= before, PATIENCE_SECONDS)
    except (AssertionError, OSError):
        complaints.append(f"descriptors: {before} before, not so few afterwards")
    return Outcome(attack, honest, writer.sent, newcomer.refused, peak_mb, bound_mb, complaints)


def sockets_settled(broker: BrokerProcess) -> bool:
    """Whether nobody's connection is on its way in or out: a real process has no clock to advance,
    so it is looked at twice."""
    first = descriptors(broker)
    time.sleep(0.3)
    return descriptors(broker) == first


def fuzz(data: Path, seconds: float, seed: int, crowd_size: int) -> Outcome:
    """One broker besieged; AssertionError with the last behaviours and the log if it shows."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    if hard != resource.RLIM_INFINITY:
        crowd_size = min(crowd_size, hard - DESCRIPTORS_SPARE)
    broker = BrokerProcess(data, ("--log", "json"))
    attack = Attack(broker.port, broker.api_port, seed)
    try:
        broker.start()
        broker.await_api()
        outcome = besieged(broker, attack, seconds, crowd_size)
        assert broker.process is not None
        if (status := broker.process.poll()) is not None:
            outcome.complaints.append(f"the broker ended with {status}")
        elif (status := broker.stop()) != 0:
            outcome.complaints.append(f"told to stop, the broker ended with {status}")
        outcome.complaints.extend(errors_in(broker.log())[:20])
        assert not outcome.complaints, "\n".join([str(outcome), *outcome.complaints])
        return outcome
    except Exception as error:
        recent = "\n".join(attack.recent)
        error.add_note(f"Last done:\n{recent}\nThe broker's log ends:\n{broker.log()[-8_000:]}")
        raise
    finally:
        if broker.process is not None and broker.process.poll() is None:
            broker.kill()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        crowd_wanted = int(sys.argv[3]) if len(sys.argv) > 3 else limits.CONNECTIONS_MAX
        print(fuzz(Path(folder) / "data", float(sys.argv[1]), int(sys.argv[2]), crowd_wanted))
