"""What a record says of the machine. Standard library only.

A fact that a system does not tell is None: a run that has trained for a day is not to end for want
of it.
"""

import os
import platform
import re
import subprocess
from pathlib import Path
from typing import Any

from partage.config.cores import available_cores

CPUINFO = Path("/proc/cpuinfo")  # of Linux
CGROUP, CGROUPS = (
    Path("/proc/self/cgroup"),
    Path("/sys/fs/cgroup"),
)  # what limits a job or container
MAC = "Darwin"


def machine() -> dict[str, Any]:
    """Return CPU model, cores this process may use, memory in GiB, host and C library."""
    return {
        "cpu": cpu_model(),
        "cores": available_cores(),
        "memory_gib": memory(),
        "host": platform.node(),
        "libc": " ".join(platform.libc_ver()).strip() or None,
    }


def cpu_model() -> str:
    """Return the CPU's name: as its maker says it, where the system tells that."""
    try:
        if platform.system() == MAC:
            command = ["sysctl", "-n", "machdep.cpu.brand_string"]
            done = subprocess.run(command, capture_output=True, check=True, timeout=10)
            return done.stdout.decode(errors="replace").strip()
        info = CPUINFO.read_text(encoding="utf-8", errors="replace")
        if found := re.search(r"model name\s*: (.*)", info):
            return found[1]
    except (OSError, subprocess.SubprocessError):
        pass  # another system, or one that hides it
    return platform.processor() or platform.machine()


def memory() -> float | None:
    """Return the machine's memory in GiB."""
    try:
        size = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):  # a name that this system does not know
        return None
    return round(size / 2**30, 1)


def available_memory() -> float | None:
    """Return the bytes of memory that this process may have: a job has less than the machine."""
    gib = memory()
    found = [gib * 2**30] if gib else []
    for path in _limits():
        try:
            found.append(float(path.read_text()))
        except (OSError, ValueError):
            continue  # another version's file, or no limit: it says "max"
    return min(found, default=None)


def _limits() -> list[Path]:
    """Return the files that may limit this process's memory: of its group, and of those above."""
    files = []
    try:
        lines = CGROUP.read_text().splitlines()
    except OSError:
        lines = []
    for line in lines:
        _, controllers, name = line.split(":", 2)
        root = CGROUPS / ("memory" if controllers else "")
        if controllers in ("", "memory"):
            group = root / name.lstrip("/")
            for folder in (group, *group.parents):
                if folder.is_relative_to(CGROUPS):
                    files += [folder / "memory.max", folder / "memory.limit_in_bytes"]
    return files
