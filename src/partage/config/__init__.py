"""What is to be run: the config files in ``sheets`` -> figures -> cells -> recipes.

Standard library only, so that planning takes milliseconds and needs nothing installed.
"""

VERSION = "0.2.0"
