"""Writes docs/compatibility.md from what came out of a run: `make compatibility`."""

import json
import sys
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tests.clients.clients import CLIENTS, ROOT, Client

PAGE = ROOT / "docs" / "compatibility.md"
HEAD = """\
# Clients: what works with which

One scenario, spoken by each client in its own language against a broker as `make run` starts it, on
real sockets ([how](../tests/clients/README.md)). `make compatibility` fetches and builds the
clients, runs it, and writes this page; what is written here came out of that run.

"""
LEGEND = """
✓ works · ✓* works, but for what the client has no way to say · - the client has no way to say it ·
✗ fails (how many of its tests) · blank: not run

Consumer groups and transactions are not served yet, and so are not here.

"""
# How the tests' words read on the page, where they are not clear without their place.
LACKS = {
    "no configs": "configs (describing, or at creation)",
    "no alter": "IncrementalAlterConfigs",
    "no replace": "AlterConfigs",
    "no add_partitions": "adding partitions",
    "no delete_records": "deleting records",
    "no create": "creating topics",
    "no delete": "deleting topics",
    "no describe": "describing topics",
    "no read": "reading by assignment",
    "headers are arguments, which have no zero byte": "headers with zero bytes",
}


def row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |\n"


def cell(outcomes: list[str]) -> str:
    """What the tests of one step say about one client."""
    ran = [each for each in outcomes if each != "skipped"]
    if not ran:
        return ""
    if failed := ran.count("failed"):
        return f"✗ ({failed} of {len(ran)})"
    lacking = ran.count("lacking")
    return "-" if lacking == len(ran) else "✓*" if lacking else "✓"


def notes(client: Client) -> str:
    lacks = sorted(LACKS.get(each, each.removeprefix("no ")) for each in client.lacks)
    said = [client.notes] if client.notes else []
    if not client.timestamps:
        lacks.append("timestamps of one's own")
    if lacks:
        said.append(f"has no {', no '.join(lacks)}")
    return "; ".join(said)


def page(run: dict[str, Any]) -> str:
    """The whole of docs/compatibility.md."""
    cells: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for each in run["outcomes"]:
        cells[each["step"]][each["client"]].append(each["outcome"])
    versions = run["versions"]
    text = HEAD + row(["client", "language", "version", "with", "run", "what its users must know"])
    text += row(["---"] * 6)
    for client in CLIENTS:
        told = versions.get(client.name)
        ran = [told["version"], told.get("with", ""), run["date"]] if told else ["", "", "not run"]
        text += row([client.title, client.language, *ran, notes(client)])
    text += "\n" + row(["", *(client.title for client in CLIENTS)])
    text += row(["---"] * (len(CLIENTS) + 1))
    for step, by_client in cells.items():
        text += row([step, *(cell(by_client[client.name]) for client in CLIENTS)])
    return text + LEGEND.rstrip("\n") + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(json.loads(Path(sys.argv[1]).read_text())))
