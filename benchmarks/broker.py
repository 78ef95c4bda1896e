"""The broker under test: the process that `make run` starts, measured from outside."""

import os
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from urllib.request import urlopen

TICKS = os.sysconf("SC_CLK_TCK")
BYTE_CODE = Path(__file__).parent.parent / ".cache" / "byte-code"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class BrokerProcess:
    """`streambus dev` on a free port and its own data folder, with further flags if any."""

    data: Path
    flags: tuple[str, ...] = ()
    port: int = field(default_factory=free_port)
    api_port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    def launch(self) -> None:
        """Start the process and return at once."""
        doors = ["--listen", self.address, "--api", self.api_address]
        flags = [*doors, "--data", str(self.data), *self.flags]
        program = Path(sys.executable).with_name("streambus")
        # As where it was installed: with byte code on disk, whatever this shell is set to.
        environment = {**os.environ, "PYTHONPYCACHEPREFIX": str(BYTE_CODE)}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        with (self.data.parent / f"{self.data.name}.log").open("ab") as log:
            self.process = subprocess.Popen(
                [program, "dev", *flags], stdout=log, stderr=log, env=environment
            )

    def start(self) -> float:
        """Start and wait for the first answered ApiVersions; returns seconds from process start."""
        began = time.perf_counter()
        self.launch()
        assert self.process is not None
        while time.perf_counter() < began + 30:
            if self.process.poll() is not None:
                raise RuntimeError(f"the broker ended:\n{self.log()}")
            if answers(self.port):
                return time.perf_counter() - began
            time.sleep(0.005)
        raise RuntimeError(f"the broker did not answer within 30 s:\n{self.log()}")

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    def stop(self) -> int:
        """SIGTERM; returns the exit status."""
        assert self.process is not None
        self.process.terminate()
        return self.process.wait(30)

    def kill(self) -> None:
        """SIGKILL, as a power cut is to the process."""
        assert self.process is not None
        self.process.kill()
        self.process.wait(30)

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def api_address(self) -> str:
        return f"127.0.0.1:{self.api_port}"

    def await_api(self) -> float:
        """Wait for the first answer over HTTP; returns how many seconds that took."""
        began = time.perf_counter()
        while time.perf_counter() < began + 30:
            try:
                with urlopen(f"http://{self.api_address}/health/live", timeout=30):
                    return time.perf_counter() - began
            except OSError:
                time.sleep(0.005)
        raise RuntimeError(f"no answer over HTTP within 30 s:\n{self.log()}")

    def log(self) -> str:
        """What the broker said so far, over all its starts."""
        return (self.data.parent / f"{self.data.name}.log").read_text()

    def cpu_seconds(self) -> float:
        """User and system time of the process and of all that it started."""
        return sum(_cpu_seconds(pid) for pid in _tree(self.pid))

    def pss_mb(self) -> float:
        """Proportional set size of the process and of all that it started, MB."""
        return sum(_pss_kb(pid) for pid in _tree(self.pid)) / 1000


def answers(port: int) -> bool:
    """Whether an ApiVersions v0 request on 127.0.0.1:`port` is answered."""
    request = bytes.fromhex("0000000e00120000000000010004") + b"wait"
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1) as connection:
            connection.sendall(request)
            return len(connection.recv(4)) == 4
    except OSError:
        return False


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def _pss_kb(pid: int) -> int:
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1])
    return 0


def _tree(pid: int) -> list[int]:
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid] + [each for child in children for each in _tree(int(child))]
