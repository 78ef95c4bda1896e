"""Builds the optional record kernel; without a compiler the plain Python twin serves (slower, same results)."""

from Cython.Build import cythonize
from setuptools import Extension, setup

kernel = Extension("streambus.protocol._kernel", ["streambus/protocol/_kernel.py"], optional=True)

setup(ext_modules=cythonize([kernel], language_level=3))
