"""The data directory: whose it is, which format it has, and that one broker at a time uses it.

Owns    the lock and the marker `streambus.json` {"format": 1, "broker_id": 1}.
Never   touches what the WAL and the manifest keep below it.
Trusts  that its calls run on a lane.
"""

import json
from collections.abc import Callable

from app.errors import Corrupt, StorageFailed, UpgradeNeeded
from app.world.ports import Files

FORMAT = 1
MARKER = "streambus.json"
_BYTES_MAX = 4_096


def claim(files: Files, directory: str, broker_id: int) -> Callable[[], None]:
    """Make or check the directory and lock it; returns the lock's release.

    Raises `StorageFailed` (held by another broker, read-only), `UpgradeNeeded` (a newer format) or
    `Corrupt` (the marker is unreadable).
    """
    try:
        files.make_directory(directory)
        release = files.lock(f"{directory}/lock")
    except BlockingIOError:
        raise StorageFailed(
            f"another broker uses {directory}: stop it, or give this one its own --data"
        ) from None
    except OSError as error:
        raise StorageFailed(
            f"cannot write to the data directory {directory}: {error.strerror}. "
            "Make it writable for this user, or choose another with --data"
        ) from error
    try:
        _check(files, directory, broker_id)
    except BaseException:
        release()
        raise
    return release


def _check(files: Files, directory: str, broker_id: int) -> None:
    path = f"{directory}/{MARKER}"
    if MARKER not in files.list(directory):
        _mark(files, directory, broker_id)
        return
    marker = files.open(path, writable=False)
    try:
        text = marker.read(0, _BYTES_MAX)
    finally:
        marker.close()
    try:
        known = json.loads(text)
        version, owner = int(known["format"]), int(known["broker_id"])
    except (ValueError, KeyError, TypeError) as error:
        raise Corrupt(
            f"{path} does not say what this directory is ({error}): if the data is yours, write "
            f'{{"format": {FORMAT}, "broker_id": {broker_id}}} there'
        ) from error
    if version != FORMAT:
        raise UpgradeNeeded(
            f"{directory} has format {version} and this StreamBus reads {FORMAT}: upgrade StreamBus"
        )
    if owner != broker_id:
        raise StorageFailed(
            f"{directory} belongs to broker {owner} and this broker is {broker_id}: "
            "correct broker_id, or give this broker its own directory"
        )


def _mark(files: Files, directory: str, broker_id: int) -> None:
    path, temporary = f"{directory}/{MARKER}", f"{directory}/{MARKER}.new"
    marker = files.open(temporary, create=True)
    try:
        text = json.dumps({"format": FORMAT, "broker_id": broker_id}) + "\n"
        marker.resize(0)
        marker.write([text.encode()], 0, durable=True)
    finally:
        marker.close()
    files.rename(temporary, path)
    files.sync_directory(directory)
