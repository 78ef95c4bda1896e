"""The one door to clock, randomness, files, lanes and sockets (ADR 8)."""

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
