"""`streambus cluster describe`: brokers, quorum and disks on one page."""

from typing import Any

import typer

from streambus.cli import brokers, console, rest, tables

commands = typer.Typer(help="The cluster as a whole.", no_args_is_help=True, rich_markup_mode=None)


@commands.callback()
def _group() -> None:
    """Keeps `describe` a command of its own while there is only one."""


@commands.command()
def describe(
    api: rest.Address = rest.DEFAULT_API,
    timeout: rest.Timeout = rest.TIMEOUT_S,
    as_json: rest.Json = False,
) -> None:
    """Show brokers, who controls, the quorum of the manifest, and disks."""
    with rest.session(api, timeout, as_json=as_json) as asked:
        found = asked.get("/cluster")
        found["quorum"] = asked.get("/quorum")
        for broker in found["brokers"]:
            path = f"/brokers/{broker['broker_id']}/log-directories"
            broker["log_directories"] = [_totals(each) for each in asked.get(path)["directories"]]
        if as_json:
            console.show_json(found)
        else:
            _show(found)


def _totals(directory: dict[str, Any]) -> dict[str, Any]:
    """A directory without its replicas, which may be many: how many, and their bytes."""
    replicas = directory.pop("replicas")
    held = sum(each["bytes"] for each in replicas if each["bytes"] > 0)
    return {**directory, "replica_count": len(replicas), "replica_bytes": held}


def _show(found: dict[str, Any]) -> None:
    console.say(
        f"cluster {found['cluster_id']}: StreamBus {found['version']}, {found['topics']} topics, "
        f"{found['partitions']} partitions, broker {found['controller_id']} controls"
    )
    brokers.show(found["brokers"])
    tables.show(
        ("broker", "directory", "replicas", "held", "free", "of"),
        [
            (
                str(broker["broker_id"]),
                each["path"],
                str(each["replica_count"]),
                tables.size(each["replica_bytes"]),
                tables.size(each["usable_bytes"]),
                tables.size(each["total_bytes"]),
            )
            for broker in found["brokers"]
            for each in broker["log_directories"]
        ],
        numbers=("broker", "replicas", "held", "free", "of"),
    )
    quorum = found["quorum"]
    tables.show(
        ("voter", "role", "log end", "caught up"),
        [
            (
                str(voter["broker_id"]),
                "leader" if voter["broker_id"] == quorum["leader_id"] else role,
                str(voter["log_end"]),
                tables.time(voter["last_caught_up_ms"]),
            )
            for role, voters in (("voter", quorum["voters"]), ("observer", quorum["observers"]))
            for voter in voters
        ],
        numbers=("voter", "log end"),
    )
