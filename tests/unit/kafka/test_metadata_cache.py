"""Kept Metadata answers: true while they are kept, and few."""

from app.core.manifest.image import Image
from app.kafka.metadata_cache import MetadataCache

FRAME = bytes(4) + b"\x00\x00\x00\x01" + b"body"


def test_a_kept_answer_gets_the_correlation_id_of_who_asks() -> None:
    cache, image = MetadataCache(), Image()
    assert cache.find("all", 1, image, 0) is None
    cache.keep("all", FRAME, image, 0)
    assert cache.find("all", 0x01020304, image, 0) == bytes(4) + b"\x01\x02\x03\x04" + b"body"
    assert cache.find("other", 1, image, 0) is None


def test_another_image_or_other_verdicts_forget_everything() -> None:
    cache, image = MetadataCache(), Image()
    cache.find("all", 1, image, 0)
    cache.keep("all", FRAME, image, 0)
    assert cache.find("all", 1, image, 1) is None
    cache.keep("all", FRAME, image, 1)
    assert cache.find("all", 1, Image(index=1), 1) is None
    assert cache.bytes == 0


def test_an_answer_of_an_older_image_is_not_kept() -> None:
    cache, image = MetadataCache(), Image()
    cache.find("all", 1, Image(index=1), 0)
    cache.keep("all", FRAME, image, 0)
    assert cache.bytes == 0


def test_the_least_recently_used_go_first() -> None:
    cache, image = MetadataCache(answers_max=3, bytes_max=10 * len(FRAME)), Image()
    cache.find(0, 1, image, 0)
    for key in range(3):
        cache.keep(key, FRAME, image, 0)
    assert cache.find(0, 1, image, 0) is not None
    cache.keep(3, FRAME, image, 0)
    assert [key for key in range(4) if cache.find(key, 1, image, 0)] == [0, 2, 3]
    cache.keep("huge", bytes(11 * len(FRAME)), image, 0)
    assert cache.bytes == 3 * len(FRAME)
