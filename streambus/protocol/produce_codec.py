"""What producers send, read at speed: by the compiled kernel where it was built, else its twin.

Owns    the choice, made once at import; `KERNEL` says which it was.
Never   gives anything but what the careful readers (`batch.py`, `messages/produce.py`) would give:
        what is unusual is None here and theirs to judge.
"""

try:
    from streambus.protocol._kernel_produce import decode_usual, extended_crc, read_sent

    KERNEL = "compiled"
except ImportError:  # no compiler where this was installed: slower, the same answers
    from streambus.protocol._produce_python import decode_usual, extended_crc, read_sent

    KERNEL = "python"

__all__ = ["KERNEL", "decode_usual", "extended_crc", "read_sent"]
