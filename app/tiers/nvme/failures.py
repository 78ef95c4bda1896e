"""What a failed disk means for whoever reads the log file: one error per cause, with its remedy.

Owns    the texts, and the one question that decides what may go on later: was there only no room?
Never   raises or retries.
"""

import errno

from app.errors import StorageFailed

_FULL = (errno.ENOSPC, errno.EDQUOT)
_SCARCE = (errno.EMFILE, errno.ENFILE)
_READ_ONLY = (errno.EROFS, errno.EACCES, errno.EPERM)


class DiskFull(StorageFailed):
    """No room, on the disk or for another open file: the broker may go on by itself once there
    is some."""


class DiskFailed(StorageFailed):
    """A write or sync failed: what the disk holds is known only after a restart reads it again."""


def storage_failed(error: BaseException, path: str) -> StorageFailed:
    """The error to tell, for an exception of a lane's job on files below `path`."""
    if isinstance(error, StorageFailed):
        return error
    failed: StorageFailed
    number = error.errno if isinstance(error, OSError) else None
    if number in _FULL:
        failed = DiskFull(
            f"{path}: the disk is full. Produce is refused and reads go on: free space there, "
            "room for a segment at least, and the broker continues by itself"
        )
    elif number in _SCARCE:
        failed = DiskFull(
            f"{path}: no file can be opened ({error}). Produce is refused and reads go on: raise "
            "`ulimit -n`, or find who holds so many connections; the broker continues by itself"
        )
    elif number in _READ_ONLY:
        failed = DiskFailed(
            f"{path}: cannot be written ({error}). Give the broker's user write access to it, or "
            "mount it writable, then restart the broker"
        )
    else:
        failed = DiskFailed(
            f"{path}: writing failed ({error}). What was not yet acknowledged is given up, produce "
            "is refused and reads go on: check the disk, then restart the broker"
        )
    failed.__cause__ = error
    return failed
