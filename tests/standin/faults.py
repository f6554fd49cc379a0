"""Let things go wrong in a game, as the environment variable ``STANDIN_FAULT`` asks.

Its four words are what, where, when and in which launch: `what` is one of `KINDS`, `where` the name
of a request or ``launch``, `when` the how many-th of these requests of the launch it befalls; the
launches of an installation are counted from 1, and 0 is all.
"""

import os
import signal
import sys
import time
from pathlib import Path
from typing import NamedTuple

VARIABLE = "STANDIN_FAULT"
KINDS = (
    "crash",  # the process is gone
    "hang",  # it answers no more, and does not heed SIGTERM
    "half",  # it is gone in the middle of an answer
    "status",  # it answers without saying in which state it is
    "ended",  # it says that the game is over, and stays so
    "garbage",  # it answers with bytes that are no message
    "error",  # it says that the request was wrong
    "slow",  # it takes three seconds
)


class Fault(NamedTuple):
    """Say what goes wrong, at the how many-th of which requests."""

    what: str
    where: str
    when: int

    def befalls(self, where: str, when: int) -> bool:
        """Return whether it befalls the `when`-th of these requests."""
        return (self.where, self.when) == (where, when)


def expected(root: Path) -> Fault | None:
    """Return the fault of this launch, which is counted in files of the installation."""
    launch = 1
    while True:
        try:
            (root / f"launch-{launch}").touch(exist_ok=False)
            break
        except FileExistsError:
            launch += 1
    if VARIABLE not in os.environ:
        return None
    what, where, when, which = os.environ[VARIABLE].split()
    if what not in KINDS:
        sys.exit(f"stand-in: unknown fault {what!r}")
    return Fault(what, where, int(when)) if int(which) in (0, launch) else None


def suffer(what: str) -> None:
    """Crash, hang or wait; the other kinds befall the answer."""
    if what == "crash":
        os._exit(1)
    if what == "hang":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        time.sleep(3600)
    if what == "slow":
        time.sleep(3)
