"""One-copy simulators in worker processes that move all at once."""
