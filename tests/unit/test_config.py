"""Configuration: the names of listeners, which decide what clients are told."""

import pytest

from app import config
from app.config import BrokerConfig, ListenerConfig, Tls
from app.errors import InvalidConfig

TLS = Tls(certificate="cert.pem", key="key.pem")


def named(*listeners: ListenerConfig | str) -> list[str]:
    chosen = BrokerConfig(listeners=listeners)
    config.check(chosen)
    return [door.name for door in chosen.doors()]


def test_the_only_listener_is_plain() -> None:
    assert [door.name for door in BrokerConfig().doors()] == ["plain"]


def test_listeners_without_a_name_are_named_by_kind_and_counted_in_their_order() -> None:
    assert named(
        "127.0.0.1:1",
        ListenerConfig("127.0.0.1:2", tls=TLS),
        "127.0.0.1:3",
        ListenerConfig("127.0.0.1:4", name="inner"),
        ListenerConfig("127.0.0.1:5"),
        ListenerConfig("127.0.0.1:6", tls=TLS),
    ) == ["plain", "tls", "plain-2", "inner", "plain-3", "tls-2"]


@pytest.mark.parametrize(
    "text",
    [
        "listeners: [{address: '127.0.0.1:1', name: x}, {address: '127.0.0.1:2', name: x}]",
        "listeners: ['127.0.0.1:1', {address: '127.0.0.1:2', name: plain}]",
        "listeners: [{address: '127.0.0.1:1', name: plain-2}, '127.0.0.1:9', '127.0.0.1:2']",
    ],
)
def test_two_listeners_of_one_name_are_refused_by_their_addresses(text: str) -> None:
    with pytest.raises(InvalidConfig, match=r"127\.0\.0\.1:1 and 127\.0\.0\.1:2 are both named"):
        config.parse(text.encode(), ".yaml")


def test_the_brokers_advertised_is_the_first_listeners_unless_it_has_its_own() -> None:
    listeners = (ListenerConfig("127.0.0.1:1"), ListenerConfig("127.0.0.1:2", name="inner"))
    chosen = BrokerConfig(listeners=listeners, advertised="outside:9")
    assert [door.advertised for door in chosen.doors()] == ["outside:9", None]
    listeners = (ListenerConfig("127.0.0.1:1", advertised="own:9"), *listeners[1:])
    chosen = BrokerConfig(listeners=listeners, advertised="outside:9")
    assert [door.advertised for door in chosen.doors()] == ["own:9", None]


def test_a_wildcard_address_must_say_what_clients_connect_to() -> None:
    text = b"listeners: [{address: '0.0.0.0:9092'}]\ninsecure: true\n"
    with pytest.raises(InvalidConfig, match="advertised"):
        config.parse(text, ".yaml")
    config.parse(text + b"advertised: 'broker.example:9092'\n", ".yaml")
