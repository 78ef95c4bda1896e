"""TLS of a listener: its files as a context that the network can use.

Owns    which file is to blame where they do not load.
"""

import ssl
from pathlib import Path

from app.config.settings import ListenerConfig
from app.errors import InvalidConfig


def context(door: ListenerConfig) -> ssl.SSLContext | None:
    """None for a listener without TLS. Raises `InvalidConfig` naming listener and file."""
    if door.tls is None:
        return None
    for path in (door.tls.certificate, door.tls.key, door.tls.client_ca):
        try:
            if path is not None:
                Path(path).read_bytes()
        except OSError as error:
            raise InvalidConfig(
                f"listener {door.name}: cannot read {path}: {error.strerror}"
            ) from error
    made = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        made.load_cert_chain(door.tls.certificate, door.tls.key)
    except (OSError, ssl.SSLError) as error:
        raise InvalidConfig(
            f"listener {door.name}: its TLS files do not load: {door.tls.certificate} and "
            f"{door.tls.key} are no certificate and its key: {error}"
        ) from error
    if door.tls.client_ca is not None:
        try:
            made.load_verify_locations(door.tls.client_ca)
        except (OSError, ssl.SSLError) as error:
            raise InvalidConfig(
                f"listener {door.name}: its TLS files do not load: {door.tls.client_ca} is no "
                f"certificate of an authority: {error}"
            ) from error
        made.verify_mode = ssl.CERT_REQUIRED
    return made
