"""Stand in for the game: speak its protocol, and play the battle with our own simulator.

`install.lay` writes what the client expects of an installed game, `game` is what its ``SC2_x64``
runs, `frames` the websocket below it, `faults` what can go wrong, `battle` the units. Only what
SMAC asks for is understood.
"""
