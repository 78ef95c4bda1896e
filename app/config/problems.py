"""What is wrong with a configuration, all of it at once: who said it, about which setting, and why.

Owns    the form of a complaint.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from app.errors import InvalidConfig

Complain = Callable[[str, str], None]
"""(path of the setting, what is wrong with it)"""


@dataclass(frozen=True, slots=True)
class Problem:
    """`where` is the file with its line, the variable or the flag; "" where nobody said it."""

    where: str
    path: str
    what: str

    def __str__(self) -> str:
        return ": ".join(part for part in (self.where, self.path, self.what) if part)


class WrongConfig(InvalidConfig):
    """Every problem of a configuration."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        lines = [str(problem) for problem in problems]
        if len(lines) > 1:
            lines.insert(0, f"{len(lines)} things are wrong with the configuration:")
        super().__init__("\n  ".join(lines))
