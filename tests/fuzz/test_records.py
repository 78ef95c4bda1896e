"""A short, seeded run of the records fuzzer; the long one is `make fuzz`."""

import pytest

from tests.fuzz import records

pytestmark = [
    pytest.mark.fuzz,
    pytest.mark.skipif(bool(records.KERNEL_MISSING), reason=records.KERNEL_MISSING),
]


@pytest.mark.parametrize("seed", [1, 2])
def test_compiled_and_plain_codec_agree_on_hostile_bytes(seed: int) -> None:
    seen = records.run(10_000, seed)
    # The inputs reach every kind of fault, and enough of them are still good.
    faults = [what for what in seen if what.startswith("record N")]
    assert len(faults) >= 7, seen
    assert seen["result"] > 1_000
