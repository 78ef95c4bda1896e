"""Builds the optional kernels; without a compiler their plain Python twins serve.

A kernel gives the same results many times faster. Its absence must not stop an installation: the
extensions are optional, and so is Cython itself where the build is not isolated.
"""

from setuptools import Extension, setup

try:
    from Cython.Build import cythonize
except ImportError:
    extensions = []
else:
    extensions = cythonize(
        [
            Extension(
                f"streambus.protocol.{name}",
                [f"streambus/protocol/{name}.pyx"],
                extra_compile_args=["-g0"],
            )
            for name in ("_kernel_decode", "_kernel_encode", "_kernel_produce")
        ],
        build_dir="build/cython",
    )
    for extension in extensions:
        extension.optional = True  # cythonize does not carry it over

setup(ext_modules=extensions)
