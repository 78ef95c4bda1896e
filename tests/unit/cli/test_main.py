"""Twin of streambus/cli/main.py and console.py: the command as a person runs it."""

import asyncio
import json
import signal
import sys
from importlib.metadata import EntryPoint

import pytest
from typer.testing import CliRunner

from streambus.cli import main
from streambus.protocol import api
from tests.unit.client.scripted_broker import ScriptedBroker


async def start(*words: str, **options):
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "streambus.cli.main",
        *words,
        stdin=asyncio.subprocess.PIPE,
        stdout=options.pop("stdout", asyncio.subprocess.PIPE),
        stderr=asyncio.subprocess.PIPE,
    )


async def streambus(*words: str, text: bytes = b"") -> tuple[int | None, str, str]:
    process = await start(*words)
    out, error = await process.communicate(text)
    return process.returncode, out.decode(), error.decode()


def server_of(broker: ScriptedBroker) -> tuple[str, str]:
    return "--server", f"{broker.host}:{broker.port}"


async def test_what_is_produced_is_consumed():
    async with ScriptedBroker(partitions=3) as broker:
        code, out, error = await streambus(
            "produce",
            "orders",
            *server_of(broker),
            *("--key-separator", ":", "--compression", "zstd", "--header", "from=test"),
            text=b"a:1\nb:2\nc:3",
        )
        assert (code, out, error) == (0, "", "")
        code, out, error = await streambus(
            "consume", "orders", *server_of(broker), "--format", "{key}={value} {headers}"
        )
        assert (code, error) == (0, "")
        assert sorted(out.splitlines()) == [f"{k}={v} from=test" for k, v in ("a1", "b2", "c3")]
        code, out, _ = await streambus("consume", "orders", *server_of(broker), "--json", "-n", "1")
        assert len(out.splitlines()) == 1
        assert json.loads(out)["headers"] == [["from", "test"]]


async def test_following_ends_with_a_clean_ctrl_c():
    async with ScriptedBroker(partitions=1) as broker:
        await streambus("produce", "orders", *server_of(broker), text=b"x\n")
        process = await start("consume", "orders", *server_of(broker), "-f")
        assert await process.stdout.readline() == b"x\n"
        process.send_signal(signal.SIGINT)
        out, error = await process.communicate()
        assert (process.returncode, out, error) == (130, b"", b"")


async def test_a_reader_that_leaves_early_is_no_error():
    async with ScriptedBroker(partitions=1) as broker:
        text = b"".join(b"%d\n" % number for number in range(100_000))
        await streambus("produce", "orders", *server_of(broker), text=text)
        process = await start("consume", "orders", *server_of(broker))
        assert await process.stdout.readline() == b"0\n"
        process.stdout._transport.close()
        error = await process.stderr.read()
        assert (await process.wait(), error) == (141, b"")


async def test_nobody_listening_is_one_line_that_says_what_to_do():
    broker = await ScriptedBroker().start()
    await broker.stop()
    code, out, error = await streambus(
        "produce", "orders", *server_of(broker), "--timeout", "0.2", text=b"x\n"
    )
    assert (code, out) == (4, "")
    assert error.count("\n") == 1
    assert "nobody listens" in error and "streambus dev" in error


async def test_a_broker_that_refuses_is_quoted():
    async with ScriptedBroker() as broker:
        broker.errors[api.METADATA] = [17]
        code, _, error = await streambus("consume", "orders", *server_of(broker))
        assert code == 1
        assert error == "streambus: orders: no topic may have this name (17)\n"


async def test_a_topic_that_does_not_exist_is_exit_code_3():
    async with ScriptedBroker() as broker:
        broker.errors[api.METADATA] = [3]
        code, _, error = await streambus("consume", "orders", *server_of(broker))
        assert (code, error) == (3, "streambus: orders: there is no such topic (3)\n")


def test_the_version_needs_no_command():
    result = CliRunner().invoke(main.build(), ["--version"])
    assert result.exit_code == 0
    assert result.stdout.startswith("streambus 0.")


def test_a_command_whose_packages_are_missing_says_what_to_install(monkeypatch):
    entry = EntryPoint("server", "streambus_has_no_such_module:register", main.GROUP)
    monkeypatch.setattr(main, "entry_points", lambda group: [entry])
    result = CliRunner().invoke(main.build(), ["dev", "--data", "x"])
    assert result.exit_code == 1
    assert "pip install 'streambus[server]'" in result.stderr


def test_commands_of_others_are_found(monkeypatch):
    def register(app):
        app.command("extra")(lambda: print("here"))

    class Entry:
        name = "other"

        def load(self):
            return register

    monkeypatch.setattr(main, "entry_points", lambda group: [Entry()])
    assert "here" in CliRunner().invoke(main.build(), ["extra"]).stdout


@pytest.mark.parametrize(
    "heavy", ["kio", "crc32c", "app", "rich", "yaml", "http.client", "streambus.client.cluster"]
)
def test_starting_the_command_imports_nothing_heavy(heavy):
    import subprocess

    code = f"import sys, streambus.cli.main; sys.exit({heavy!r} in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("words", [["--help"], ["topics", "--help"], ["config", "init", "--help"]])
def test_help_needs_nothing_of_tables_or_of_the_broker(words):
    import subprocess

    heavy = ["rich", "yaml", "msgspec", "kio", "http.client", "app.config", "app.main"]
    code = (
        "import sys; from streambus.cli.main import build\n"
        f"try: build()({words!r})\n"
        f"except SystemExit: print([name for name in {heavy!r} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
