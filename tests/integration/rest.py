"""A broker with its HTTP plane in a thread of the test's process, and a plain client for it."""

import asyncio
import http.client
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app import main
from app.api.plane import Plane, address_of, listening
from app.api.settings import ApiSettings
from app.config import BrokerConfig
from app.main import started
from app.world.real import RealWorld

JSON = "application/json"
PROBLEM = "application/problem+json"


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    def problem(self, status: int, code: str) -> dict[str, Any]:
        """The problem that this answer must be."""
        assert (self.status, self.headers["content-type"]) == (status, PROBLEM), self
        found: dict[str, Any] = self.json
        assert (found["status"], found["code"]) == (status, code), found
        assert found["type"] == f"/problems/{code}"
        assert found["title"] and found["detail"]
        return found


class RestBroker:
    """Kafka clients at `kafka`, HTTP at `address`."""

    def __init__(self, data: Path, settings: ApiSettings) -> None:
        self._data = data
        self._settings = settings
        self._up = threading.Event()
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._work, name="broker", daemon=True)
        self.kafka = ("", 0)
        self.address = ""

    def start(self) -> None:
        self._thread.start()
        assert self._up.wait(30), "the broker did not start"
        if self._failure is not None:
            raise self._failure

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(30)
        assert not self._thread.is_alive(), "the broker did not end"
        if self._failure is not None:
            raise self._failure

    def _work(self) -> None:
        try:
            with asyncio.Runner(loop_factory=main._loop_factory()) as runner:
                runner.run(self._run())
        except BaseException as error:  # told to whoever waits for the start, or stops it
            self._failure = error
        finally:
            self._up.set()

    async def _run(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        config = BrokerConfig(data=str(self._data), listeners=("127.0.0.1:0",))
        world = RealWorld()
        with listening("127.0.0.1", 0) as bound:
            self.address = address_of(bound)
            async with started(config, world) as broker:
                self.kafka = broker.addresses[0]
                plane = Plane(world, broker.admin, bound, self._settings)
                async with plane.running("inside", ("human", "info")):
                    self._up.set()
                    await self._stop.wait()
        await world.close()

    def connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection(self.address, timeout=30)

    def ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        media: str | None = None,
        **headers: str,
    ) -> Answer:
        """`body`: bytes as they are, anything else as JSON."""
        if body is not None and not isinstance(body, bytes):
            body, media = json.dumps(body).encode(), media or JSON
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if media is not None:
            sent["content-type"] = media
        connection = self.connect()
        try:
            connection.request(method, path, body, sent)
            answered = connection.getresponse()
            named = {name.lower(): value for name, value in answered.getheaders()}
            return Answer(answered.status, named, answered.read())
        finally:
            connection.close()


@contextmanager
def rest_broker(data: Path, **settings: Any) -> Iterator[RestBroker]:
    broker = RestBroker(data, ApiSettings(version="0.0.0", broker_id=1, **settings))
    broker.start()
    try:
        yield broker
    finally:
        broker.stop()
