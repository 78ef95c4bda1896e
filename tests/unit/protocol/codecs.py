"""The two record codecs, so that one set of tests runs over both."""

from types import SimpleNamespace

import pytest

from streambus.protocol import _records_python

FUNCTIONS = (
    "decode",
    "decode_columns",
    "encode",
    "encode_columns",
    "encode_values",
    "find_timestamp",
)

plain = SimpleNamespace(**{name: getattr(_records_python, name) for name in FUNCTIONS})
try:
    from streambus.protocol import _kernel_decode, _kernel_encode
except ImportError:
    KERNEL_MISSING = "the kernel is not compiled here: python setup.py build_ext --inplace"
    compiled = plain
else:
    KERNEL_MISSING = ""
    modules = vars(_kernel_decode) | vars(_kernel_encode)
    compiled = SimpleNamespace(**{name: modules[name] for name in FUNCTIONS})

needs_kernel = pytest.mark.skipif(bool(KERNEL_MISSING), reason=KERNEL_MISSING)

BOTH = [
    pytest.param(plain, id="plain"),
    pytest.param(
        compiled,
        id="compiled",
        marks=needs_kernel,
    ),
]

both_codecs = pytest.mark.parametrize("codec", BOTH)
