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
    compiled = None
else:
    modules = vars(_kernel_decode) | vars(_kernel_encode)
    compiled = SimpleNamespace(**{name: modules[name] for name in FUNCTIONS})

BOTH = [
    pytest.param(plain, id="plain"),
    pytest.param(
        compiled,
        id="compiled",
        marks=pytest.mark.skipif(
            compiled is None,
            reason="the kernel is not compiled here: python setup.py build_ext --inplace",
        ),
    ),
]

both_codecs = pytest.mark.parametrize("codec", BOTH)
