"""What the system says of this process, beside what it says elsewhere."""

import os
import threading
from pathlib import Path

import pytest

from app.world.process import process_facts

ON_LINUX = pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="there is no /proc here")


@ON_LINUX
def test_an_open_file_and_a_thread_are_counted() -> None:
    before = process_facts()
    gate = threading.Event()
    thread = threading.Thread(target=gate.wait)
    thread.start()
    opened = [os.open("/dev/null", os.O_RDONLY) for _ in range(5)]
    during = process_facts()
    for descriptor in opened:
        os.close(descriptor)
    gate.set()
    thread.join()
    assert before.descriptors is not None and before.threads is not None
    assert during.descriptors == before.descriptors + 5
    assert during.threads == before.threads + 1


@ON_LINUX
def test_memory_is_what_the_kernel_tells() -> None:
    facts = process_facts()
    status = Path("/proc/self/status").read_text()
    resident_kb = int(status.partition("VmRSS:")[2].split()[0])
    assert facts.resident_bytes is not None
    assert abs(facts.resident_bytes - resident_kb * 1024) < 8 << 20
    assert facts.virtual_bytes is not None and facts.virtual_bytes > facts.resident_bytes


def test_time_that_was_used_is_in_it() -> None:
    before = process_facts().cpu_s
    sum(number * number for number in range(300_000))
    assert process_facts().cpu_s > before
