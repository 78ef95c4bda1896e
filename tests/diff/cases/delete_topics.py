"""DeleteTopics by name and by id."""

from tests.diff.schema import Message
from tests.diff.script import Script


def every_version(script: Script) -> None:
    for version in script.versions("DeleteTopics"):
        name = f"t{version}"
        script.create(name)
        topic, missing = script.topic(name), script.topic("missing")
        if version < 6:
            body = {"TopicNames": [topic, missing], "TimeoutMs": 10_000}
            again = {"TopicNames": [topic], "TimeoutMs": 10_000}
            twice = {"TopicNames": [missing, missing], "TimeoutMs": 10_000}
            none = {"TopicNames": [], "TimeoutMs": 10_000}
        else:
            body = {"Topics": [{"Name": topic}, {"Name": missing}], "TimeoutMs": 10_000}
            again = {"Topics": [{"Name": topic}], "TimeoutMs": 10_000}
            twice = {"Topics": [{"Name": missing}, {"Name": missing}], "TimeoutMs": 10_000}
            none = {"Topics": [], "TimeoutMs": 10_000}
        script.call("DeleteTopics", version, body, settles=[f"!{topic}"])
        for each in (again, twice, none):
            script.call("DeleteTopics", version, each)


def names(script: Script) -> None:
    for name in ("", ".", "a b", "x" * 250, "é"):
        script.call("DeleteTopics", 5, {"TopicNames": [name], "TimeoutMs": 1000})
        script.call("DeleteTopics", 6, {"Topics": [{"Name": name}], "TimeoutMs": 1000})


def ids(script: Script) -> None:
    script.create("a")
    script.create("b")
    old = script.id("a")
    for rows in (
        [{"Name": None, "TopicId": old}],
        [{"Name": None, "TopicId": old}],
        [{"Name": None}],
        [{"Name": script.topic("b"), "TopicId": script.id("b")}],
        [{"Name": None, "TopicId": script.id("missing")}],
        [{"Name": script.topic("b")}, {"Name": None, "TopicId": script.id("b")}],
        [{"Name": None, "TopicId": script.id("b")}] * 2,
    ):
        script.call("DeleteTopics", 6, {"Topics": rows, "TimeoutMs": 10_000})


def several(script: Script) -> None:
    for name in ("a", "b", "c"):
        script.create(name)
    rows: list[Message] = [{"Name": script.topic(name)} for name in ("c", "missing", "a")]
    rows.append({"Name": None, "TopicId": script.id("b")})
    script.call("DeleteTopics", 6, {"Topics": rows, "TimeoutMs": 10_000})
