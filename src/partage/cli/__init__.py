"""The command line: `parser` reads it, `commands` does what it asks for."""
