"""What hurts the broker of a simulated run: power, kill -9, disks, clocks, networks.

One fault at a time, each until the broker is up again: what two at once would do is what the next
seed does.
"""

import asyncio
import errno
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from tests.sim.broker import Down
from tests.sim.files import Fault, Operation

if TYPE_CHECKING:
    from tests.sim.workload import Workload


class Nemesis:
    def __init__(self, run: "Workload") -> None:
        self.run = run
        self.random = run.random_of("nemesis")
        self.broker = run.broker
        self.machine = run.broker.machine
        self._wall_offset_ms = 0
        self._until_ms = 0
        self.faults: list[Callable[[], Awaitable[None]]] = [
            self.kill,
            self.stop,
            self.fail_reads,
            self.forget_the_cache,
            self.jump_the_clock,
            self.cut_the_network,
            self.reset_connections,
            self.slow_down,
        ]
        if not run.is_lax:
            self.faults += [
                self.lose_power,
                self.lose_power_in_a_job,
                self.fail_a_sync,
                self.fail_a_write,
                self.fill_the_disk,
                self.fail_the_manifest,
            ]

    async def live(self, life_ms: int) -> None:
        self._until_ms = self.run.simulation.loop.now_us // 1_000 + life_ms
        while self.run.simulation.loop.now_us // 1_000 < self._until_ms:
            await self._wait(0.05, 1.5)
            fault = self.random.choice(self.faults)
            name = fault.__name__
            self.run.history.mark(f"nemesis.{name}")
            self.run.simulation.trace("nemesis", name)
            await fault()

    async def heal(self) -> None:
        """Whatever was broken works again, and the broker is up."""
        self.machine.disk.heal()
        self.run.simulation.fabric.heal()
        self.run.simulation.fabric.reset_chance = 0.0
        if not self.broker.is_up or self.run.has_failed:
            await self._restart()

    async def restart_once(self) -> None:
        """Any of the ways in which a process ends, then a start."""
        ways = [self.broker.kill, self.broker.stop]
        how = self.random.choice(ways if self.run.is_lax else [*ways, self.broker.crash])
        ended = how()
        if ended is not None:
            await ended
        await self.broker.start()

    async def _wait(self, least_s: float, most_s: float) -> None:
        await self.run.sleep(self.random.uniform(least_s, most_s))

    async def _restart(self) -> None:
        """Start again, perhaps crashing while it starts."""
        random, disk = self.random, self.machine.disk
        self.broker.kill()
        while True:
            if random.random() < 0.3 and not self.run.is_lax:
                disk.crash_at(random.randint(0, 40))
            await self._wait(0.0, 0.3)
            try:
                await self.broker.start()
            except Down:
                self.run.history.mark("nemesis.crash_while_starting")
                continue
            disk.never_crash()
            return

    # Processes

    async def lose_power(self) -> None:
        self.broker.crash()
        await self._restart()

    async def kill(self) -> None:
        self.broker.kill()
        await self._restart()

    async def stop(self) -> None:
        await self.broker.stop()
        await self._restart()

    async def lose_power_in_a_job(self) -> None:
        self.machine.disk.crash_at(self.random.randint(0, 60))
        try:
            async with asyncio.timeout(2):
                await self.machine.down()
        except TimeoutError:
            self.broker.crash()
        await self._restart()

    # Disks

    async def fail_a_sync(self) -> None:
        await self._break("sync", ".segment", errno.EIO)

    async def fail_a_write(self) -> None:
        await self._break("write", ".segment", errno.EIO)

    async def fail_the_manifest(self) -> None:
        operations: tuple[Operation, ...] = ("sync", "write", "commit")
        operation = self.random.choice(operations)
        path = "state.sqlite" if operation == "commit" else "journal"
        await self._break(operation, path, self.random.choice((errno.EIO, errno.ENOSPC)))

    async def _break(self, operation: Operation, path: str, error: int) -> None:
        """One call fails; after a while under it the process ends, one way or another."""
        random, disk = self.random, self.machine.disk
        fault = disk.fail(operation, error, nth=random.randint(1, 8), path=path)
        if random.random() < 0.5:
            await self._wait(0.2, 3)
        else:
            await self._strike(fault)
        if self.run.has_failed:
            self.run.history.mark("nemesis.log_failed")
        disk.heal()
        if random.random() < 0.3:
            disk.forget_cache()
        loses_power = random.random() < 0.5
        if loses_power:
            self.broker.crash()
        await self._restart()
        if not loses_power and random.random() < 0.7:
            # What the page cache alone had shows now.
            await self._wait(0.0, 1)
            self.broker.crash()
            await self._restart()

    async def _strike(self, fault: Fault) -> None:
        """Until it has struck, and a moment more: the broker may have heard of it, or not yet."""
        for _ in range(2_000):
            if fault.seen >= fault.nth:
                await self._wait(0.0, 0.004)
                return
            await self.run.sleep(0.001)

    async def fill_the_disk(self) -> None:
        disk = self.machine.disk
        used = sum(inode.allocated for inode in disk.inodes())
        disk.bytes_max = used + self.random.choice((0, 5_000, 100_000))
        await self._wait(0.5, 6)
        if self.broker.broker is not None and self.broker.broker.registry.failure is not None:
            self.run.history.mark("nemesis.disk_full")
        disk.bytes_max = None
        if self.random.random() < 0.2:
            await self._restart()
            return
        async with asyncio.timeout(60):  # it goes on by itself
            broker = self.broker.broker
            assert broker is not None
            while broker.registry.failure is not None:
                await self.run.sleep(0.1)

    async def fail_reads(self) -> None:
        self.machine.disk.fail("read", errno.EIO, times=self.random.randint(1, 5), path=".segment")
        await self._wait(0.1, 0.5)
        self.machine.disk.heal()

    async def forget_the_cache(self) -> None:
        self.machine.disk.forget_cache()

    # Clocks and networks

    async def jump_the_clock(self) -> None:
        # Within an hour of where it was: producers may be no further ahead than that.
        target = self.random.randint(-1_500_000, 1_500_000)
        self.machine.clock.jump(target - self._wall_offset_ms)
        self._wall_offset_ms = target

    async def cut_the_network(self) -> None:
        self.run.simulation.fabric.partition("broker", "client")
        await self._wait(0.1, 10)
        self.run.simulation.fabric.heal()

    async def reset_connections(self) -> None:
        fabric = self.run.simulation.fabric
        if self.random.random() < 0.5:
            fabric.reset("client")
            return
        fabric.reset_chance = 0.02
        await self._wait(0.5, 2)
        fabric.reset_chance = 0.0

    async def slow_down(self) -> None:
        delays = self.machine.delays
        delays.lane_s = self.random.choice((0.0005, 0.002, 0.02))
        delays.network_s = self.random.choice((0.0005, 0.001, 0.01))
