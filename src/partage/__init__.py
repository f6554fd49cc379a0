"""partage: who should share parameters with whom, and does it help?

A layer is a bank of parameter sets; an integer index, the assignment, says which agent goes through which set.
"""

__version__ = "0.1.0"


class Refusal(Exception):
    """A mistake the user can mend: the message is one sentence that says what was expected, what came, what to do.

    The command line prints it without a traceback and exits with code 2.
    """
