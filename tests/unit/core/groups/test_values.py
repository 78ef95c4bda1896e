"""Requests, replies and settings."""

from dataclasses import FrozenInstanceError

import pytest

from app.core.groups.values import GroupSettings, JoinReply, SyncReply


def test_settings_start_from_kafkas_defaults() -> None:
    settings = GroupSettings()
    assert settings.session_timeout_ms_min == 6_000
    assert settings.session_timeout_ms_max == 1_800_000
    assert settings.initial_rebalance_delay_ms == 3_000
    assert settings.offset_metadata_max == 4_096
    assert settings.offsets_retention_ms == 7 * 24 * 60 * 60 * 1_000
    assert settings.expiry_check_ms == 600_000


def test_a_refusal_reveals_nothing_of_the_group() -> None:
    assert JoinReply(25, "a") == JoinReply(25, "a", -1, None, None, "", False, ())
    assert SyncReply(25) == SyncReply(25, None, None, b"")


def test_a_reply_that_waits_to_be_sent_does_not_change() -> None:
    with pytest.raises(FrozenInstanceError):
        SyncReply(0).assignment = b"other"  # type: ignore[misc]
