"""The versions of installed packages.

`importlib.metadata.version` parses all that a package says of itself as an e-mail: 3 ms of each start, of which the
version is one line.
"""

from importlib.metadata import distribution, version


def version_of(package: str) -> str:
    """The version of a package. Raises PackageNotFoundError."""
    text = distribution(package).read_text("METADATA") or ""
    stated = [line for line in text.partition("\n\n")[0].splitlines() if line.startswith("Version: ")]
    return stated[0].removeprefix("Version: ") if stated else version(package)
