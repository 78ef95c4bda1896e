"""The process: how it starts, refuses to start, and ends."""

import asyncio
import shutil
import signal
import socket
import ssl
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka import TopicPartition as AioPartition
from confluent_kafka import Consumer, Producer, TopicPartition

from benchmarks.broker import BrokerProcess, answers, free_port

STREAMBUS = Path(sys.executable).with_name("streambus")


def produce(address: str, topic: str, values: list[bytes], **settings: object) -> None:
    producer = Producer({"bootstrap.servers": address} | settings)
    for value in values:
        producer.produce(topic, value, partition=0)
    assert producer.flush(20) == 0


def consume(address: str, topic: str, count: int, **settings: object) -> list[bytes | None]:
    consumer = Consumer(
        {"bootstrap.servers": address, "group.id": "unused", "enable.auto.commit": False} | settings
    )
    consumer.assign([TopicPartition(topic, 0, 0)])
    try:
        values = []
        while len(values) < count:
            message = consumer.poll(20)
            assert message is not None and message.error() is None
            values.append(message.value())
        return values
    finally:
        consumer.close()


def streambus(*words: str, text: str = "", status: int = 0) -> str:
    """Run the command; returns what it printed (stderr for a failure). A broker that it starts has
    no HTTP: its address may be another's."""
    if words[0] in ("dev", "serve"):
        words = (*words, "--api", "")
    done = subprocess.run(
        [STREAMBUS, *words], input=text, capture_output=True, text=True, timeout=30, check=False
    )
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout if status == 0 else done.stderr


def test_sigterm_finishes_what_is_in_flight(fresh_broker: BrokerProcess) -> None:
    produce(fresh_broker.address, "kept", [b"1", b"2"])
    assert fresh_broker.stop() == 0
    fresh_broker.start()
    assert consume(fresh_broker.address, "kept", 2) == [b"1", b"2"]


def test_kill_9_keeps_what_was_acknowledged(fresh_broker: BrokerProcess) -> None:
    for round_ in range(3):
        produce(fresh_broker.address, "kept", [f"{round_}-{i}".encode() for i in range(100)])
        fresh_broker.kill()
        fresh_broker.start()
    expected = [f"{r}-{i}".encode() for r in range(3) for i in range(100)]
    assert consume(fresh_broker.address, "kept", 300) == expected


def test_a_second_broker_on_the_directory_is_refused(fresh_broker: BrokerProcess) -> None:
    said = streambus(
        "dev", "--data", str(fresh_broker.data), "--listen", f"127.0.0.1:{free_port()}", status=1
    )
    assert "another broker" in said and str(fresh_broker.data) in said
    assert answers(fresh_broker.port)


def test_a_taken_port_is_refused_with_its_name(fresh_broker: BrokerProcess, tmp_path: Path) -> None:
    said = streambus(
        "dev", "--data", str(tmp_path / "other"), "--listen", fresh_broker.address, status=1
    )
    assert fresh_broker.address in said


def test_another_format_version_is_refused(fresh_broker: BrokerProcess) -> None:
    fresh_broker.stop()
    marker = fresh_broker.data / "streambus.json"
    marker.write_text(marker.read_text().replace('"format": 1', '"format": 99'))
    said = streambus("dev", "--data", str(fresh_broker.data), status=1)
    assert "99" in said and "upgrade" in said


def test_a_listener_for_others_is_refused_until_it_says_insecure(tmp_path: Path) -> None:
    config = tmp_path / "broker.yaml"
    config.write_text(f"listeners: ['0.0.0.0:0']\ndata: {tmp_path / 'data'}\n")
    assert "insecure: true" in streambus("serve", "--config", str(config), status=1)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("wal: {sync: sometimes}", "wal.sync"),
        ("listners: []", "listners"),
        ("broker_id: one", "broker_id"),
        ("listeners: ['nowhere']", "host:port"),
    ],
)
def test_a_bad_configuration_is_refused_by_name(tmp_path: Path, text: str, complaint: str) -> None:
    config = tmp_path / "broker.yaml"
    config.write_text(text)
    assert complaint in streambus("serve", "--config", str(config), status=1)


def test_hostile_bytes_close_one_connection_and_touch_nothing_else(broker: BrokerProcess) -> None:
    with socket.create_connection(("127.0.0.1", broker.port)) as good:
        for frame in (
            b"GET / HTTP/1.1\r\n\r\n",
            struct.pack(">i", -5),
            struct.pack(">i", 2**31 - 1),
            struct.pack(">ihhih", 10, 0, 9, 1, -1),
            struct.pack(">ihhih", 10, 999, 0, 1, -1),
        ):
            with socket.create_connection(("127.0.0.1", broker.port), timeout=10) as bad:
                bad.sendall(frame)
                assert bad.recv(100) == b"", frame
        good.sendall(bytes.fromhex("0000000e0012000000000001") + b"\0\4wait")
        assert len(good.recv(4)) == 4


def test_streambus_produces_and_consumes(broker: BrokerProcess) -> None:
    lines = "one\ntwo\nthree\n"
    streambus("produce", "cli-topic", "--server", broker.address, text=lines)
    read = streambus("consume", "cli-topic", "--server", broker.address, "--from", "beginning")
    assert read == lines
    assert streambus("consume", "cli-topic", "--server", broker.address, "--from", "1") == (
        "two\nthree\n"
    )
    assert streambus("consume", "cli-topic", "--server", broker.address, "--from", "end") == ""


