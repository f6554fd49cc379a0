"""Simulate the battles of SMAC's maps, compiled by Numba; never the game itself.

`simulator` puts a game loop together out of `orders` (who does what), `motion` and `bodies` (who
goes where), `attacks`, `beams` and `hits` (who hurts whom) and `recovery`. SMAC's own rules are in
`actions`, `observations` and `rewards`. `world` declares the arrays, `data`, `ground` and `rules`
fill in a map's constants. docs/skirmish.md names the source of every rule.
"""
