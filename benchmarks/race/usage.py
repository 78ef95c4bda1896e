"""CPU and memory of a process and of all that it started, read from /proc."""

import os
import threading
from dataclasses import dataclass
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
LOOK_EVERY_S = 0.1


@dataclass(frozen=True)
class Memory:
    """MB of the process alone, and with all that it started."""

    rss_mb: float
    rss_total_mb: float
    pss_total_mb: float


def tree(pid: int) -> list[int]:
    """The process and all below it that live."""
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        for thread in Path(f"/proc/{pid}/task").iterdir():
            if thread.name != str(pid):
                children += (thread / "children").read_text().split()
    except FileNotFoundError:
        return []
    return [pid] + [each for child in children for each in tree(int(child))]


def cpu_seconds(pid: int) -> tuple[float, float]:
    """User and system time of (the process, it and all below it)."""
    each = [_cpu_seconds(one) for one in tree(pid)]
    return each[0], sum(each)


def memory(pid: int) -> Memory:
    pids = tree(pid)
    return Memory(_rss_mb(pid), sum(map(_rss_mb, pids)), sum(map(_pss_mb, pids)))


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def _rss_mb(pid: int) -> float:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE_BYTES / 1e6


def _pss_mb(pid: int) -> float:
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024 / 1e6
    raise ValueError(f"process {pid} shows no Pss")


class Watch:
    """A broker watched during a block: CPU spent in it, and the most RSS seen every 100 ms."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look, name="watch")
        self.cpu_s = self.cpu_total_s = 0.0
        self.rss_mb_max = self.rss_total_mb_max = 0.0
        self.pss_total_mb = 0.0

    def __enter__(self) -> "Watch":
        self._before = cpu_seconds(self._pid)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()
        after = cpu_seconds(self._pid)
        self.cpu_s = after[0] - self._before[0]
        self.cpu_total_s = after[1] - self._before[1]
        at_end = memory(self._pid)
        self._see(at_end.rss_mb, at_end.rss_total_mb)
        self.pss_total_mb = at_end.pss_total_mb

    def _look(self) -> None:
        while not self._ended.wait(LOOK_EVERY_S):
            self._see(_rss_mb(self._pid), sum(_rss_mb(pid) for pid in tree(self._pid)))

    def _see(self, rss_mb: float, rss_total_mb: float) -> None:
        self.rss_mb_max = max(self.rss_mb_max, rss_mb)
        self.rss_total_mb_max = max(self.rss_total_mb_max, rss_total_mb)
