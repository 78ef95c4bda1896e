"""The mistakes that are made are the ones meant, where they are meant, and nothing else changes."""

import textwrap
from dataclasses import dataclass

import pytest

from tests.mutation import nearest
from tests.mutation.mutants import Mutant, mutants
from tests.mutation.reviewed import EQUIVALENT
from tests.mutation.run import MUTATED, pick, verdict
from tests.mutation.scratch import Ran
from tests.tidy.source import Source, sources


@dataclass(frozen=True)
class Written(Source):
    """A source that is not in a file."""

    name: str = "app/core/written.py"
    text: str = ""  # type: ignore[assignment]


def changed(text: str) -> list[str]:
    source = Written(text=textwrap.dedent(text))
    return [mutant.lines(source.text)[1] for mutant in mutants(source)]


@pytest.mark.parametrize(
    ("line", "made"),
    [
        ("a < b", ["a <= b", "a >= b"]),
        ("a is not b", ["a is b"]),
        ("a not in b", ["a in b"]),
        ("0 <= a", ["1 <= a", "(-1) <= a", "0 < a", "0 > a"]),
        ("a and b", ["a or b"]),
        ("a + b", ["a - b"]),
        ("a >> b", ["a << b"]),
        ("a -= b", ["a += b"]),
        ("not a", ["a"]),
        ("x = True", ["x = False"]),
        ("x = 7", ["x = 8", "x = (6)"]),
        ("f(a)", ["pass"]),
        ("x = min(a, b)", ["x = max(a, b)"]),
        ("raise Wrong('it is')", ["pass"]),
        ("é = 'é' + b", ["é = 'é' - b"]),
    ],
)
def test_a_line_is_changed_in_every_way_that_is_meant(line: str, made: list[str]) -> None:
    assert sorted(changed(line)) == sorted(made)


@pytest.mark.parametrize(
    "text",
    [
        '"""Says 7 + 1."""',
        "x: Literal[1]",
        "Either = int | None",
        "Either: TypeAlias = tuple[int, 3]",
        "__slots__ = ('a', 7)",
        "assert a < 7",
        "raise AssertionError(a + 1)",
        "from a import b",
        "x = f'{a + 1}'",
        "zip(a, b, strict=True)[a]",
        """
        @dataclass(frozen=True)
        class A:
            a: int
        """,
        """
        def __repr__(self) -> str:
            return a + 1
        """,
    ],
)
def test_what_no_test_should_notice_is_left_alone(text: str) -> None:
    assert changed(text) == []


def test_a_condition_is_turned_round_and_a_loop_goes_on_or_ends() -> None:
    made = changed(
        """
        for a in b:
            if a:
                break
            continue
        """
    )
    assert made == ["if not a:", "continue", "break"]


def test_a_mutant_is_its_line_and_keeps_every_other() -> None:
    source = Source("app/core/epochs.py")
    for mutant in mutants(source):
        lines = mutant.apply(source.text.encode()).decode().splitlines()
        before = source.text.splitlines()
        assert lines[: mutant.line - 1] == before[: mutant.line - 1]
        assert lines[mutant.line - 1] != before[mutant.line - 1]


def test_a_seed_picks_the_same_lines_again_and_each_once() -> None:
    picked = pick(60, 5)
    assert picked == pick(60, 5) != pick(60, 6)
    assert len({(mutant.file, mutant.line) for mutant in picked}) == 60
    for mutant in picked:
        assert mutant.file.startswith(MUTATED)


def test_every_reviewed_mutant_is_still_one() -> None:
    made = {
        (source.name, *mutant.lines(source.text))
        for source in sources(*MUTATED)
        if source.name in {file for file, _, _ in EQUIVALENT}
        for mutant in mutants(source)
    }
    assert not EQUIVALENT.keys() - made
    assert all(EQUIVALENT.values()), "each needs its reason"


def test_a_module_is_judged_by_its_twin_and_by_what_reaches_it() -> None:
    file = "app/core/partition_log.py"
    assert nearest.twin(file) == ["tests/unit/core/test_partition_log.py"]
    direct, reached = nearest.importers(file)
    # Through the machine beside the one, through the broker's registry the other.
    assert "tests/property/test_partition_log_machine.py" in direct
    assert "tests/unit/partitions/test_registry.py" in direct + reached
    assert not set(direct) & set(reached)


@pytest.mark.parametrize(
    ("ran", "caught"),
    [
        (Ran((), {}, False, 0, ""), False),
        (Ran((), {}, False, 5, ""), False),
        (Ran(("test_a.py::test_b",), {}, False, 1, ""), True),
        (Ran((), {}, True, -9, ""), True),
        (Ran((), {}, False, 2, ""), True),
    ],
)
def test_a_failure_an_endless_run_and_no_start_catch(ran: Ran, caught: bool) -> None:
    assert bool(verdict(ran)) == caught


def test_a_mutant_of_bytes_is_placed_by_bytes() -> None:
    assert Mutant("a", 1, 2, 3, "-").apply("é+b".encode()) == "é-b".encode()
