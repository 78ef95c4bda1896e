"""Clients that mean a live broker no good: each works through behaviours that its seed picks.

A behaviour is one connection's life (or a storm of them). What the broker does to it is its own
affair: to be closed or reset is an answer too. The seed decides what is done in which order and
with which bytes; what interleaves with what is up to the kernels' sockets.
"""

import asyncio
import errno
import random
import socket
import ssl
import struct
import time
from collections import Counter, deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from app import limits
from tests.fuzz import frames
from tests.integration.wire import API_VERSIONS, a_batch, fetched, frame_of, produced

TEMPTING = "orders"  # the topic that most golden frames name; it has records, some of them large
STEP_SECONDS = 2.0  # that a hostile client waits for anything
RESET = struct.pack("ii", 1, 0)  # SO_LINGER
CROWD_STEP = 250  # connections that are made at once: less than the broker's backlog
NEARLY = 50  # connections short of the limit count as at it: the broker has some of others
BIND_ADDRESS_NO_PORT = 24  # IP_BIND_ADDRESS_NO_PORT of Linux
LENGTHS = (
    -1,
    -(2**31),
    0,
    9,
    10,
    limits.RECEIVE_BUFFER_IDLE_BYTES + 1,
    limits.MIB + 1,
    16 * limits.MIB,
    limits.REQUEST_BYTES_MAX,
    limits.REQUEST_BYTES_MAX + 1,
    2**31 - 1,
)
HTTP = (
    b"GET / HTTP/1.1\r\nhost: a\r\n\r\n",
    b"GET /health/ready HTTP/1.1\r\nhost: a\r\n\r\n" * 20,
    b"GET /metrics HTTP/1.1\r\nhost: a\r\n\r\n",
    b"GET /v1/topics?limit=1000 HTTP/1.1\r\nhost: a\r\n\r\n",
    b"GET /v1/watch/topics HTTP/1.1\r\nhost: a\r\n\r\n",
    b"GET /" + b"x" * 2 * limits.API_HEAD_BYTES_MAX + b" HTTP/1.1\r\n\r\n",
    b"POST /v1/topics HTTP/1.1\r\nhost: a\r\ncontent-length: 99999999999\r\n\r\n{",
    b"POST /v1/topics HTTP/1.1\r\nhost: a\r\ncontent-length: 40\r\n\r\n{",
    b"POST /v1/topics/orders/records HTTP/1.1\r\nhost: a\r\n"
    b"transfer-encoding: chunked\r\n\r\nffff\r\n",
    b"GET / HTTP/1.1\r\nhost: a\r\ncontent-length: -1\r\n\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
)
REQUESTS = [seed.frame for seed in frames.SEEDS if seed.is_request]


class Dropped(Exception):
    """The broker closed, reset or refused the connection, or did not take what was sent in time."""


@dataclass
class Attack:
    """What all hostile clients of one run share: whom they go for, and what they did."""

    port: int
    api_port: int
    seed: int
    open: int = 0
    open_peak: int = 0
    connections: int = 0
    requests: int = 0
    dropped: int = 0
    no_port: int = 0  # for want of a local port: nothing of the broker's
    crowd_peak: int = 0
    full_at: float = float("-inf")  # when the broker last had as many connections as it may
    behaviours: Counter[str] = field(default_factory=Counter)
    recent: deque[str] = field(default_factory=lambda: deque(maxlen=60))

    def look_whether_full(self) -> None:
        if self.open >= limits.CONNECTIONS_MAX - NEARLY:
            self.full_at = time.monotonic()

    def began(self, client: str, behaviour: str) -> None:
        self.behaviours[behaviour] += 1
        self.recent.append(f"{time.monotonic():.3f} {client} {behaviour}")


