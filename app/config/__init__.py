"""The broker's settings as values: a file (YAML, TOML or JSON), the environment, flags; checked
whole before anything starts.

Owns    the shape and defaults of a broker's configuration, and the words of every complaint about
        it.
Never   constructs components: `app.main` reads these values and joins them.

`streambus dev` and `streambus serve` start from the same defaults. Here are `settings` (what there
is), `catalogue` (the same as a list), `rules` (what cannot work), `reading` (files as trees),
`typed` (trees and texts as values), `sources` (who said what, and who wins), and `renderings` (for
people).
"""

from app.config.rules import address, check, is_loopback, wal_sync
from app.config.settings import (
    API_PORT,
    KAFKA_PORT,
    ApiConfig,
    BrokerConfig,
    LimitsConfig,
    ListenerConfig,
    LogConfig,
    Tls,
    TopicsConfig,
    WalConfig,
)
from app.config.sources import Effective, effective, load, parse

__all__ = [
    "API_PORT",
    "KAFKA_PORT",
    "ApiConfig",
    "BrokerConfig",
    "Effective",
    "LimitsConfig",
    "ListenerConfig",
    "LogConfig",
    "Tls",
    "TopicsConfig",
    "WalConfig",
    "address",
    "check",
    "effective",
    "is_loopback",
    "load",
    "parse",
    "wal_sync",
]
