"""Differences that a person looked at and accepted, and why: `reviewed.jsonl`.

One line is an API, versions of it, a field, both values and a reason of `reasons.json`. No
wildcards: a line stands for exactly these values of this field in each of these versions, for one
case if it names one, and for one or more steps of it (an error code always names them). A full run
fails when a version or a step of a line never differed that way. A reason that begins with "Open"
is a finding that is still to be mended.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.diff.normal import Difference

HERE = Path(__file__).parent
LIST, REASONS = HERE / "reviewed.jsonl", HERE / "reasons.json"
# Fields that say the same in many cases, and no error.
EVERYWHERE = (
    ("Produce", "Responses.PartitionResponses.LogStartOffset"),
    ("Produce", "Responses.PartitionResponses.LogAppendTimeMs"),
    ("DescribeConfigs", "Results.ErrorMessage"),
)
ENTRIES = (".Configs.", "Features.", "ApiKeys.")


@dataclass(frozen=True)
class Reviewed:
    api: str
    versions: str
    field: str
    kafka: Any
    ours: Any
    reason: str
    case: str = ""
    steps: str = ""

    def keys(self) -> list["Key"]:
        kafka, ours = json.dumps(self.kafka), json.dumps(self.ours)
        places = in_spans(self.steps or self.versions)
        kind = "step" if self.steps else "version"
        return [(self.case, self.api, kind, place, self.field, kafka, ours) for place in places]


Key = tuple[str, str, str, int, str, str, str]


def spans(versions: set[int]) -> str:
    """`3-9,11`."""
    starts = sorted(v for v in versions if v - 1 not in versions)
    ends = sorted(v for v in versions if v + 1 not in versions)
    return ",".join(
        str(first) if first == last else f"{first}-{last}"
        for first, last in zip(starts, ends, strict=True)
    )


def in_spans(text: str) -> list[int]:
    """What `spans` wrote; a version may be -1."""
    versions: list[int] = []
    for span in text.split(","):
        first, dash, last = span[1:].partition("-")
        start = int(span[0] + first)
        versions += range(start, int(last) + 1) if dash else [start]
    return versions


def load() -> list[Reviewed]:
    return [Reviewed(**json.loads(line)) for line in LIST.read_text().splitlines()]


class Review:
    """The list in use: what it allows, and what of it was never needed."""

    def __init__(self, entries: Sequence[Reviewed]) -> None:
        self.matched = {key: False for entry in entries for key in entry.keys()}  # noqa: SIM118

    def allows(self, found: Difference) -> bool:
        rest = found.field, json.dumps(found.kafka), json.dumps(found.ours)
        for key in (
            (found.case, found.api, "step", found.step, *rest),
            (found.case, found.api, "version", found.version, *rest),
            ("", found.api, "version", found.version, *rest),
        ):
            if key in self.matched:
                self.matched[key] = True
                return True
        return False

    def unmatched(self) -> list[str]:
        stale = [key for key, has_matched in self.matched.items() if not has_matched]
        return [f"reviewed, but did not differ: {key}" for key in stale]


def propose(found: Sequence[Difference]) -> str:
    """Lines for what is not reviewed yet; a person gives the reasons."""
    grouped: dict[tuple[str, ...], list[Difference]] = {}
    for each in found:
        everywhere = (each.api, each.field) in EVERYWHERE
        everywhere = everywhere or any(part in each.field for part in ENTRIES)
        key = ("" if everywhere else each.case, each.api, each.field)
        grouped.setdefault((*key, json.dumps(each.kafka), json.dumps(each.ours)), []).append(each)
    lines = []
    for (case, *_), group in grouped.items():
        first = group[0]
        line = {"api": first.api, "versions": spans({each.version for each in group})}
        line |= {"field": first.field, "kafka": first.kafka, "ours": first.ours, "reason": ""}
        if case:
            line["case"] = case
        if first.field.endswith("ErrorCode"):
            line["steps"] = spans({each.step for each in group})
        lines.append(json.dumps(line) + "\n")
    return "".join(lines)
