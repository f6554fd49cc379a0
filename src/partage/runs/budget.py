"""How far somebody's run was trained, as far as what it measured shows.

A run that tests every 10,000 steps and trains for 4,000 is tested once, near the beginning: that is
all there is of it, and it was trained to its end all the same.
"""

from partage.runs.experiments import Measured, Run

WHOLE = 0.95  # of the budget: the last test of a run may come a little before its end
PLANNED = "t_max"  # EPyMARL's and PyMARL's names: steps to train for, and between measurements
INTERVALS = ("test_interval", "log_interval", "runner_log_interval")


def last(measured: Measured, steps: int) -> int:
    """Return the last step, within `steps`, that anything wanted was measured at; 0 if none was."""
    return max((point[1] for point in measured.points if point[1] <= steps), default=0)


def reaches(run: Run, measured: Measured, steps: int) -> bool:
    """Return whether a run was trained for `steps`, or would have been tested next after them."""
    end = last(measured, steps)
    planned = run.config.get(PLANNED)
    if measured.points and type(planned) is int:
        intervals = [run.config.get(name) for name in INTERVALS]
        gap = max((each for each in intervals if type(each) is int), default=0)
        end = max(end, min(planned, end + gap))
    return end >= WHOLE * steps


def remark(run: Run, measured: Measured, steps: int) -> str:
    """Return what to know of a run whose last measurement lies well before its end, or nothing."""
    end = last(measured, steps)
    if end >= WHOLE * steps:
        return ""
    return (
        f"seed {run.seed} ({run.place}) was measured last at {end:,} of {steps:,} steps, as it was "
        f"to be tested next after its end: its value there is not a final one"
    )
