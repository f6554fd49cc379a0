"""What went wrong, in one sentence, where the machine and not a name or a file is at fault."""

import os
import re
import resource
import sys

FAILURES = (OSError, MemoryError, RecursionError, ImportError, RuntimeError, SystemError)
# how loaders, PyTorch and threads say that there is no memory left
NO_MEMORY = re.compile(
    "allocat|out of memory|cannot map|failed to map|load shared object|start new thread"
    "|size calculation"
)
LONGEST = 1500  # letters of a sentence: what was given may be of any length


def explain(error: BaseException) -> str | None:
    """Return what to say of an error; None where only its traceback helps."""
    limit = _memory_limit()
    memory = isinstance(error, MemoryError) or bool(NO_MEMORY.search(str(error)))
    if memory and limit:
        return (
            f"a limit of {limit // 2**20:,} MiB on this process's memory (`ulimit -v`) is too low "
            f"to load or to train this ({_first_line(error)}): raise it, or lift it with "
            "`ulimit -v unlimited`."
        )
    if isinstance(error, MemoryError) or (memory and isinstance(error, RuntimeError)):
        return (
            f"not enough memory ({_first_line(error)}): ask for fewer episodes or copies, or for "
            "smaller networks."
        )
    if isinstance(error, RecursionError):
        return f"what was given is nested too deep ({_first_line(error)}): write it flat."
    if isinstance(error, OSError):
        where = f" {error.filename}" if error.filename else ""
        return f"Could not read or write{where}: {error.strerror or error}."
    return None


def _memory_limit() -> int:
    """Return the limit on this process's address space in bytes; 0: there is none."""
    soft, _ = resource.getrlimit(resource.RLIMIT_AS)
    return 0 if soft == resource.RLIM_INFINITY else soft


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0][:200]


def one_line(sentence: str) -> str:
    """Return a sentence without line breaks and control characters, shortened in its middle."""
    if len(sentence) > LONGEST:
        sentence = f"{sentence[: LONGEST // 2]} ... {sentence[-LONGEST // 2 :]}"
    letters = [letter if letter.isprintable() else repr(letter)[1:-1] for letter in sentence]
    return "".join(letters)


def flush() -> None:
    """Write out what is left, while an error can still be said; there may be no output at all."""
    if sys.stdout is not None and not sys.stdout.closed:
        sys.stdout.flush()


def forget_output() -> None:
    """Let what cannot be written go, so that the interpreter does not try again as it ends."""
    if sys.stdout is not None and sys.stdout is sys.__stdout__:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
