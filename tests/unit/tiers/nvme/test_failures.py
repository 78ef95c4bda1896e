"""What a failed disk is called, and what its operator is told."""

import errno

import pytest

from app.tiers.nvme.failures import DiskFailed, DiskFull, storage_failed


@pytest.mark.parametrize(
    ("number", "kind", "advice"),
    [
        (errno.ENOSPC, DiskFull, "free space there, room for a segment"),
        (errno.EDQUOT, DiskFull, "continues by itself"),
        (errno.EROFS, DiskFailed, "write access"),
        (errno.EACCES, DiskFailed, "/data/wal: cannot be written"),
        (errno.EIO, DiskFailed, "check the disk, then restart"),
    ],
)
def test_each_cause_names_the_directory_and_its_remedy(
    number: int, kind: type, advice: str
) -> None:
    error = storage_failed(OSError(number, "told by the disk"), "/data/wal")
    assert type(error) is kind
    assert advice in str(error)
    assert str(error).startswith("/data/wal: ")
    assert error.code == 56
    assert storage_failed(error, "elsewhere") is error
