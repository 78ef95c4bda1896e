"""Incremental fetch sessions (KIP-227): new, incremental, forgotten, and their errors."""

from tests.diff.batches import batch
from tests.diff.schema import Message
from tests.diff.script import Script, session_placeholder


def _forget(script: Script, name: str, version: int, *partitions: int) -> list[Message]:
    return [{**script.named(name, version, 13), "Partitions": list(partitions)}]


def every_version(script: Script) -> None:
    script.create("t", 2)
    for n, version in enumerate(script.versions("Fetch", 7)):
        label = f"s{version}"
        mine = session_placeholder(label)
        script.fetch("t", n, 0, version=version, session=(0, 0), label=label)
        script.fetch("t", version=version, session=(mine, 1))
        script.produce("t", batch())
        script.fetch("t", version=version, session=(mine, 2))
        script.fetch("t", n + 1, version=version, session=(mine, 3))
        script.fetch("t", version=version, session=(mine, 9))
        script.fetch("t", version=version, session=(mine, -1))
        script.fetch("t", version=version, session=(mine, 4))


def errors(script: Script) -> None:
    script.create("t")
    mine = session_placeholder("s")
    for version in script.versions("Fetch", 7):
        script.fetch("t", 0, version=version, session=(12345, 1))
        script.fetch("t", 0, version=version, session=(12345, -1))
        script.fetch("t", 0, version=version, session=(12345, 0))
        script.fetch("t", 0, version=version, session=(0, 5))
    script.fetch("t", 0, session=(0, 0), label="s")
    for epoch in (2, 0, 1, 3, 7, 2, -5):
        script.fetch("t", 0, session=(mine, epoch))


def a_session_is_replaced(script: Script) -> None:
    script.create("t")
    first, second = session_placeholder("first"), session_placeholder("second")
    script.fetch("t", 0, session=(0, 0), label="first")
    script.fetch("t", 0, session=(first, 0), label="second")
    script.fetch("t", session=(first, 1))
    script.fetch("t", session=(second, 1))
    script.fetch("t", session=(second, -1))
    script.fetch("t", session=(second, 2))


def partitions_come_and_go(script: Script) -> None:
    script.create("a", 3)
    script.create("b", 2)
    for version in (7, 12, 13, 18):
        label = f"s{version}"
        mine = session_placeholder(label)
        script.fetch("a", 0, 0, version=version, session=(0, 0), label=label)
        script.fetch("b", 0, version=version, session=(mine, 1))
        script.fetch("a", 0, 0, 0, version=version, session=(mine, 2))
        script.fetch(
            "a", version=version, session=(mine, 3), forget=_forget(script, "a", version, 1)
        )
        script.produce("a", *[batch()] * 3)
        script.fetch("a", version=version, session=(mine, 4))
        script.fetch(
            "a", version=version, session=(mine, 5), forget=_forget(script, "b", version, 0, 7)
        )
        script.fetch(
            "a", 0, version=version, session=(mine, 6), forget=_forget(script, "a", version, 0, 2)
        )
        script.fetch("a", version=version, session=(mine, 7))
        script.fetch("a", version=version, session=(mine, -1))


def only_what_changed_is_sent(script: Script) -> None:
    script.create("t", 4)
    mine = session_placeholder("s")
    script.produce("t", batch(), batch())
    script.fetch("t", 0, 0, 0, 0, session=(0, 0), label="s")
    script.fetch("t", session=(mine, 1))
    script.fetch("t", 1, 1, session=(mine, 2))
    script.fetch("t", session=(mine, 3))
    script.produce("t", batch(), partition=2)
    script.fetch("t", session=(mine, 4))
    script.fetch("t", 1, 1, 1, session=(mine, 5))
    script.fetch("t", 9, session=(mine, 6))
    script.fetch("t", session=(mine, 7))
    script.fetch("t", 1, session=(mine, 8))
    script.fetch("t", session=(mine, 9))


def the_order_rotates(script: Script) -> None:
    script.create("t", 3)
    mine = session_placeholder("s")
    size = len(batch([(None, b"v" * 30)]))
    for _ in range(3):
        script.produce("t", *[batch([(None, b"v" * 30)])] * 3)
    script.fetch("t", 0, 0, 0, session=(0, 0), label="s", max_bytes=size)
    for epoch in range(1, 7):
        script.fetch("t", session=(mine, epoch), max_bytes=size)


def unknown_partitions_in_a_session(script: Script) -> None:
    script.create("t")
    mine = session_placeholder("s")
    script.fetch("t", 0, 0, session=(0, 0), label="s")
    script.fetch("t", session=(mine, 1))
    script.fetch("missing", 0, session=(mine, 2))
    script.fetch("t", session=(mine, 3))
    script.create("missing")
    script.fetch("t", session=(mine, 4))


def unknown_ids_in_a_session(script: Script) -> None:
    script.create("t")
    for version in script.versions("Fetch", 13):
        label = f"s{version}"
        mine = session_placeholder(label)
        script.fetch("missing", 0, version=version, session=(0, 0), label=label)
        script.fetch("t", 0, version=version, session=(mine, 1))
        script.fetch("t", version=version, session=(mine, 2))


def a_topic_is_made_anew(script: Script) -> None:
    for version in (12, 13, 18):
        name = f"t{version}"
        label = f"s{version}"
        mine = session_placeholder(label)
        script.create(name)
        script.produce(name, batch())
        script.fetch(name, 0, version=version, session=(0, 0), label=label)
        script.delete(name)
        script.fetch(name, version=version, session=(mine, 1))
        script.create(name)
        script.fetch(name, version=version, session=(mine, 2))
        script.fetch(name, 0, version=version, session=(mine, 3))


def names_and_ids_in_one_session(script: Script) -> None:
    script.create("t")
    mine = session_placeholder("s")
    script.fetch("t", 0, version=12, session=(0, 0), label="s")
    script.fetch("t", 0, version=13, session=(mine, 1))
    script.fetch("t", 0, version=12, session=(mine, 1))
    other = session_placeholder("o")
    script.fetch("t", 0, version=13, session=(0, 0), label="o")
    script.fetch("t", version=12, session=(other, 1))
    script.fetch("t", version=13, session=(other, 1))


def a_session_of_nothing(script: Script) -> None:
    script.create("t")
    mine = session_placeholder("s")
    script.fetch("t", session=(0, 0), label="s")
    script.fetch("t", 0, session=(mine, 1))


def a_session_that_forgets_everything(script: Script) -> None:
    script.create("t")
    mine = session_placeholder("s")
    script.fetch("t", 0, session=(0, 0), label="s")
    script.fetch("t", session=(mine, 1), forget=_forget(script, "t", 12, 0))
    script.fetch("t", session=(mine, 2))
    script.fetch("t", 0, session=(mine, 3))


def waiting_in_a_session(script: Script) -> None:
    script.create("t", 2)
    mine = session_placeholder("s")
    script.fetch("t", 0, 0, session=(0, 0), label="s", wait_ms=600, waits_ms=600)
    script.fetch("t", session=(mine, 1), wait_ms=600, waits_ms=600)
    script.produce("t", batch())
    script.fetch("t", session=(mine, 2), wait_ms=600, waits_ms=600)
