"""The sink (sink.c) as a contender: a broker that costs next to nothing, so that what comes out is
what the load generator can do at most on this machine. No broker can be faster than it is."""

import subprocess
from pathlib import Path

from benchmarks.broker import free_port
from benchmarks.race.contenders import SINK, Certificate, Contender, Pauses
from benchmarks.race.loads import TOOLS


class SinkProcess:
    """sink.c on a free port."""

    def __init__(self, folder: Path, program: Path) -> None:
        self.port = free_port()
        self._program = program
        self.process: subprocess.Popen[bytes] | None = None
        self._log = folder / "sink.log"

    def launch(self) -> None:
        with self._log.open("ab") as log:
            self.process = subprocess.Popen([self._program, str(self.port)], stderr=log)

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    def stop(self) -> int:
        assert self.process is not None
        self.process.terminate()
        return self.process.wait(30)

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait(30)

    def log(self) -> str:
        return self._log.read_text()


class Sink(Contender):
    """It makes topics as they are named, keeps nothing, and needs no warming up."""

    name = SINK
    keeps_records = False

    def __init__(
        self,
        folder: Path,
        column: str,
        _: Certificate | None = None,
        program: Path = TOOLS / "sink",
    ) -> None:
        super().__init__(folder, column)
        folder.mkdir(parents=True)
        self.process: SinkProcess = SinkProcess(folder, program)

    @property
    def differences(self) -> list[str]:
        return []

    def gc_pauses(self) -> Pauses:
        return Pauses(0, 0.0, 0.0)
