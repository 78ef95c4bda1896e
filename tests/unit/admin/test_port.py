"""The port's values: an error that travelled is the error that was raised."""

import pytest

from app import errors
from app.admin.port import Command, Failed
from app.errors import StreamBusError
from app.partitions.preparing import KeyMissing
from app.tiers.nvme.failures import DiskFull

CLASSES = [
    each
    for each in vars(errors).values()
    if isinstance(each, type)
    and issubclass(each, StreamBusError)
    and each is not StreamBusError
    and each not in (errors.Malformed, errors.UpgradeNeeded)
]


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_an_error_comes_back_as_its_own_class(kind: type[StreamBusError]) -> None:
    came = Failed.of(kind("why")).error()
    assert (type(came), str(came)) == (kind, "why")
    assert (came.code, came.retriable) == (kind.code, kind.retriable)


@pytest.mark.parametrize(
    ("raised", "kind"),
    [
        (errors.Malformed("why"), errors.InvalidRecord),
        (errors.UpgradeNeeded("why"), errors.Fenced),
        (KeyMissing([1]), errors.InvalidRecord),
        (DiskFull("why"), errors.StorageFailed),
    ],
)
def test_a_finer_class_comes_back_as_the_one_with_its_code(
    raised: StreamBusError, kind: type[StreamBusError]
) -> None:
    came = Failed.of(raised).error()
    assert (type(came), str(came), came.code) == (kind, str(raised), raised.code)


def test_a_failure_says_its_kind() -> None:
    assert [
        Failed.of(kind("why")).kind
        for kind in (
            errors.InvalidTopic,
            errors.RequestTimedOut,
            errors.FencedLeaderEpoch,
            errors.Corrupt,
        )
    ] == ["rejected", "unavailable", "fenced", "corrupt"]


def test_a_command_must_say_what_it_touches() -> None:
    with pytest.raises(AssertionError, match="does not say what it touches"):
        Command().touches()
