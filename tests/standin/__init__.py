"""A stand-in for the game: it speaks StarCraft II's protocol and plays the battle with our own
simulator.

`install.lay` writes what the client expects of an installed game, `game` is what its ``SC2_x64``
runs, `frames` the websocket below it, `faults` what can go wrong, `battle` the units. Only what
SMAC asks for is understood.
"""