@pytest.fixture
def tls_broker(tmp_path: Path) -> Iterator[tuple[str, str, str]]:
    """(plain address, TLS address, the authority's certificate) of one broker with two doors."""
    authority = trustme.CA()
    issued = authority.issue_cert("127.0.0.1")
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    issued.cert_chain_pems[0].write_to_path(str(tmp_path / "cert.pem"))
    issued.private_key_pem.write_to_path(str(tmp_path / "key.pem"))
    port, tls_port = free_port(), free_port()
    config = tmp_path / "broker.yaml"
    config.write_text(
        f"data: {tmp_path / 'data'}\n"
        "listeners:\n"
        f"  - 127.0.0.1:{port}\n"
        f"  - name: tls\n    address: 127.0.0.1:{tls_port}\n"
        f"    tls: {{certificate: {tmp_path / 'cert.pem'}, key: {tmp_path / 'key.pem'}}}\n"
    )
    process = subprocess.Popen([STREAMBUS, "serve", "--config", str(config), "--api", ""])
    try:
        while not answers(port):
            assert process.poll() is None
        yield f"127.0.0.1:{port}", f"127.0.0.1:{tls_port}", str(tmp_path / "ca.pem")
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0


def test_tls_serves_the_same_records(tls_broker: tuple[str, str, str]) -> None:
    plain, address, authority = tls_broker
    tls = {"security.protocol": "SSL", "ssl.ca.location": authority}
    values = [bytes([i]) * 300_000 for i in range(10)]
    produce(address, "secret", values, **tls)
    assert consume(address, "secret", 10, **tls) == values
    assert consume(plain, "secret", 10) == values


@pytest.mark.skipif(shutil.which("kcat") is None, reason="no kcat (Debian: apt-get install kcat)")
async def test_tls_is_spoken_by_kcat_and_aiokafka(tls_broker: tuple[str, str, str]) -> None:
    _, address, authority = tls_broker
    kcat = ["kcat", "-b", address, "-t", "secret", "-X", "security.protocol=ssl"]
    kcat += ["-X", f"ssl.ca.location={authority}"]
    await asyncio.to_thread(
        subprocess.run, [*kcat, "-P", "-p", "0"], input=b"by kcat\n", check=True, timeout=30
    )
    context = ssl.create_default_context(cafile=authority)
    door = {"bootstrap_servers": address, "security_protocol": "SSL", "ssl_context": context}
    async with AIOKafkaProducer(**door) as producer:
        await producer.send_and_wait("secret", b"by aiokafka", partition=0)
    async with AIOKafkaConsumer(**door) as consumer:
        consumer.assign([AioPartition("secret", 0)])
        await consumer.seek_to_beginning()
        assert [(await consumer.getone()).value for _ in range(2)] == [b"by kcat", b"by aiokafka"]
    read = await asyncio.to_thread(
        subprocess.run, [*kcat, "-C", "-e", "-q"], capture_output=True, check=True, timeout=30
    )
    assert read.stdout == b"by kcat\nby aiokafka\n"


needs_mount = pytest.mark.skipif(
    shutil.which("mount") is None or __import__("os").geteuid() != 0,
    reason="mounting a small filesystem needs root",
)


@needs_mount
def test_a_full_disk_refuses_produce_while_reads_go_on(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", disk], check=True)
    broker = BrokerProcess(disk, ("--segment-bytes", "4194304"))
    try:
        broker.start()
        kept = [str(i).encode() * 1_000 for i in range(100)]
        produce(broker.address, "kept", kept)
        failed = []
        producer = Producer(
            {"bootstrap.servers": broker.address, "retries": 0, "message.timeout.ms": 5_000}
        )
        for _ in range(60):
            producer.produce(
                "kept", bytes(900_000), partition=0, on_delivery=lambda e, _: failed.append(e)
            )
            producer.flush(10)
        assert any(failed), "60 MB fitted on a disk of 24 MB"
        assert consume(broker.address, "kept", 100) == kept
        assert "disk" in broker.log().lower()
        broker.kill()
        broker.start()
        assert consume(broker.address, "kept", 100) == kept
    finally:
        broker.kill()
        subprocess.run(["umount", "-l", disk], check=True)


needs_strace = pytest.mark.skipif(
    shutil.which("strace") is None, reason="strace, which makes a system call fail, is missing"
)


@needs_strace
def test_a_failed_sync_is_never_followed_by_an_acknowledgement(
    fresh_broker: BrokerProcess,
) -> None:
    produce(fresh_broker.address, "kept", [b"before"])
    tracer = subprocess.Popen(
        [
            "strace", "-f", "-qq", "-e", "trace=pwritev2", "-e", "inject=pwritev2:error=EIO",
            "-o", "/dev/null", "-p", str(fresh_broker.pid),
        ]
    )  # fmt: skip
    try:
        outcomes: list[object] = []
        producer = Producer({
            "bootstrap.servers": fresh_broker.address,
            "message.timeout.ms": 3_000,
            "retry.backoff.ms": 50,
        })  # fmt: skip
        while not outcomes or outcomes[-1] is None:
            producer.produce(
                "kept", b"after", partition=0, on_delivery=lambda e, _: outcomes.append(e)
            )
            producer.flush(10)
            assert len(outcomes) < 100, "no write failed"
    finally:
        tracer.terminate()
        tracer.wait(10)
    acknowledged = sum(outcome is None for outcome in outcomes)
    producer.produce("kept", b"later", partition=0, on_delivery=lambda e, _: outcomes.append(e))
    producer.flush(10)
    assert outcomes[-1] is not None, "acknowledged after a failed sync"
    expected = [b"before"] + [b"after"] * acknowledged
    assert consume(fresh_broker.address, "kept", len(expected)) == expected
    fresh_broker.kill()
    fresh_broker.start()
    assert consume(fresh_broker.address, "kept", len(expected)) == expected
