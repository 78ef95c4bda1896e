"""tests/README.md says which test shows which seam: what it names must exist."""

import re

from tests.tidy.source import ROOT, Source, functions


def named() -> list[tuple[str, str]]:
    """(file below tests/, function) of every `path::name`."""
    text = (ROOT / "tests/README.md").read_text()
    return re.findall(r"`([\w/]+\.py)::(\w+)`", text)


def test_every_test_that_the_readme_names_exists() -> None:
    missing = [
        f"{path}::{name}"
        for path, name in named()
        if not (ROOT / "tests" / path).exists()
        or name not in {each.name for each in functions(Source(f"tests/{path}").tree)}
    ]
    assert not missing, missing


def test_every_seam_names_a_test() -> None:
    rows = re.findall(r"^\| (\d+) \|(.*)$", (ROOT / "tests/README.md").read_text(), re.M)
    assert [int(number) for number, _ in rows] == [*range(1, 18), *range(1, 7), 8, 9]
    assert all("::test_" in row for _, row in rows)
