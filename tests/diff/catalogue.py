"""All cases by name: functions of `tests/diff/cases`, and the scripts saved from random runs."""

import importlib
import json
from collections.abc import Iterator
from pathlib import Path

from tests.diff.script import Case, Script

HERE = Path(__file__).parent
SAVED = HERE / "cases" / "saved"
RECORDED = HERE / "recorded"


def cases() -> Iterator[tuple[str, Case]]:
    """`produce_sequences.wraps` for `def wraps` of that file, in the order of the files."""
    for path in sorted((HERE / "cases").glob("*.py")):
        module = importlib.import_module(f"tests.diff.cases.{path.stem}")
        for name, each in vars(module).items():
            is_here = callable(each) and getattr(each, "__module__", "") == module.__name__
            if is_here and not name.startswith("_"):
                yield f"{path.stem}.{name}", each
    for path in sorted(SAVED.glob("*.json")):
        yield f"saved.{path.stem}", _saved(json.loads(path.read_text()))


def _saved(operations: list[tuple[str, dict[str, object]]]) -> Case:
    from tests.diff.random_scripts import perform

    def play(script: Script) -> None:
        for name, arguments in operations:
            perform(script, name, arguments)

    return play
