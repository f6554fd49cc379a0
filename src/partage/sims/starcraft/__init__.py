"""Play StarCraft II itself behind SMAC version 1's rules, through smacv2 and pysc2.

`installation` refuses where the game or a package is missing, `game` leads one game process, and
`smac_v1` mends smacv2's environment; of these only `smac_v1` imports smacv2. See docs/starcraft.md.
"""
