"""Logging: every logger of xmlc is a child of the logger "xmlc", which only the command line sends anywhere."""

from __future__ import annotations

import logging
import sys

from xmlc.options import LOG

ROOT = logging.getLogger("xmlc")


class StandardError(logging.Handler):
    """Writes to whatever `sys.stderr` is when the record is made, not when the handler was."""

    def emit(self, record: logging.LogRecord) -> None:
        sys.stderr.write(self.format(record) + "\n")


HANDLER = StandardError()
HANDLER.setFormatter(logging.Formatter("%(levelname)s: %(name)s: %(message)s"))


def log_to_standard_error() -> None:
    """Send records of the level that XMLC_LOG names, and above, to standard error. May be called again."""
    ROOT.setLevel(LOG.get().upper())
    if HANDLER not in ROOT.handlers:
        ROOT.addHandler(HANDLER)
