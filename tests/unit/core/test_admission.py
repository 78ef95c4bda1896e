"""check_frame and check_header."""

import dataclasses

import pytest

from app.core.admission import ADMITTED, check_frame, check_header
from app.core.topic_policy import DEFAULT, TopicPolicy

NOW = 1_700_000_000_000
HOUR = 3_600_000
CORRUPT, TOO_LARGE, TIMESTAMP, EPOCH, TXN_STATE, CODEC, INVALID = -2, -10, -32, -47, -48, -76, -87
CONTROL, TRANSACTIONAL, LOG_APPEND_TIME, DELETE_HORIZON = 0x20, 0x10, 0x08, 0x40

GOOD = {
    "base_offset": 0,
    "length": 49 + 30,
    "leader_epoch": -1,
    "magic": 2,
    "crc": 0,
    "attributes": 0,
    "last_offset_delta": 2,
    "base_timestamp": NOW,
    "max_timestamp": NOW,
    "producer_id": -1,
    "producer_epoch": -1,
    "base_sequence": -1,
    "count": 3,
}
IDEMPOTENT = {"producer_id": 7, "producer_epoch": 0, "base_sequence": 0}


def checked(policy: TopicPolicy = DEFAULT, /, **changes: int) -> int:
    assert not changes.keys() - GOOD.keys()
    return check_header(tuple({**GOOD, **changes}.values()), policy, NOW)


def test_a_plain_batch_is_admitted() -> None:
    assert checked() == ADMITTED == 0


def test_an_idempotent_batch_is_admitted() -> None:
    assert checked(**IDEMPOTENT) == ADMITTED


@pytest.mark.parametrize("codec", range(5))
def test_every_codec_is_admitted(codec: int) -> None:
    assert checked(attributes=codec) == ADMITTED


@pytest.mark.parametrize("codec", [5, 6, 7])
def test_a_codec_that_does_not_exist_is_refused(codec: int) -> None:
    assert checked(attributes=codec) == CODEC


@pytest.mark.parametrize("length", [48, 0, -1])
def test_a_batch_shorter_than_its_header_is_corrupt(length: int) -> None:
    assert checked(length=length) == CORRUPT


@pytest.mark.parametrize(
    ("magic", "code"), [(0, INVALID), (1, INVALID), (3, CORRUPT), (-1, CORRUPT)]
)
def test_formats_before_v2_are_invalid_and_others_are_none(magic: int, code: int) -> None:
    assert checked(magic=magic) == code


@pytest.mark.parametrize("base_offset", [1, -1])
def test_a_client_does_not_choose_offsets(base_offset: int) -> None:
    assert checked(base_offset=base_offset) == INVALID


def test_a_batch_may_be_as_large_as_the_topic_allows_and_no_larger() -> None:
    policy = dataclasses.replace(DEFAULT, max_message_bytes=12 + 49 + 30)
    assert checked(policy) == ADMITTED
    assert checked(policy, length=49 + 31) == TOO_LARGE


@pytest.mark.parametrize(
    ("last_offset_delta", "count"), [(-1, 0), (-1, 3), (0, 0), (2, 2), (1, 3), (2, -3), (-2, -1)]
)
def test_offsets_and_count_must_agree(last_offset_delta: int, count: int) -> None:
    assert checked(last_offset_delta=last_offset_delta, count=count) == INVALID


def test_a_batch_has_no_more_records_than_its_bytes_can_hold() -> None:
    assert checked(count=4, last_offset_delta=3) == ADMITTED  # 30 bytes, 7 for the smallest record
    assert checked(count=5, last_offset_delta=4) == INVALID


def test_a_compressed_batch_has_no_more_records_than_may_be_decompressed() -> None:
    most = 128 * 1024 * 1024 // 7
    assert checked(attributes=4, count=most, last_offset_delta=most - 1) == ADMITTED
    assert checked(attributes=4, count=most + 1, last_offset_delta=most) == INVALID


@pytest.mark.parametrize("bit", [CONTROL, DELETE_HORIZON])
def test_what_only_brokers_write_is_invalid_from_clients(bit: int) -> None:
    assert checked(attributes=bit) == INVALID


