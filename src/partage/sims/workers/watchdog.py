"""What a `Pool` leaves behind is removed by this process, however the trainer ends: even SIGKILL
closes its pipe.

``python guard.py FOLDER`` reads lines ``+PID`` and ``-PID`` of process groups until its input ends,
then kills the groups still there and removes the folder. Standard library only, and alone in its
session: it starts at once and no Ctrl-C reaches it.
"""

import contextlib
import os
import shutil
import signal
import sys
import time


def main(folder: str) -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    groups: set[int] = set()
    for line in sys.stdin:
        (groups.add if line[0] == "+" else groups.discard)(int(line[1:]))
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
