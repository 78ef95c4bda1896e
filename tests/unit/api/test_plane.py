"""Where the plane lives, and what becomes of it when that goes wrong."""

import asyncio
import importlib
import os
import socket
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import msgspec
import pytest

from app import config
from app.admin.commands.health import CheckHealth, Health
from app.api import plane
from app.api.plane import Plane, address_of, listening
from app.api.settings import ApiSettings, Errand, host_of, is_local_name
from app.api.sibling import ORPHANED
from app.errors import Unavailable
from app.world.real import RealWorld
from tests.unit.api.arrange import ScriptedAdmin

LOG = ("json", "info")


@pytest.fixture
def admin() -> ScriptedAdmin:
    scripted = ScriptedAdmin()
    scripted.answers(CheckHealth, Health(started=True, ready=True))
    return scripted


def test_a_taken_address_is_named_with_what_to_do() -> None:
    with listening("127.0.0.1", 0) as bound:
        host, port = bound.getsockname()
        with pytest.raises(Unavailable, match=f"{host}:{port}.*api.address"), listening(host, port):
            pytest.fail("two listen on one address")
        assert address_of(bound) == f"127.0.0.1:{port}"


def test_an_address_that_this_machine_has_not_is_refused() -> None:
    with pytest.raises(Unavailable, match=r"192\.0\.2\.1"), listening("192.0.2.1", 0):
        pytest.fail("it listens on another machine's address")


@pytest.mark.skipif(not socket.has_ipv6, reason="needs IPv6")
def test_ipv6_is_shown_in_brackets() -> None:
    try:
        with listening("::1", 0) as bound:
            assert address_of(bound) == f"[::1]:{bound.getsockname()[1]}"
    except Unavailable:
        pytest.skip("this machine has no ::1")


async def test_a_plane_inside_that_ends_at_once_never_serves(admin: ScriptedAdmin) -> None:
    world = RealWorld()
    with listening("127.0.0.1", 0) as bound:
        async with Plane(world, admin, bound, ApiSettings()).running("inside", LOG):
            pass
    await world.close()
    assert admin.asked == []


async def test_a_plane_inside_serves_until_its_block_ends(admin: ScriptedAdmin) -> None:
    world = RealWorld()
    with listening("127.0.0.1", 0) as bound:
        host, port = bound.getsockname()
        async with Plane(world, admin, bound, ApiSettings()).running("inside", LOG):
            reader, writer = await asyncio.open_connection(host, port)
            writer.write(b"GET /health/live HTTP/1.1\r\nhost: localhost\r\n\r\n")
            assert await reader.readline() == b"HTTP/1.1 200 OK\r\n"
        assert (await reader.read()).endswith(b'{"status":"ok","reasons":[]}')
        writer.close()
    await world.close()
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection(host, port)


async def test_a_plane_inside_that_cannot_come_up_is_tried_again(
    admin: ScriptedAdmin, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[tuple[str, object]] = []
    ready = asyncio.Event()

    def emit(event: str, level: int = 0, **fields: object) -> None:
        told.append((event, fields.get("error")))
        if event == "api.ready":
            ready.set()

    imports = iter([OSError(24, "Too many open files"), MemoryError()])

    def import_module(name: str) -> object:
        for failure in imports:
            raise failure
        return importlib.import_module(name)

    monkeypatch.setattr(plane.events, "emit", emit)
    monkeypatch.setattr(plane.limits, "API_RESTART_MS_MIN", 1)
    monkeypatch.setattr(plane, "importlib", SimpleNamespace(import_module=import_module))
    world = RealWorld()
    with listening("127.0.0.1", 0) as bound:
        async with Plane(world, admin, bound, ApiSettings()).running("inside", LOG):
            async with asyncio.timeout(30):
                await ready.wait()
    await world.close()
    assert told == [
        ("api.delayed", "OSError(24, 'Too many open files')"),
        ("api.delayed", "MemoryError()"),
        ("api.ready", None),
    ]


async def test_a_sibling_that_cannot_start_is_tried_again_with_growing_pauses(
    admin: ScriptedAdmin, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[dict[str, object]] = []
    thrice = asyncio.Event()

    def emit(event: str, level: int, **fields: object) -> None:
        if event == "api.ended":
            told.append(fields)
        if len(told) == 3:
            thrice.set()

    monkeypatch.setattr(plane.events, "emit", emit)
    monkeypatch.setattr(plane.limits, "API_RESTART_MS_MIN", 1)
    monkeypatch.setattr(sys, "executable", "/bin/false")
    world = RealWorld()
    with listening("127.0.0.1", 0) as bound:
        async with Plane(world, admin, bound, ApiSettings()).running("sibling", LOG):
            async with asyncio.timeout(30):
                await thrice.wait()
    await world.close()
    assert [each["again_in_ms"] for each in told[:3]] == [1, 2, 4]
    assert {each["status"] for each in told} == {1}


async def test_a_broker_that_ends_does_not_wait_for_a_sibling_that_never_comes_up(
    admin: ScriptedAdmin, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    # It reads the errand, and then nothing but the end of its stdin makes it go.
    program = tmp_path / "sibling"
    program.write_text("#!/bin/sh\nexec cat >/dev/null\n")
    program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(program))
    world = RealWorld()
    with listening("127.0.0.1", 0) as bound:
        async with asyncio.timeout(10):  # far less than a sibling has to come up
            async with Plane(world, admin, bound, ApiSettings()).running("sibling", LOG):
                await asyncio.sleep(0.1)
    await world.close()


async def test_a_sibling_that_there_is_no_program_for_is_an_event_too(
    admin: ScriptedAdmin, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[object] = []
    once = asyncio.Event()

    def emit(event: str, level: int, **fields: object) -> None:
        assert event == "api.ended"
        told.append(fields["status"])
        once.set()

    monkeypatch.setattr(plane.events, "emit", emit)
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    world = RealWorld()
    with listening("127.0.0.1", 0) as bound:
        async with Plane(world, admin, bound, ApiSettings()).running("sibling", LOG):
            async with asyncio.timeout(30):
                await once.wait()
    await world.close()
    assert "No such file" in str(told[0])


def test_a_sibling_whose_broker_is_gone_already_does_not_begin() -> None:
    errand = Errand(bytes(32), os.getpid() + 1, 98, 99, "p", ApiSettings(), "json", "info")
    done = subprocess.run(
        [sys.executable, "-m", "app.api.sibling"],
        input=msgspec.json.encode(errand) + b"\n",
        timeout=60,
        check=False,
    )
    assert done.returncode == ORPHANED


@pytest.mark.parametrize(
    ("header", "host"),
    [("a:1", "a"), ("a", "a"), ("[::1]:1", "[::1]"), ("[::1]", "[::1]"), ("", "")],
)
def test_the_host_of_a_host_header(header: str, host: str) -> None:
    assert host_of(header) == host


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.1.2.3", "::1"])
def test_loopback_is_local(host: str) -> None:
    assert config.is_loopback(host) and is_local_name(host)


@pytest.mark.parametrize("host", ["0.0.0.0", "10.0.0.1", "::", "broker.example"])
def test_everything_else_is_not_loopback(host: str) -> None:
    assert not config.is_loopback(host)
