# SPDX-License-Identifier: MIT
"""Setuptools as it is installed, so that pip needs no index.

pip hides installed packages from a build, to fetch what pyproject.toml requires. This looks for them where the
interpreter has them. Only where setuptools is not installed is pip asked to fetch it."""
import importlib.util
import os
import site
import sys

NEEDED = ["setuptools>=61", "wheel"]

for folder in [*site.getsitepackages(), os.path.join(sys.base_prefix, "lib/python3/dist-packages")]:
    if folder not in sys.path:
        sys.path.append(folder)


def get_requires_for_build_wheel(config_settings=None):
    return [] if all(importlib.util.find_spec(name.split(">")[0]) for name in NEEDED) else NEEDED


def get_requires_for_build_sdist(config_settings=None):
    return get_requires_for_build_wheel(config_settings)


def build_wheel(*arguments, **named):
    from setuptools import build_meta
    return build_meta.build_wheel(*arguments, **named)


def build_sdist(*arguments, **named):
    from setuptools import build_meta
    return build_meta.build_sdist(*arguments, **named)
