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
