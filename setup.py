"""The one thing that pyproject.toml cannot say: the C engine is built by cffi."""

from setuptools import setup

setup(cffi_modules=["_cparser/build.py:ffibuilder"])
