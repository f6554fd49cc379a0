"""partage: who should share parameters with whom, and does it help?

A layer is a bank of parameter sets; an integer index, the assignment, says which agent goes through
which set.
"""

__version__ = "0.1.0"
