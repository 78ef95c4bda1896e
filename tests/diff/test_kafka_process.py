"""Only the jars whose hashes are committed are ever run."""

import hashlib
from pathlib import Path

import pytest

from benchmarks import kafka_process


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Jars and their list, one of each."""
    jars = tmp_path / "jars"
    jars.mkdir()
    (jars / "a.jar").write_bytes(b"a")
    listed = tmp_path / "jars.sha256"
    listed.write_text(f"{hashlib.sha256(b'a').hexdigest()}  a.jar\n")
    monkeypatch.setattr(kafka_process, "JARS", jars)
    monkeypatch.setattr(kafka_process, "HASHES", listed)
    monkeypatch.setattr("shutil.which", lambda program: program)
    return jars


def test_the_jars_of_the_list_are_taken(folder: Path) -> None:
    assert kafka_process.jars() == folder


def test_a_changed_jar_is_refused(folder: Path) -> None:
    (folder / "a.jar").write_bytes(b"b")
    with pytest.raises(kafka_process.KafkaMissing, match=r"a\.jar"):
        kafka_process.jars()


def test_a_jar_too_many_or_too_few_is_refused(folder: Path) -> None:
    (folder / "b.jar").write_bytes(b"b")
    with pytest.raises(kafka_process.KafkaMissing, match=r"b\.jar"):
        kafka_process.jars()
    (folder / "b.jar").unlink()
    (folder / "a.jar").unlink()
    with pytest.raises(kafka_process.KafkaMissing, match=r"a\.jar"):
        kafka_process.jars()


def test_the_committed_list_is_of_jars_alone() -> None:
    listed = kafka_process.expected()
    assert listed and all(name.endswith(".jar") for name in listed)
    assert all(len(digest) == 64 for digest in listed.values())
