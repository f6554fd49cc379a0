"""Level-based foraging, as lbforaging has it."""
