"""Options that every client command has, as values: which servers, and how to trust them."""

import ssl
from typing import Annotated

import typer

from streambus.cli import console

DEFAULT_SERVER = "127.0.0.1:9092"
DEFAULT_PORT = 9092

Address = Annotated[
    str,
    typer.Option(
        "--server",
        envvar="STREAMBUS_SERVER",
        help="host:port of a broker, several with commas.",
    ),
]


def parse(text: str) -> list[tuple[str, int]]:
    """`host:port`, several with commas; `[::1]:9092` for IPv6."""
    servers = []
    for part in text.split(","):
        host, colon, port = part.strip().rpartition(":")
        if not colon or part.strip().endswith("]"):
            host, port = part.strip(), str(DEFAULT_PORT)
        if not host or not port.isdecimal() or not 0 < int(port) < 65536:
            console.fail(f"--server {text}: give host:port", console.EXIT_USAGE)
        servers.append((host.removeprefix("[").removesuffix("]"), int(port)))
    return servers


def trust(ca: str | None, *, tls: bool) -> ssl.SSLContext | None:
    """TLS where asked for; `--ca FILE` asks for it too."""
    if not tls and ca is None:
        return None
    try:
        return ssl.create_default_context(cafile=ca)
    except OSError as error:
        console.fail(f"--ca {ca}: {error.strerror or error}", console.EXIT_USAGE)
