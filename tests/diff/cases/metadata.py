"""Metadata: names and ids, missing and invalid, all and none, made on request."""

from tests.diff.schema import Message
from tests.diff.script import Script


def _ask(script: Script, version: int, topics: list[Message] | None, **more: object) -> None:
    body: Message = {"Topics": topics, **more}
    if version > 3:
        body.setdefault("AllowAutoTopicCreation", False)
    script.call("Metadata", version, body)


def names_in_every_version(script: Script) -> None:
    script.create("a", 3)
    script.create("b")
    for version in script.versions("Metadata"):
        _ask(script, version, [{"Name": script.topic("a")}])
        _ask(script, version, [{"Name": script.topic("b")}, {"Name": script.topic("a")}])
        _ask(script, version, [{"Name": script.topic("a")}, {"Name": script.topic("a")}])
        if version > 3:
            _ask(script, version, [{"Name": script.topic("missing")}, {"Name": script.topic("a")}])
            for name in ("", ".", "..", "a b", "é", "x" * 250):
                _ask(script, version, [{"Name": name}])


def none_in_every_version(script: Script) -> None:
    for version in script.versions("Metadata", 1):
        _ask(script, version, [])


def operations_in_every_version(script: Script) -> None:
    script.create("a")
    for version in script.versions("Metadata", 8):
        more = {"IncludeTopicAuthorizedOperations": True}
        if version < 11:
            more["IncludeClusterAuthorizedOperations"] = True
        names = [{"Name": script.topic("a")}, {"Name": script.topic("missing")}]
        _ask(script, version, names, **more)


def ids(script: Script) -> None:
    script.create("a", 2)
    old = script.id("a")
    for version in script.versions("Metadata", 10):
        _ask(script, version, [{"Name": None, "TopicId": script.id("a")}])
        _ask(script, version, [{"Name": script.topic("a"), "TopicId": script.id("a")}])
        _ask(script, version, [{"Name": None, "TopicId": script.id("missing")}])
        _ask(script, version, [{"Name": None}])
        _ask(script, version, [{"Name": None, "TopicId": old}, {"Name": script.topic("a")}])
    script.delete("a")
    script.create("a")
    for version in script.versions("Metadata", 10):
        _ask(script, version, [{"Name": None, "TopicId": old}])
        _ask(
            script,
            version,
            [{"Name": None, "TopicId": old}, {"Name": None, "TopicId": script.id("a")}],
        )


def creation_that_is_not_allowed_or_not_possible(script: Script) -> None:
    for version in script.versions("Metadata", 4):
        for name in ("a b", "..", "", "x" * 250):
            _ask(script, version, [{"Name": name}], AllowAutoTopicCreation=True)


def creation_in_every_version(script: Script) -> None:
    for version in script.versions("Metadata"):
        name = script.topic(f"made{version}")
        more = {"AllowAutoTopicCreation": True} if version > 3 else {}
        script.call("Metadata", version, {"Topics": [{"Name": name}], **more}, settles=[name])
        again = {"Topics": [{"Name": name}], **more}
        script.call("Metadata", version, again, binds={name: script.id(f"made{version}").hex})


def internal_topics_are_not_made(script: Script) -> None:
    for name in ("__consumer_offsets_x", "__transaction_state_x"):
        body = {"Topics": [{"Name": name}], "AllowAutoTopicCreation": False}
        script.call("Metadata", 12, body)
