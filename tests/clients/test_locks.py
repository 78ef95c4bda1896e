"""What is committed of clients fixes their bytes, and does not say where these come from."""

import json
import re

import pytest

from tests.clients.clients import HERE

LOCKS = ("go/go.sum", "java/jars.sha256", "node/package-lock.json", "rust/crates.lock")


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_names_no_index(lock: str) -> None:
    assert "://" not in (HERE / lock).read_text()


def test_every_crate_has_a_checksum() -> None:
    crates = (HERE / "rust/crates.lock").read_text().split("\n[[package]]\n")[1:]
    bare = [crate for crate in crates if not re.search(r'^checksum = "[0-9a-f]{64}"$', crate, re.M)]
    assert len(crates) > 100
    assert [crate.splitlines()[0] for crate in bare] == ['name = "streambus-test-clients"']


def test_every_package_of_node_has_a_hash() -> None:
    packages = json.loads((HERE / "node/package-lock.json").read_text())["packages"]
    bare = [name for name, package in packages.items() if "integrity" not in package]
    assert len(packages) > 1 and bare == [""]
