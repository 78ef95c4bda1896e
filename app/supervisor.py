"""Tells the supervisor of this process, where there is one, how far the broker is.

Owns    the datagrams of systemd's readiness protocol (sd_notify(3)): READY=1, STOPPING=1.
Never   fails the broker: a supervisor that does not listen is told nothing, and one event says so.
Trusts  NOTIFY_SOCKET, which only a supervisor that wants to be told sets.
"""

import os
import socket

from app.telemetry import events

READY = "READY=1"
STOPPING = "STOPPING=1"
PATIENCE_S = 1.0  # for one that reads slowly: the loop stands still meanwhile


def tell(state: str, status: str = "") -> None:
    """One datagram to NOTIFY_SOCKET: a path, or an abstract name that begins with '@'."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    told = f"{state}\nSTATUS={status}\n" if status else f"{state}\n"
    if address.startswith("@"):
        address = "\0" + address[1:]
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as out:
            out.settimeout(PATIENCE_S)
            out.sendto(told.encode(), address)
    except OSError as error:
        events.emit("supervisor.deaf", events.WARNING, state=state, error=error)
