"""What the HTTP face needs to know, as values that can cross to a sibling process."""

import ipaddress

import msgspec

from app import limits


class ApiSettings(msgspec.Struct, frozen=True):
    """Bounds of the HTTP door. `is_local`: it listens on loopback, so that only names of this
    machine may be asked for (a web page could otherwise give itself a name that leads here)."""

    body_bytes: int = limits.API_BODY_BYTES_MAX
    request_ms: int = limits.API_REQUEST_MS_MAX
    connections: int = limits.API_CONNECTIONS_MAX
    is_local: bool = True
    version: str = ""
    broker_id: int = -1


def is_local_name(host: str) -> bool:
    """Whether `host` (of a Host header, without port) can only mean this machine or an address: no
    name that somebody else's DNS could point here."""
    host = host.removeprefix("[").removesuffix("]").lower()
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def host_of(header: str) -> str:
    """The host of `host:port`, where the port may be missing and IPv6 stands in brackets."""
    if header.startswith("["):
        return header.partition("]")[0] + "]"
    return header.partition(":")[0]


class Errand(msgspec.Struct, frozen=True):
    """What a sibling process is told on its standard input, in one line. It ends when that input
    does."""

    token: bytes
    parent: int
    listening: int
    broker: int
    id_prefix: str
    settings: ApiSettings
    log_rendering: str
    log_level: str
