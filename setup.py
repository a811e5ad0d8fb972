"""Adds the shipped search spaces, a folder beside the package, as ``raykd.search_spaces``.

Everything else is in pyproject.toml, whose package discovery cannot take in a second folder.
"""

from setuptools import find_namespace_packages, setup

setup(
    packages=[*find_namespace_packages(include=["raykd*"]), "raykd.search_spaces"],
    package_dir={"raykd.search_spaces": "search_spaces"},
)
