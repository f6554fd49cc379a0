"""Remove what a `Pool` leaves behind, however the trainer ends: even SIGKILL closes its pipe.

``python watchdog.py FOLDER`` reads lines ``+PID`` and ``-PID`` of process groups until its input
ends, then kills the groups still there and removes the folder. Standard library only, and alone in
its session: it starts at once and no Ctrl-C reaches it.
"""

import contextlib
import os
import shutil
import signal
import sys
import time


def main(folder: str) -> None:
    """Wait for the trainer to end, then clean up."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    groups: set[int] = set()
    for line in sys.stdin:
        group = int(line[1:])
        if line[0] == "+":
            groups.add(group)
        else:
            groups.discard(group)
    for group in groups:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(group, signal.SIGKILL)
    for _ in range(20):  # what is being killed may still be writing
        shutil.rmtree(folder, ignore_errors=True)
        if not os.path.exists(folder):
            break
        time.sleep(0.1)


if __name__ == "__main__":
    main(sys.argv[1])
