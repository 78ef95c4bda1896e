"""The manifest on this broker: state on disk, machine in memory, image for readers.

Owns    the one Manifest of this process and its newest image; tells watchers of each new one.
Never   decides or proposes (controller.py), and never touches SQLite on the loop.
Trusts  consensus to call in the order that consensus.StateMachine promises.
"""

from collections.abc import Callable, Sequence

from app.core.manifest.entries import Applied, Entry
from app.core.manifest.image import Image
from app.core.manifest.manifest import Manifest
from app.core.manifest.policies import Policies
from app.model import BrokerId
from app.raft.consensus import Position
from app.raft.manifest_store import ManifestStore
from app.world.ports import Files

NO_BROKER = BrokerId(-1)


class ManifestNode:
    """`open`, `bind`, `apply` and `close` run on the `raft` lane; all else on the loop."""

    def __init__(self, files: Files, directory: str, policies: Policies | None = None) -> None:
        self._store = ManifestStore(files, directory, policies)
        self._watchers: list[Callable[[Image], None]] = []
        self.manifest = Manifest(policies)
        self.image = Image()
        self.at_ms = 0  # of the newest fact taken
        self.controller_id = NO_BROKER

    # On the lane

    def open(self) -> Position:
        position, self.at_ms, self.manifest = self._store.open()
        self.image = self.manifest.image(self.image, position.index, self.controller_id)
        return position

    def bind(self, journal_id: bytes) -> None:
        self._store.bind(journal_id)

    def apply(self, entries: Sequence[Entry]) -> list[Applied]:
        return self._store.apply(entries)

    def close(self) -> None:
        self._store.close()

    # On the loop

    def publish(self, applied: Sequence[Applied]) -> None:
        for one in applied:
            for fact in one.facts:
                self.manifest.apply(fact)
        if not applied:
            return
        self.at_ms = applied[-1].at_ms
        before = self.image
        self.image = self.manifest.image(before, applied[-1].index, self.controller_id)
        if self.image.generation != before.generation:
            for watcher in self._watchers:
                watcher(self.image)

    def watch(self, watcher: Callable[[Image], None]) -> None:
        """Call `watcher` with the image now, and with each that differs, before anyone is told
        that what it shows happened. It must not fail or wait."""
        self._watchers.append(watcher)
        watcher(self.image)
