"""Brokers and clients of the scenario, and the record of what came out."""

import json
import os
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka.admin import AdminClient, NewTopic

from benchmarks.broker import BrokerProcess
from tests.clients.clients import CLIENTS, Client
from tests.clients.conversation import Conversation, Lacks

Ask = Callable[..., dict[str, Any]]
RUN = os.environ.get("CLIENTS_RUN")  # a file for what came out: `make compatibility`
OUTCOMES = pytest.StashKey[list[dict[str, str]]]()
LACKING = pytest.StashKey[str]()


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "step(name): the row of docs/compatibility.md")
    config.stash[OUTCOMES] = []


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Any:
    """A client that cannot say a step has passed it, if clients.py says so."""
    try:
        return (yield)
    except Lacks as lack:
        pyfuncitem.stash[LACKING] = str(lack)
        return True


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Any:
    report = yield
    step = item.get_closest_marker("step")
    callspec: Any = getattr(item, "callspec", None)
    client = None if callspec is None else callspec.params.get("client")
    told = call.when == "call" or not report.passed  # a set-up that failed or was skipped, too
    if step is not None and client is not None and told:
        outcome = "lacking" if LACKING in item.stash else report.outcome
        item.config.stash[OUTCOMES].append(
            {
                "client": client.name,
                "step": step.args[0],
                "test": item.name,
                "outcome": outcome,
                "lack": item.stash.get(LACKING, ""),
            }
        )
    return report


def pytest_sessionfinish(session: pytest.Session) -> None:
    if RUN is None or hasattr(session.config, "workerinput"):
        return
    versions = {}
    for client in CLIENTS:
        if client.missing() is None:
            conversation = Conversation(client)
            versions[client.name] = conversation.ask("version", "")
            conversation.close()
    Path(RUN).parent.mkdir(parents=True, exist_ok=True)
    Path(RUN).write_text(
        json.dumps(
            {
                "date": datetime.now(UTC).date().isoformat(),
                "versions": versions,
                "outcomes": session.config.stash[OUTCOMES],
            },
            indent=1,
        )
    )


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BrokerProcess]:
    process = BrokerProcess(tmp_path_factory.mktemp("broker") / "data")
    process.start()
    yield process
    if process.process is not None and process.process.poll() is None:
        assert process.stop() == 0, process.log()


@pytest.fixture(scope="session")
def conversations() -> Iterator[dict[str, Conversation]]:
    all_of_them = {client.name: Conversation(client) for client in CLIENTS}
    yield all_of_them
    for each in all_of_them.values():
        each.close()


@pytest.fixture(params=CLIENTS, ids=lambda client: client.name)
def client(request: pytest.FixtureRequest) -> Client:
    """Each client in turn; skipped, with how to get it, where it is not there."""
    found: Client = request.param
    if (missing := found.missing()) is not None:
        pytest.skip(missing)
    return found


@pytest.fixture
def ask(client: Client, broker: BrokerProcess, conversations: dict[str, Conversation]) -> Ask:
    """Asks the client in turn."""

    def asked(verb: str, **command: Any) -> dict[str, Any]:
        return conversations[client.name].ask(verb, broker.address, **command)

    return asked


@pytest.fixture(scope="module")
def referee(broker: BrokerProcess, conversations: dict[str, Conversation]) -> Ask:
    """Asks confluent-kafka: arranges what a client is to find, and looks at what one did."""

    def asked(verb: str, **command: Any) -> dict[str, Any]:
        return conversations["confluent"].ask(verb, broker.address, **command)

    return asked


@pytest.fixture
def reread(client: Client, ask: Ask, referee: Ask) -> Ask:
    """Asks the client itself or, if it does not read here, the referee."""
    return ask if client.reads else referee


@pytest.fixture(scope="module")
def new_topic(broker: BrokerProcess) -> Callable[..., str]:
    admin = AdminClient({"bootstrap.servers": broker.address})

    def made(partitions: int = 1, **configs: str) -> str:
        name = f"topic-{uuid.uuid4().hex[:8]}"
        dotted = {config.replace("_", "."): value for config, value in configs.items()}
        admin.create_topics([NewTopic(name, partitions, 1, config=dotted)])[name].result(20)
        return name

    return made
