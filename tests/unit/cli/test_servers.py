"""Twin of streambus/cli/servers.py."""

import pytest
import typer

from streambus.cli import servers


@pytest.mark.parametrize(
    ("text", "addresses"),
    [
        ("127.0.0.1:9092", [("127.0.0.1", 9092)]),
        ("a:1, b:2", [("a", 1), ("b", 2)]),
        ("broker", [("broker", 9092)]),
        ("[::1]:9093", [("::1", 9093)]),
        ("[::1]", [("::1", 9092)]),
    ],
)
def test_servers_are_hosts_and_ports(text, addresses):
    assert servers.parse(text) == addresses


@pytest.mark.parametrize("text", ["", ":9092", "a:b", "a:0", "a:70000"])
def test_a_server_without_a_good_port_is_refused(text):
    with pytest.raises(typer.Exit):
        servers.parse(text)


def test_tls_is_off_unless_asked_for(tmp_path):
    assert servers.trust(None, tls=False) is None
    assert servers.trust(None, tls=True) is not None
    with pytest.raises(typer.Exit):
        servers.trust(str(tmp_path / "missing.pem"), tls=False)
