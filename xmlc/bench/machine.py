"""The machine and the sources that a record was made with, and when."""

from __future__ import annotations

import os
import platform
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from xmlc.backends.cpu.target import host
from xmlc.pipeline import versions


def now() -> str:
    """Date and time, UTC."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def circumstances() -> dict[str, Any]:
    """What every record says: when, with which sources and packages, and on what machine it was made."""
    return {"date": now(), "commit": commit(), "versions": versions(), "machine": machine()}


def machine() -> dict[str, Any]:
    """Processor, caches, cores, memory, system; nothing that names the machine or its user."""
    found = host()
    return {
        "processor": processor_name(),
        "llvm_name": found.processor,
        "vector_bits": found.vector_bits,
        "caches": list(found.caches),
        "cores": found.cores,
        "memory_bytes": memory_bytes(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "load": load(),
    }


def processor_name() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return platform.processor() or platform.machine()
    names = (line.partition(":")[2].strip() for line in text.splitlines() if line.startswith("model name"))
    return next(names, platform.machine())


def memory_bytes() -> int:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError, AttributeError):
        return 0


def load() -> float:
    """Runnable processes, averaged over a minute: on a quiet machine 0 before a run."""
    return round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else 0.0


def commit() -> str:
    """The commit of the sources, with `+` where they have been edited; empty where they are no checkout."""
    folder = Path(__file__).resolve().parent
    try:
        name = git(folder, "rev-parse", "--short=12", "HEAD")
        return name + ("+" if git(folder, "status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.CalledProcessError):
        return ""


def git(folder: Path, *arguments: str) -> str:
    command = ["git", "-C", str(folder), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=20).stdout.strip()
