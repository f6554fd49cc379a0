"""The simulators that play the tasks, their contract, and what batches and compiles them."""
