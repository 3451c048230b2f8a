"""Versions of packages, read for less."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

import pytest

from xmlc.installed import version_of


@pytest.mark.parametrize("package", ["xmlc", "xdsl", "llvmlite", "numpy"])
def test_a_version_is_what_the_standard_library_says(package: str) -> None:
    assert version_of(package) == version(package)


def test_what_is_not_installed_has_none() -> None:
    with pytest.raises(PackageNotFoundError):
        version_of("no-such-package")
