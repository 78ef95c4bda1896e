"""`streambus topics`: what exists, and changing it.

Owns    the options of each command, what a person sees of its answer, and that nothing is destroyed
        by a slip: what deletes shows first what would go, and wants its name typed.
Never   imports the client: all of it goes over the broker's HTTP API.

A name that ends in `.*` is a prefix: every topic under it.
"""

from datetime import datetime
from typing import Annotated, Any

import typer

from streambus.cli import completion, configs, console, rest, tables

commands = typer.Typer(
    help="Topics: list, describe, create, change, delete.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

SHOWN_MAX = 20  # of what would be deleted, before "and … more"

Name = Annotated[str, typer.Argument(help="Name of a topic.", autocompletion=completion.topics)]
NameOrPrefix = Annotated[
    str,
    typer.Argument(
        help="Name of a topic, or a prefix like app.service.*", autocompletion=completion.topics
    ),
]
Names = Annotated[
    list[str],
    typer.Argument(
        help="Names of topics, or prefixes like app.service.*", autocompletion=completion.topics
    ),
]
ValidateOnly = Annotated[
    bool, typer.Option("--validate-only", help="Say whether it would be done; do nothing.")
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show what would go; delete nothing.")]
Yes = Annotated[bool, typer.Option("--yes", help="Ask nothing.")]


def is_prefix(name: str) -> bool:
    return name.endswith(".*")


@commands.command("list")
def list_(
    prefix: Annotated[str, typer.Option(help="Only names that begin so, like app.service.*")] = "",
    internal: Annotated[bool, typer.Option("--internal", help="Internal topics too.")] = False,
    watch: Annotated[
        bool, typer.Option("--watch", help="Go on, and show what comes and goes.")
    ] = False,
    api: rest.Address = rest.DEFAULT_API,
    timeout: rest.Timeout = rest.TIMEOUT_S,
    as_json: rest.Json = False,
) -> None:
    """List topics.

    With --watch and --json each state of the list is one line.
    """
    query: rest.Query = {"prefix": prefix, "internal": internal}
    with rest.session(api, None if watch else timeout, as_json=as_json) as asked:
        if watch:
            _watch(asked, query, as_json=as_json)
            return
        found = list(asked.pages("/topics", "topics", query))
        if as_json:
            console.show_json({"topics": found, "next": ""})
        else:
            _show_list(found)


def _show_list(topics: list[dict[str, Any]]) -> None:
    if not topics:
        console.say("no topics")
        return
    tables.show(
        ("topic", "partitions", "replicas"),
        [
            (each["name"], str(each["partitions"]), str(each["replication_factor"]))
            for each in topics
        ],
        numbers=("partitions", "replicas"),
    )


def _watch(asked: rest.Api, query: rest.Query, *, as_json: bool) -> None:
    known: dict[str, dict[str, Any]] | None = None
    for state in asked.events("/watch/topics", query):
        if as_json:
            console.say_json_line(state)
            continue
        topics = {each["name"]: each for each in state["topics"]}
        if known is None:
            _show_list(state["topics"])
        else:
            _show_changes(known, topics)
        console.flush()
        known = topics


def _show_changes(known: dict[str, Any], topics: dict[str, Any]) -> None:
    at = datetime.now().strftime("%H:%M:%S")
    for name in sorted(known.keys() | topics.keys()):
        before, now = known.get(name), topics.get(name)
        if now is None:
            console.say(f"{at} - {name}")
        elif before is None:
            console.say(f"{at} + {name} ({now['partitions']} partitions)")
        elif before["topic_id"] != now["topic_id"]:
            console.say(f"{at} ± {name} (made anew, {now['partitions']} partitions)")
        elif before != now:
            console.say(f"{at} ~ {name} ({now['partitions']} partitions)")


@commands.command()
def create(
    name: Name,
    partitions: Annotated[
        int | None, typer.Option(help="How many; the broker's default without it.")
    ] = None,
    replication_factor: Annotated[
        int | None, typer.Option(help="Replicas; the broker's default without it.")
    ] = None,
    config: Annotated[
        list[str] | None,
        typer.Option(help="A topic config; may be repeated.", metavar="NAME=VALUE"),
    ] = None,
    validate_only: ValidateOnly = False,
    api: rest.Address = rest.DEFAULT_API,
    timeout: rest.Timeout = rest.TIMEOUT_S,
    as_json: rest.Json = False,
) -> None:
    """Create a topic."""
    wanted: dict[str, Any] = {"name": name, "configs": rest.pairs("--config", config)}
    if partitions is not None:
        wanted["partitions"] = partitions
    if replication_factor is not None:
        wanted["replication_factor"] = replication_factor
    with rest.session(api, timeout, as_json=as_json) as asked:
        query = {"validate_only": True} if validate_only else None
        made = asked.ask("POST", "/topics", query, wanted)
        if as_json:
            console.show_json(made)
            return
        count, replicas = made["partition_count"], made["replication_factor"]
        verb = "would create" if validate_only else "created"
        console.say(f"{verb} {made['name']}: {count} partitions, {replicas} replicas of each")


@commands.command()
def describe(
    name: NameOrPrefix,
    everything: configs.All = False,
    api: rest.Address = rest.DEFAULT_API,
    timeout: rest.Timeout = rest.TIMEOUT_S,
    as_json: rest.Json = False,
) -> None:
    """Show a topic's partitions and configs, or what topics under a prefix inherit."""
    with rest.session(api, timeout, as_json=as_json) as asked:
        if is_prefix(name):
            _describe_prefix(asked, name, everything=everything, as_json=as_json)
            return
        path = _path(name)
        topic = asked.get(path)
        topic["partitions"] = list(asked.pages(f"{path}/partitions", "partitions"))
        if as_json:
            console.show_json(topic)
            return
        kind = ", internal" if topic["internal"] else ""
        known = [each["bytes"] for each in topic["partitions"] if each["bytes"] >= 0]
        console.say(
            f"{topic['name']}  id {topic['topic_id']}, {topic['partition_count']} partitions, "
            f"{topic['replication_factor']} replicas of each, {tables.size(sum(known))}{kind}"
        )
        _show_partitions(topic["partitions"])
        configs.show(topic["configs"], everything=everything)


def _describe_prefix(asked: rest.Api, prefix: str, *, everything: bool, as_json: bool) -> None:
    found = asked.get(f"{_path(prefix)}/configs")
    found["topics"] = list(asked.pages("/topics", "topics", {"prefix": prefix}))
    if as_json:
        console.show_json(found)
        return
    configs.show(found["configs"], everything=everything)
    _show_list(found["topics"])


def _show_partitions(partitions: list[dict[str, Any]]) -> None:
    columns = (
        "partition",
        "leader",
        "epoch",
        "replicas",
        "in sync",
        "start",
        "end",
        "size",
        "role",
    )
    tables.show(
        columns,
        [
            (
                str(each["partition"]),
                tables.number(each["leader"]),
                tables.number(each["leader_epoch"]),
                ",".join(map(str, each["replicas"])),
                ",".join(map(str, each["isr"])),
                tables.number(each["log_start"]),
                tables.number(each["high_watermark"]),
                tables.size(each["bytes"]),
                each["role"],
            )
            for each in partitions
        ],
        numbers=("partition", "leader", "epoch", "start", "end", "size"),
    )


@commands.command()
def alter(
    name: NameOrPrefix,
    set_: configs.Set = None,
    delete: configs.Delete = None,
    append: configs.Append = None,
    subtract: configs.Subtract = None,
    validate_only: ValidateOnly = False,
    api: rest.Address = rest.DEFAULT_API,
    timeout: rest.Timeout = rest.TIMEOUT_S,
    as_json: rest.Json = False,
) -> None:
    """Change configs of a topic, or of all topics under a prefix, all of them or none."""
    asked_for = configs.changes(set_, delete, append, subtract)
    with rest.session(api, timeout, as_json=as_json) as asked:
        configs.alter(asked, _path(name), asked_for, validate_only=validate_only, as_json=as_json)


@commands.command("add-partitions")
def add_partitions(
    name: Name,
    total: Annotated[int, typer.Option(help="How many it shall have then.")],
    api: rest.Address = rest.DEFAULT_API,
    timeout: rest.Timeout = rest.TIMEOUT_S,
    as_json: rest.Json = False,
) -> None:
    """Give a topic more partitions. Records with keys may go to others than before."""
    with rest.session(api, timeout, as_json=as_json) as asked:
        path = f"{_path(name)}/partitions"
        done = asked.ask("POST", path, None, {"total": total})
        if as_json:
            console.show_json(done)
        else:
            console.say(f"{name} has {total} partitions")


@commands.command()
def delete(
    names: Names,
    dry_run: DryRun = False,
    yes: Yes = False,
    api: rest.Address = rest.DEFAULT_API,
    timeout: rest.Timeout = rest.TIMEOUT_S,
    as_json: rest.Json = False,
) -> None:
    """Delete topics with all their records, by name or by prefix."""
    if not (dry_run or yes):
        console.require_person()
    with rest.session(api, timeout, as_json=as_json) as asked:
        doomed: list[dict[str, Any]] = []
        for name in names if dry_run or not yes else ():
            would = asked.ask("DELETE", _path(name), {"validate_only": True})["topics"]
            doomed += would
            if not dry_run:
                _show_doomed(would)
                console.confirm(name, f"this deletes {_counted(would)} and every record in them")
        if dry_run:
            _show_gone(doomed, "would delete", as_json=as_json)
        else:
            _show_gone(_deleted(asked, names), "deleted", as_json=as_json)


def _path(name: str) -> str:
    return f"/topics/{rest.segment(name)}"


def _deleted(asked: rest.Api, names: list[str]) -> list[dict[str, Any]]:
    """What went, and what did not: who named several wants to know of each."""
    gone: list[dict[str, Any]] = []
    for name in names:
        query = {"confirm": name} if is_prefix(name) else None
        try:
            gone += asked.ask("DELETE", _path(name), query)["topics"]
        except rest.Problem as problem:
            if len(names) == 1:
                raise
            gone.append({"error": dict(problem.document)})
    return gone


def _counted(topics: list[dict[str, Any]]) -> str:
    whole = [each for each in topics if "error" not in each]
    partitions = sum(each["partitions"] for each in whole)
    return f"{len(whole)} topics with {partitions} partitions"


def _show_doomed(topics: list[dict[str, Any]]) -> None:
    for each in topics[:SHOWN_MAX]:
        console.note(f"  {each['name']}" if "error" not in each else f"  not {_refusal(each)}")
    if len(topics) > SHOWN_MAX:
        console.note(f"  and {len(topics) - SHOWN_MAX} more")


def _refusal(item: dict[str, Any]) -> str:
    return str(rest.Problem(item["error"]))


def _show_gone(topics: list[dict[str, Any]], verb: str, *, as_json: bool) -> None:
    failed = [each for each in topics if "error" in each]
    if as_json:
        console.show_json({"topics": topics})
    else:
        for each in topics:
            if "error" not in each:
                console.say(f"{verb} {each['name']} ({each['partitions']} partitions)")
        if not topics:
            console.say("no topics")
    for each in failed:
        console.note(f"streambus: {_refusal(each)}")
    if failed:
        raise typer.Exit(console.EXIT_FAILED)


@commands.command("delete-records")
def delete_records(
    name: Name,
    before: Annotated[
        list[str],
        typer.Option(
            help="Delete what is before this offset of this partition (an offset, or end); may be "
            "repeated. `end` alone: all that is there.",
            metavar="PARTITION=OFFSET",
        ),
    ],
    dry_run: DryRun = False,
    yes: Yes = False,
    api: rest.Address = rest.DEFAULT_API,
    timeout: rest.Timeout = rest.TIMEOUT_S,
    as_json: rest.Json = False,
) -> None:
    """Delete the oldest records of partitions."""
    asked_for = _offsets(before)
    if not (dry_run or yes):
        console.require_person()
    with rest.session(api, timeout, as_json=as_json) as asked:
        path = _path(name)
        if dry_run or not yes or asked_for is None:
            known = list(asked.pages(f"{path}/partitions", "partitions"))
            if asked_for is None:
                asked_for = {each["partition"]: -1 for each in known}
            doomed = _doomed(known, asked_for)
            if dry_run:
                _show_doomed_records(doomed, as_json=as_json)
                return
            if not yes:
                count = sum(each["offset"] - each["log_start"] for each in doomed)
                console.confirm(name, f"this deletes {count} offsets of {name}")
        wanted = [{"partition": at, "offset": offset} for at, offset in sorted(asked_for.items())]
        done = asked.ask("DELETE", f"{path}/records", None, {"partitions": wanted})
        _show_starts(name, done["partitions"], as_json=as_json)


def _offsets(texts: list[str]) -> dict[int, int] | None:
    """Offset by partition, -1 for the end; None: the end of every partition."""
    if texts == ["end"]:
        return None
    found = {}
    for text in texts:
        partition, _, offset = text.partition("=")
        offset = "end" if offset == "-1" else offset  # as Kafka spells it
        if not partition.isdecimal() or not (offset == "end" or offset.isdecimal()):
            console.fail(
                f"--before {text}: give PARTITION=OFFSET like 0=1000, 0=end, or end for all of it",
                console.EXIT_USAGE,
            )
        found[int(partition)] = -1 if offset == "end" else int(offset)
    return found


def _doomed(known: list[dict[str, Any]], asked_for: dict[int, int]) -> list[dict[str, int]]:
    """What goes of each partition that is known: from its start up to `offset`."""
    doomed = []
    for each in known:
        if each["partition"] in asked_for:
            end = asked_for[each["partition"]]
            end = each["high_watermark"] if end < 0 else end
            start = each["log_start"]
            doomed.append(
                {"partition": each["partition"], "log_start": start, "offset": max(end, start)}
            )
    return doomed


def _show_doomed_records(doomed: list[dict[str, int]], *, as_json: bool) -> None:
    if as_json:
        console.show_json({"partitions": doomed})
        return
    tables.show(
        ("partition", "would delete from", "up to"),
        [(str(one["partition"]), str(one["log_start"]), str(one["offset"])) for one in doomed],
        numbers=("partition", "would delete from", "up to"),
    )


def _show_starts(name: str, partitions: list[dict[str, Any]], *, as_json: bool) -> None:
    failed = [rest.Problem(each["error"]) for each in partitions if "error" in each]
    if failed and len(partitions) == 1:
        rest.refuse(failed[0], as_json=as_json)
    if as_json:
        console.show_json({"partitions": partitions})
    else:
        for each in partitions:
            if "error" not in each:
                console.say(f"{name} {each['partition']} begins at {each['log_start']}")
    for problem in failed:
        console.note(f"streambus: {problem}")
    if failed:
        raise typer.Exit(console.EXIT_FAILED)
