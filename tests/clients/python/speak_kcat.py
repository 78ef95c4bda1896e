"""The scenario's commands by kcat: every command is a process or, to produce, one per record."""

import json
import re
import subprocess

from tests.clients.python.spoken import (
    MESSAGE_BYTES_MAX,
    WAIT_S,
    Answer,
    Command,
    Lacking,
    Record,
    Refused,
    read,
    records,
    speak,
)

# What librdkafka prints, and Kafka's code for it.
SAID = {
    "Message size too large": 10,
    "Offset out of range": 1,
    "Unknown topic or partition": 3,
    "Invalid topic": 17,
}
# Between key and value, and after a record, on standard input.
AFTER_KEY, END = b"\x01key\x01", b"\x01end\x01"
# One record: numbers, lengths (-1 is null), headers as text, then the bytes themselves.
FORMAT = r"%p %o %T %K %S %h\n%k%s"


def kcat(command: Command, *arguments: str, given: bytes = b"") -> bytes:
    try:
        done = subprocess.run(
            ["kcat", "-b", command["broker"], *arguments],
            check=False,
            input=given,
            capture_output=True,
            timeout=2 * WAIT_S,
        )
    except subprocess.TimeoutExpired as late:
        raise Refused(-1, f"kcat took more than {2 * WAIT_S} s") from late
    text = done.stderr.decode()
    code = next((code for said, code in SAID.items() if said in text), -1)
    if done.returncode or (code > 0 and "ERROR" in text):
        raise Refused(code, text)
    return done.stdout


def version(_: Command) -> Answer:
    said = subprocess.run(["kcat", "-V"], capture_output=True, text=True, check=True).stdout
    found = re.search(r"Version (\S+) .*librdkafka (\S+)", said)
    assert found is not None, said
    return {"version": found[1], "with": f"librdkafka {found[2]}"}


def headers(record: Record) -> list[str]:
    arguments = []
    for name, value in record.headers:
        if value is not None and b"\0" in value:
            raise Lacking("headers are arguments, which have no zero byte")
        arguments += ["-H", name if value is None else f"{name}={value.decode()}"]
    return arguments


def produce(command: Command) -> Answer:
    settings = {
        "acks": command["acks"],
        "enable.idempotence": str(command["idempotent"]).lower(),
        "message.max.bytes": str(MESSAGE_BYTES_MAX),
        "partitioner": "murmur2_random",
        "message.timeout.ms": str(WAIT_S * 1000),
    }
    arguments = [part for name, value in settings.items() for part in ("-X", f"{name}={value}")]
    arguments += ["-P", "-t", command["topic"], "-z", command["codec"]]
    if command["partition"] is not None:
        arguments += ["-p", str(command["partition"])]
    if any(each.timestamp is not None for each in records(command)):
        raise Lacking("no timestamps")
    for record in records(command):
        # Without -Z what is empty stays empty, with it everything empty is null.
        given = (record.value or b"") + END
        options = ["-D", END.decode(), *headers(record)]
        if record.value is None:
            options.append("-Z")
        if record.key is not None:
            given = record.key + AFTER_KEY + given
            options += ["-K", AFTER_KEY.decode()]
        kcat(command, *arguments, *options, given=given)
    # kcat tells no offsets: the test looks by reading.
    return {"written": None}


def parsed(output: bytes) -> list[dict[str, object]]:
    found = []
    while output:
        line, _, output = output.partition(b"\n")
        partition, offset, timestamp, keys, values, *rest = line.split(b" ", 5)
        key_bytes, value_bytes = max(int(keys), 0), max(int(values), 0)
        key, value = output[:key_bytes], output[key_bytes : key_bytes + value_bytes]
        output = output[key_bytes + value_bytes :]
        pairs = [each.partition(b"=") for each in rest[0].split(b",") if each] if rest else []
        record = Record(
            None if int(keys) < 0 else key,
            None if int(values) < 0 else value,
            [(name.decode(), None if text == b"NULL" else text) for name, _, text in pairs],
            int(timestamp),
        )
        found.append(read(int(partition), int(offset), record))
    return found


def read_all(command: Command) -> Answer:
    start = "beginning" if command["from"] == "earliest" else str(command["from"])
    # The end is told when a wait at it is over.
    settings = ["-X", "auto.offset.reset=error", "-X", "fetch.wait.max.ms=10"]
    level = f"isolation.level=read_{'' if command.get('committed') else 'un'}committed"
    found = []
    for partition in command["partitions"]:
        where = ["-t", command["topic"], "-p", str(partition), "-o", start, "-e", "-q"]
        options = [*settings, "-X", level, "-f", FORMAT]
        found += parsed(kcat(command, "-C", *where, *options))
    return {"records": found}


def offset(command: Command) -> Answer:
    if command["at"] == "max_timestamp":
        raise Lacking("no look-up of the largest timestamp")
    at = {"earliest": -2, "latest": -1}.get(command["at"], command["at"])
    said = kcat(command, "-Q", "-t", f"{command['topic']}:{command['partition']}:{at}")
    found = re.search(rb"offset (-?\d+)", said)
    if found is None:
        raise Refused(-1, said.decode())
    return {"offset": int(found[1])}


def topics(command: Command, *which: str) -> list[dict[str, object]]:
    told: list[dict[str, object]] = json.loads(kcat(command, "-L", "-J", *which))["topics"]
    return told


def describe(command: Command) -> Answer:
    [topic] = topics(command, "-t", command["topic"])
    if "error" in topic:
        said = str(topic["error"])
        raise Refused(next((code for text, code in SAID.items() if text in said), -1), said)
    partitions = topic["partitions"]
    assert isinstance(partitions, list)
    return {"partitions": sorted(each["partition"] for each in partitions)}


def list_topics(command: Command) -> Answer:
    return {"topics": sorted(str(each["topic"]) for each in topics(command))}


if __name__ == "__main__":
    speak(
        {
            "version": version,
            "produce": produce,
            "read": read_all,
            "offset": offset,
            "describe": describe,
            "list": list_topics,
        }
    )
