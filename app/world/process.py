"""What the system says of this process: time, memory, files, threads.

Never   is asked by the core of the broker: a simulation has no process.
Trusts  /proc where there is one; elsewhere only what POSIX tells.
"""

import os
import resource
import sys
from typing import NamedTuple

_PAGE_BYTES = resource.getpagesize()


class ProcessFacts(NamedTuple):
    """None is what this system does not tell."""

    cpu_s: float
    resident_bytes: int | None
    virtual_bytes: int | None
    descriptors: int | None
    descriptors_max: int
    threads: int | None


def process_facts() -> ProcessFacts:
    """Blocking, if briefly: with many descriptors an older kernel needs milliseconds to count
    them."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    cpu_s = usage.ru_utime + usage.ru_stime
    if not os.path.isdir("/proc/self/fd"):
        unit = 1 if sys.platform == "darwin" else 1024
        return ProcessFacts(cpu_s, usage.ru_maxrss * unit, None, None, soft, None)
    # What follows the name, which may hold anything: the first of these is the state.
    fields = _read("/proc/self/stat").rpartition(")")[2].split()
    return ProcessFacts(
        cpu_s,
        int(fields[21]) * _PAGE_BYTES,
        int(fields[20]),
        os.stat("/proc/self/fd").st_size or len(os.listdir("/proc/self/fd")) - 1,
        soft,
        int(fields[17]),
    )


def _read(path: str) -> str:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(descriptor, 1 << 20).decode("utf-8", "replace")
    finally:
        os.close(descriptor)
