"""Records to bytes and back, by the compiled kernel where it was built, else by its plain twin.

Owns    the choice, made once at import; `KERNEL` says which it was.
Never   differs in what it accepts or gives: both are held to the same tests.
"""

try:
    from streambus.protocol._kernel_decode import decode, decode_columns, find_timestamp
    from streambus.protocol._kernel_encode import encode, encode_columns, encode_values

    KERNEL = "compiled"
except ImportError:  # no compiler where this was installed: slower, the same results
    from streambus.protocol._records_python import (
        decode,
        decode_columns,
        encode,
        encode_columns,
        encode_values,
        find_timestamp,
    )

    KERNEL = "python"

__all__ = [
    "KERNEL",
    "decode",
    "decode_columns",
    "encode",
    "encode_columns",
    "encode_values",
    "find_timestamp",
]
