"""Health: has it started, is it alive, may clients be sent to it."""

from collections.abc import Sequence

import msgspec

from app.admin.port import Command, Touch


class Health(msgspec.Struct, frozen=True, tag=True):
    """`reasons` says, in words for an operator, what is not as it should be."""

    started: bool
    ready: bool
    reasons: tuple[str, ...] = ()


class CheckHealth(Command, frozen=True):
    """-> Health. Everybody may ask. That it is answered at all is liveness."""

    def touches(self) -> Sequence[Touch]:
        return ()


COMMANDS = (CheckHealth,)
