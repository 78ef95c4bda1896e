"""The faults' numbers, which the kernel repeats, and their words."""

import re
from pathlib import Path

import pytest

from streambus.errors import Malformed
from streambus.protocol import record_faults

PROTOCOL = Path(record_faults.__file__).parent


@pytest.mark.parametrize("source", ["_kernel_decode.pyx", "_kernel_encode.pyx"])
def test_the_kernel_numbers_faults_as_this_module_does(source: str) -> None:
    text = (PROTOCOL / source).read_text()
    numbers = re.findall(r"^    ([A-Z_]+) = (\d+)$", text, re.M)
    assert len(numbers) >= 5
    for name, number in numbers:
        assert getattr(record_faults, name) == int(number), name


def test_every_fault_has_words() -> None:
    for number in range(record_faults.SHORT, record_faults.CHANGED + 1):
        assert str(record_faults.fault(3, number)).startswith("record 3: ")


def test_a_count_is_held_against_the_bytes() -> None:
    record_faults.check_count(0, 0)
    record_faults.check_count(10, 70)
    for count, size in ((-1, 100), (11, 70), (1, 2**31)):
        with pytest.raises(Malformed):
            record_faults.check_count(count, size)