@pytest.mark.parametrize(
    ("missing", "code"), [("base_sequence", INVALID), ("producer_epoch", EPOCH)]
)
@pytest.mark.parametrize("negative", [-1, -2])
def test_a_producer_id_comes_with_an_epoch_and_a_sequence(
    missing: str, code: int, negative: int
) -> None:
    assert checked(**{**IDEMPOTENT, missing: negative}) == code


def test_a_negative_epoch_is_told_after_all_that_is_wrong_with_the_batch() -> None:
    fenced = {**IDEMPOTENT, "producer_epoch": -1}
    assert checked(**{**fenced, "base_sequence": -1}) == INVALID
    assert checked(**fenced, max_timestamp=NOW + HOUR + 1) == TIMESTAMP
    assert checked(**fenced, attributes=TRANSACTIONAL) == TXN_STATE


def test_the_frame_is_what_can_be_checked_before_the_bytes_are_summed() -> None:
    def framed(**changes: int) -> int:
        return check_frame(tuple({**GOOD, **changes}.values()), DEFAULT)

    assert framed(count=0, attributes=7, max_timestamp=NOW * 2) == ADMITTED
    assert (framed(length=48), framed(magic=1), framed(magic=3)) == (CORRUPT, INVALID, CORRUPT)
    assert (framed(base_offset=1), framed(length=10**9)) == (INVALID, TOO_LARGE)


def test_a_transactional_batch_has_no_transaction_to_be_part_of() -> None:
    assert checked(**IDEMPOTENT, attributes=TRANSACTIONAL) == TXN_STATE
    assert checked(attributes=TRANSACTIONAL) == INVALID


@pytest.mark.parametrize("timestamp_type", ["CreateTime", "LogAppendTime"])
def test_a_producer_does_not_set_the_log_append_time(timestamp_type: str) -> None:
    policy = dataclasses.replace(DEFAULT, timestamp_type=timestamp_type)
    assert checked(policy, attributes=LOG_APPEND_TIME) == TIMESTAMP


def test_a_record_may_be_an_hour_ahead() -> None:
    assert checked(max_timestamp=NOW + HOUR) == ADMITTED
    assert checked(max_timestamp=NOW + HOUR + 1) == TIMESTAMP


def test_a_client_that_leaves_the_newest_timestamp_out_is_still_bounded() -> None:
    assert checked(max_timestamp=-1) == ADMITTED
    assert checked(max_timestamp=-1, base_timestamp=NOW + HOUR + 1) == TIMESTAMP


def test_a_record_may_be_as_old_as_the_topic_allows() -> None:
    assert checked(base_timestamp=0) == ADMITTED
    policy = dataclasses.replace(DEFAULT, timestamp_before_max_ms=HOUR)
    assert checked(policy, base_timestamp=NOW - HOUR) == ADMITTED
    assert checked(policy, base_timestamp=NOW - HOUR - 1) == TIMESTAMP


def test_a_batch_without_timestamps_is_not_too_old() -> None:
    policy = dataclasses.replace(DEFAULT, timestamp_before_max_ms=HOUR)
    assert checked(policy, base_timestamp=-1, max_timestamp=-1) == ADMITTED


def test_with_log_append_time_a_producers_timestamps_do_not_matter() -> None:
    policy = dataclasses.replace(
        DEFAULT, timestamp_type="LogAppendTime", timestamp_before_max_ms=HOUR
    )
    assert checked(policy, base_timestamp=0, max_timestamp=NOW * 2) == ADMITTED


def test_the_first_check_that_fails_decides() -> None:
    everything_wrong = {
        "length": 10**9,
        "base_offset": 5,
        "attributes": 7 | CONTROL | LOG_APPEND_TIME,
        "count": 0,
        "max_timestamp": NOW * 2,
    }
    repairs = [
        ("base_offset", 0, INVALID),
        ("length", GOOD["length"], TOO_LARGE),
        ("attributes", CONTROL | LOG_APPEND_TIME, CODEC),
        ("count", 3, INVALID),
        ("attributes", LOG_APPEND_TIME, INVALID),
        ("attributes", 0, TIMESTAMP),
        ("max_timestamp", NOW, TIMESTAMP),
    ]
    for field, repaired, code in repairs:
        assert checked(**everything_wrong) == code, field
        everything_wrong[field] = repaired
    assert checked(**everything_wrong) == ADMITTED
