"""The one door to clock, randomness, files, lanes and sockets (design.md section 8, `The
world`)."""

from app.world.ports import (
    Buffer,
    Channel,
    Clock,
    File,
    FileRange,
    Files,
    Lane,
    Listening,
    Network,
    Randomness,
    Receiver,
    World,
)

__all__ = [
    "Buffer",
    "Channel",
    "Clock",
    "File",
    "FileRange",
    "Files",
    "Lane",
    "Listening",
    "Network",
    "Randomness",
    "Receiver",
    "World",
]
