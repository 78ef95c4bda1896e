"""Transcripts: a script and its exact trace, the documentation of a machine that cannot go stale.

A transcript is a text file of commands, each on one line, followed by a line `----` and the trace
that the machine gives. Blank lines and lines that start with `#` between them are for the reader:

    # a producer that repeats its batch gets the first offset again
    produce id=7 epoch=0 sequence=0 count=3
    ----
    offset 0
    end 3

The file lies in a folder named for its machine, and `tests/transcripts/<folder>_machine.py` has the
class `Machine`, a new one for each file, whose `do(command)` returns the trace.

`python -m tests.transcripts.runner FILE...` rewrites the traces with what the machines give now:
read the difference before you commit it.
"""

import importlib
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

RULE = "----"
FOLDER = Path(__file__).resolve().parent


class Machine(Protocol):
    def do(self, command: str) -> str:
        """The trace of one command: lines, joined by newlines; '' if it says nothing."""


@dataclass(slots=True)
class Step:
    before: list[str]  # blank lines and remarks
    command: str
    trace: list[str] = field(default_factory=list)


def is_remark(line: str) -> bool:
    return not line.strip() or line.startswith("#")


def parse(text: str) -> tuple[list[Step], list[str]]:
    """Steps, and what remarks follow; `ValueError` where lines belong to nothing."""
    lines = text.splitlines()
    rules = [number for number, line in enumerate(lines) if line == RULE]
    if rules[:1] == [0]:
        raise ValueError("line 1: a rule without a command")
    steps: list[Step] = []
    loose = lines[: rules[0] - 1] if rules else lines
    for position, rule in enumerate(rules):
        wrong = [line for line in loose if not is_remark(line)]
        if wrong or is_remark(lines[rule - 1]):
            raise ValueError(f"line {rule}: not a command: {[*wrong, lines[rule - 1]]}")
        end = rules[position + 1] - 1 if position + 1 < len(rules) else len(lines)
        trace = lines[rule + 1 : end]
        # The trace ends with its first remark: the rest belongs to the next command.
        length = next((n for n, line in enumerate(trace) if is_remark(line)), len(trace))
        steps.append(Step(loose, lines[rule - 1], trace[:length]))
        loose = trace[length:]
    wrong = [line for line in loose if not is_remark(line)]
    if wrong:
        raise ValueError(f"lines that follow no command: {wrong}")
    return steps, loose


def play(text: str, machine: Machine) -> str:
    """The same transcript with the traces that `machine` gives."""
    steps, after = parse(text)
    lines: list[str] = []
    for step in steps:
        trace = machine.do(step.command).splitlines()
        unreadable = [line for line in trace if is_remark(line) or line == RULE]
        assert not unreadable, f"{step.command}: a trace cannot hold {unreadable}"
        lines += [*step.before, step.command, RULE, *trace]
    return "\n".join([*lines, *after]) + "\n"


def transcripts() -> list[Path]:
    return sorted(FOLDER.glob("*/*.txt"))


def machine_for(path: Path) -> Machine:
    module = importlib.import_module(f"tests.transcripts.{path.parent.name}_machine")
    machine: Machine = module.Machine()
    return machine


def rewrite(path: Path) -> bool:
    """Gives whether anything changed."""
    text = path.read_text()
    played = play(text, machine_for(path))
    if played != text:
        path.write_text(played)
    return played != text


if __name__ == "__main__":
    for name in sys.argv[1:]:
        changed = rewrite(Path(name).resolve())
        sys.stdout.write(f"{'rewritten' if changed else 'unchanged'} {name}\n")