class Hostile:
    """One connection of an attack, closed in one of the ways there are."""

    def __init__(self, attack: Attack, rng: random.Random, *, http: bool = False) -> None:
        self.attack = attack
        self.rng = rng
        self.port = attack.api_port if http else attack.port
        self.socket = socket.socket()
        self.socket.setblocking(False)

    async def __aenter__(self) -> "Hostile":
        attack = self.attack
        attack.connections += 1
        attack.open += 1
        attack.open_peak = max(attack.open_peak, attack.open)
        try:
            # Many addresses, or the ports of one would be used up by connections just closed.
            self.socket.setsockopt(socket.IPPROTO_IP, BIND_ADDRESS_NO_PORT, 1)
            self.socket.bind((f"127.0.{self.rng.randrange(1, 8)}.{self.rng.randrange(1, 255)}", 0))
            loop = asyncio.get_running_loop()
            await self._step(loop.sock_connect(self.socket, ("127.0.0.1", self.port)))
        except BaseException:
            self.end()
            raise
        return self

    async def __aexit__(self, *raised: object) -> None:
        match self.rng.randrange(3):
            case 0:
                self.reset()
            case 1:
                try:
                    self.socket.shutdown(socket.SHUT_WR)
                    await self.read(seconds=0.2)
                except OSError:
                    self.attack.dropped += 1
        self.end()

    def end(self) -> None:
        self.attack.open -= 1
        self.socket.close()

    def reset(self) -> None:
        """Whatever comes after this, the end of the connection is a reset."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)

    async def _step(self, step: Awaitable[object]) -> object:
        try:
            return await asyncio.wait_for(step, STEP_SECONDS)
        except (OSError, TimeoutError) as error:
            if isinstance(error, OSError) and error.errno == errno.EADDRNOTAVAIL:
                self.attack.no_port += 1
            raise Dropped(str(error)) from error

    async def send(self, sent: bytes, requests: int = 1) -> None:
        self.attack.requests += requests
        await self._step(asyncio.get_running_loop().sock_sendall(self.socket, sent))

    async def read(self, seconds: float) -> int:
        """How many bytes came within `seconds`, or until the end."""
        loop, came = asyncio.get_running_loop(), 0
        try:
            async with asyncio.timeout(seconds):
                while part := await loop.sock_recv(self.socket, 1 << 16):
                    came += len(part)
        except OSError:  # TimeoutError is one, a reset is another
            return came
        return came


def request(rng: random.Random) -> bytes:
    """A frame: golden, mutated, or one that works upon the tempting topic."""
    match rng.randrange(8):
        case 0:
            return frame_of(rng.choice(REQUESTS))
        case 1:
            return API_VERSIONS
        case 2:
            return produced(TEMPTING, a_batch([rng.randbytes(rng.choice((0, 10, 3_000)))] * 3))
        case 3:
            wait_ms = rng.choice((0, 0, 100, 5_000))
            return fetched(TEMPTING, [0, 1], offset=rng.randrange(40), wait_ms=wait_ms)
        case _:
            # Now and then an answer instead of a request.
            start = rng.choice(frames.SEEDS).frame if rng.random() < 0.1 else rng.choice(REQUESTS)
            return frame_of(frames.mutated(start, rng))


# Behaviours: the docstring says what the broker gets to see.


async def malformed(attack: Attack, rng: random.Random) -> None:
    """Mutated frames one after the other, each answer waited for a little."""
    async with Hostile(attack, rng) as hostile:
        for _ in range(rng.randrange(1, 12)):
            await hostile.send(request(rng))
            await hostile.read(0.02)


async def half(attack: Attack, rng: random.Random) -> None:
    """A request that stops anywhere."""
    async with Hostile(attack, rng) as hostile:
        sent = request(rng) if rng.random() < 0.7 else produced(TEMPTING, a_batch([bytes(900_000)]))
        await hostile.send(sent[: rng.randrange(len(sent))], requests=0)
        await asyncio.sleep(rng.random() * 3)


async def slow(attack: Attack, rng: random.Random) -> None:
    """A request byte by byte, complete after a while."""
    async with Hostile(attack, rng) as hostile:
        pause = rng.choice((0.0, 0.001, 0.02))
        for byte in request(rng)[:400]:
            await hostile.send(bytes((byte,)), requests=0)
            await asyncio.sleep(pause)
        await hostile.read(0.1)


async def lengths(attack: Attack, rng: random.Random) -> None:
    """A length that is wrong or huge, the header of some request, and some of its body."""
    async with Hostile(attack, rng) as hostile:
        head = struct.pack(">i", rng.choice(LENGTHS)) + rng.choice(REQUESTS)[:14]
        await hostile.send(head + bytes(rng.choice((0, 10, 100_000, 3 << 20))))
        await hostile.read(rng.random() * 2)


async def pipelined(attack: Attack, rng: random.Random) -> None:
    """All sorts of requests at once, cut into pieces that know nothing of their borders."""
    async with Hostile(attack, rng) as hostile:
        many = [request(rng) for _ in range(rng.choice((10, 100, 400)))]
        sent = b"".join(many)
        if rng.random() < 0.5:
            await hostile.send(sent, len(many))
        else:
            piece = rng.choice((7, 1_000, 50_000))
            for at in range(0, min(len(sent), piece * 200), piece):
                await hostile.send(sent[at : at + piece], requests=0)
        await hostile.read(rng.random())


async def unread(attack: Attack, rng: random.Random) -> None:
    """Many fetches whose answers nobody reads."""
    async with Hostile(attack, rng) as hostile:
        hostile.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        await hostile.send(fetched(TEMPTING, [0, 1] * rng.choice((1, 10))) * 50, requests=50)
        await asyncio.sleep(rng.random() * 4)
        if rng.random() < 0.5:
            hostile.reset()


async def parked(attack: Attack, rng: random.Random) -> None:
    """Fetches that wait for what never comes, left behind."""
    async with Hostile(attack, rng) as hostile:
        await hostile.send(fetched(TEMPTING, [0, 1], offset=10**9, wait_ms=60_000))
        await hostile.send(fetched(TEMPTING, [0, 1], min_bytes=1 << 30, wait_ms=60_000) * 20, 20)
        await asyncio.sleep(rng.random() * 2)


async def crammed(attack: Attack, rng: random.Random) -> None:
    """As much as one request of an API may ask for: names, partitions, batches."""
    async with Hostile(attack, rng) as hostile:
        match rng.randrange(3):
            case 0:  # Metadata v1 of very many topics whose names are no names
                count = rng.choice((1_000,) * 9 + (200_000,))
                body = b"\0\3\0\1\0\0\0\1\xff\xff" + struct.pack(">i", count) + b"\0\1*" * count
                await hostile.send(frame_of(body))
            case 1:
                await hostile.send(fetched(TEMPTING, range(rng.choice((1_000,) * 9 + (50_000,)))))
            case _:
                await hostile.send(produced(TEMPTING, a_batch([b"x" * 100] * 9_000)) * 4, 4)
        await hostile.read(STEP_SECONDS)


async def storm(attack: Attack, rng: random.Random) -> None:
    """Connect, say little or nothing, leave; again and again."""
    for _ in range(rng.randrange(10, 60)):
        async with Hostile(attack, rng) as hostile:
            if rng.random() < 0.5:
                await hostile.send(API_VERSIONS)
            if rng.random() < 0.5:
                hostile.reset()


async def cut(attack: Attack, rng: random.Random) -> None:
    """A reset in the middle of a large request, or while answers are on their way."""
    async with Hostile(attack, rng) as hostile:
        large = produced(TEMPTING, a_batch([bytes(700_000)]))
        await hostile.send(request(rng) + large[: rng.randrange(len(large))])
        if rng.random() < 0.5:
            await asyncio.sleep(rng.random() * 0.05)
        hostile.reset()


async def tls(attack: Attack, rng: random.Random) -> None:
    """The first flight of a TLS client, to a door that speaks none."""
    sent = ssl.MemoryBIO()
    try:
        ssl.create_default_context().wrap_bio(
            ssl.MemoryBIO(), sent, server_hostname="localhost"
        ).do_handshake()
    except ssl.SSLWantReadError:
        hello = sent.read()
    async with Hostile(attack, rng, http=rng.random() < 0.5) as hostile:
        await hostile.send(hello)
        await hostile.read(0.5)


async def http_to_kafka(attack: Attack, rng: random.Random) -> None:
    """What a browser or a scraper would ask for, at the wrong port."""
    async with Hostile(attack, rng) as hostile:
        await hostile.send(rng.choice(HTTP))
        await hostile.read(0.5)


async def kafka_to_http(attack: Attack, rng: random.Random) -> None:
    """A Kafka client that was given the HTTP port."""
    async with Hostile(attack, rng, http=True) as hostile:
        for _ in range(rng.randrange(1, 5)):
            await hostile.send(request(rng))
        await hostile.read(0.3)


async def bad_http(attack: Attack, rng: random.Random) -> None:
    """Heads too long, bodies that stop, requests that are mutated, slow or never read."""
    async with Hostile(attack, rng, http=True) as hostile:
        sent = rng.choice(HTTP)
        if rng.random() < 0.5:
            sent = frames.mutated(sent, rng)
        if rng.random() < 0.3:
            for at in range(min(len(sent), 100)):
                await hostile.send(sent[at : at + 1], requests=0)
                await asyncio.sleep(0.01)
        else:
            await hostile.send(sent)
        await (asyncio.sleep(rng.random() * 3) if rng.random() < 0.3 else hostile.read(0.5))


BEHAVIOURS: list[Callable[[Attack, random.Random], Awaitable[None]]] = [
    malformed,
    malformed,
    malformed,
    half,
    slow,
    lengths,
    pipelined,
    pipelined,
    unread,
    parked,
    crammed,
    storm,
    cut,
    tls,
    http_to_kafka,
    kafka_to_http,
    bad_http,
]


async def client(attack: Attack, number: int, ends: float) -> None:
    rng = random.Random(f"{attack.seed}-{number}")
    while time.monotonic() < ends:
        behave = rng.choice(BEHAVIOURS)
        attack.began(f"client {number}", behave.__name__)
        try:
            await behave(attack, rng)
        except Dropped:
            attack.dropped += 1
            await asyncio.sleep(0.05)  # refused for lack of room, it would only spin


async def crowd(attack: Attack, size: int, ends: float) -> None:
    """Idle connections: first `size` of them, then as many or fewer, again and again; each time
    all are gone at once."""
    rng = random.Random(f"{attack.seed}-crowd")
    wanted = size
    while time.monotonic() < ends:
        attack.began(f"of {wanted}", "crowd")
        standing: list[Hostile] = []
        try:
            await gathered(attack, rng, standing, wanted, ends)
            attack.crowd_peak = max(attack.crowd_peak, len(standing))
            await asyncio.sleep(1 + rng.random() * 2)
        finally:
            attack.look_whether_full()
            for each in standing:
                each.reset()
                each.end()
        await asyncio.sleep(rng.random() * 2)
        wanted = rng.choice((size, size // 2, size // 10))


async def gathered(
    attack: Attack, rng: random.Random, standing: list[Hostile], wanted: int, ends: float
) -> None:
    """Connections are added to `standing` until it has so many, or it is late."""
    while len(standing) < wanted and time.monotonic() < ends:
        made = [Hostile(attack, rng) for _ in range(min(CROWD_STEP, wanted - len(standing)))]
        came = await asyncio.gather(*(each.__aenter__() for each in made), return_exceptions=True)
        unexpected = [each for each in came if not isinstance(each, Hostile | Dropped)]
        assert not unexpected, unexpected
        standing += [each for each in came if isinstance(each, Hostile)]
        attack.look_whether_full()


async def assault(attack: Attack, seconds: float, clients: int, crowd_size: int) -> None:
    """All of them at once, for so long; all connections are closed afterwards."""
    ends = time.monotonic() + seconds
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(crowd(attack, crowd_size, ends), name="crowd")
        for number in range(clients):
            tasks.create_task(client(attack, number, ends), name=f"client-{number}")
    assert attack.open == 0, f"{attack.open} hostile connections were not closed"
