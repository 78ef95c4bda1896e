"""`PartitionLog` decides as its slow oracle does."""

import pytest

from tests.property import admission


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_admissions_are_decided_as_the_oracle_decides_them(seed: int) -> None:
    decisions = admission.check(steps=8_000, seed=seed)
    # a run that never sees one of the rare branches proves nothing about it
    assert all(decisions[kind] > 20 for kind in ("new", "repeat", "gap", "fenced")), decisions


def test_the_oracle_imports_nothing() -> None:
    from tests.property import oracle_admission

    with open(oracle_admission.__file__, encoding="utf-8") as source:
        assert not [line for line in source if line.lstrip().startswith(("import ", "from "))]
