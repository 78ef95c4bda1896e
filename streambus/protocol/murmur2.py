"""Java's murmur2 and the partition that its default partitioner gives a key.

Owns    the hash that must agree between all clients: one key, one partition, whoever writes it.
"""

_MULTIPLIER = 0x5BD1E995
_SEED = 0x9747B28C
_MASK = 0xFFFFFFFF


def murmur2(key: bytes | bytearray | memoryview) -> int:
    """The hash of Kafka's `Utils.murmur2`, as an unsigned 32-bit int."""
    size = len(key)
    mixed = (_SEED ^ size) & _MASK
    whole = size & ~3
    for position in range(0, whole, 4):
        word = int.from_bytes(key[position : position + 4], "little") * _MULTIPLIER & _MASK
        word = (word ^ word >> 24) * _MULTIPLIER & _MASK
        mixed = mixed * _MULTIPLIER & _MASK ^ word
    if size != whole:
        mixed = (mixed ^ int.from_bytes(key[whole:], "little")) * _MULTIPLIER & _MASK
    mixed = (mixed ^ mixed >> 13) * _MULTIPLIER & _MASK
    return mixed ^ mixed >> 15


def partition_for(key: bytes | bytearray | memoryview, partitions: int) -> int:
    """Where Java's default partitioner sends this key."""
    assert partitions > 0, partitions
    # toPositive clears the sign bit; abs() would send some keys elsewhere.
    return (murmur2(key) & 0x7FFFFFFF) % partitions
