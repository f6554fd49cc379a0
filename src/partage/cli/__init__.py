"""The command line: `parser` reads it; the commands stand by topic in the other files.

A command loads what it needs when it is called, so that planning needs the standard library only.
"""
