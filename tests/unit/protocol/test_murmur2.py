"""Java's hash: one key, one partition, whichever client wrote it."""

import random

import pytest

from streambus.protocol.murmur2 import murmur2, partition_for

# From Kafka's own UtilsTest.testMurmur2 (signed there).
JAVA = {
    b"21": -973932308,
    b"foobar": -790332482,
    b"a-little-bit-long-string": -985981536,
    b"a-little-bit-longer-string": -1486304829,
    b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971,
    b"abc": 479470107,
}


@pytest.mark.parametrize("key", JAVA)
def test_the_hash_is_javas(key: bytes) -> None:
    assert murmur2(key) == JAVA[key] % 2**32
    assert murmur2(memoryview(key)) == murmur2(bytearray(key)) == murmur2(key)


@pytest.mark.parametrize("key", JAVA)
def test_a_negative_hash_loses_its_sign_not_its_value(key: bytes) -> None:
    assert partition_for(key, 1000) == (JAVA[key] & 0x7FFFFFFF) % 1000


def test_partitions_are_those_of_kafka_python() -> None:
    from kafka.partitioner.default import murmur2 as theirs

    rng = random.Random(7)
    for size in range(200):
        key = rng.randbytes(size)
        assert murmur2(key) == theirs(key) % 2**32
        for partitions in (1, 3, 12, 50):
            assert partition_for(key, partitions) == (theirs(key) & 0x7FFFFFFF) % partitions
