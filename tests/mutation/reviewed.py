"""Mutants that change nothing that can be seen, looked at one by one: they are not picked.

A test has every entry meet a line of its file, so that none outlives what it was written for.
"""

EQUIVALENT: dict[tuple[str, str, str], str] = {}
"""(file, line, line of the mutant) -> why no test can tell them apart."""
