"""Declare what a battle is made of: a map's constants (`Rules`) and all copies' state (`World`).

A slot is a unit's place in the arrays: agents 0..N-1 in SMAC's order, then enemies N..N+E-1, so
U = N + E. A slot's unit type never changes. Its constants are one record, ``rules.traits[slot]``,
and its state in a copy another, ``world.units[copy, slot]``; their fields are read by name, as in
``rules.traits[slot].health_max``, in compiled code and out of it. In Python ``world.health`` is the
view [C, U] of one field, and ``rules.health_max`` the view [U].

Time is counted in game loops: 16 to a second of the game's speed "normal", which all unit data are
in. Lengths are in map units; a cell is one unit wide, and cell [y, x] covers x..x+1, y..y+1 with
the origin at the bottom left.
"""

from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float64, Int16, Int64

# Orders. STOP is also that of a unit with nothing to do.
STOP = 0
MOVE = 1
ATTACK = 2
HEAL = 3
ATTACK_MOVE = 4

# Planes of motion. Bodies of different planes do not touch; striders cross cliffs.
GROUND = 0
AIR = 1
STRIDER = 2

NOBODY = -1  # the target of a unit that has none

Units = Any  # [U] of UNIT: one copy's units (whose fields type checkers do not know)

TRAITS = np.dtype(
    [
        # What SMAC shows and pays
        ("health_max", float),
        ("shield_max", float),
        ("max_cd", float),  # loops that SMAC's state divides a cooldown by
        ("type_bit", int),  # place in the one-hot, or -1
        ("heals", int),  # is a medivac
        ("sight", float),  # how far an agent sees, centre to centre
        ("shoot", float),  # how far a target may be to be ordered attacked or healed
        # Bodies
        ("radius", float),  # ranges are counted from it
        ("body", float),  # separation radius: how near others may come
        ("plane", int),
        ("speed", float),  # per loop
        ("acceleration", float),  # per loop and loop; 0: full speed at once
        ("armour", float),
        ("regeneration", float),  # health per loop
        ("biological", int),
        ("kind", int),  # unit type, numbered in alphabetical order
        # Weapons; times in loops
        ("reach", float),  # weapon range and own radius: add the target's radius
        ("scan", float),  # the same for how far it looks for targets
        ("hits", int),  # hits of one attack
        ("gap", float),  # from one of these hits to the next
        ("period", float),  # from one attack to the next
        ("damage_point", float),  # from an attack's start to its first hit or its missile's start
        ("backswing", float),  # how long it then goes on standing
        ("missile", float),  # its speed per loop, 0: hits at once
        ("blast", float),  # radius of the explosion in which it dies, 0: none
        ("beam", int),  # number of the pair of sweeping beams it has, or -1
        # The start
        ("spawn_x", float),
        ("spawn_y", float),
    ],
    align=True,
)

UNIT = np.dtype(
    [
        ("x", float),
        ("y", float),
        ("health", float),  # above 0 while it lives
        ("shield", float),
        ("energy", float),  # a medivac's
        ("cooldown", float),  # loops until it may attack again
        ("order", int),
        ("target", int),  # slot it attacks or heals, or -1
        ("goal_x", float),  # where MOVE and ATTACK_MOVE go
        ("goal_y", float),
        # Attacks
        ("attacked", int),  # whom the attack under way is for, or -1
        ("windup", float),  # loops until that attack's first hit, -1: it has been
        ("backswing", float),  # loops of backswing left
        ("hits_due", int),  # hits on their way
        ("hit_in", float),  # loops until the next one lands
        ("hit_target", int),  # whom they are for
        ("sweep", int),  # loops since its beams' start, -1: off
        ("line_x", float),  # middle of the line that the beams sweep
        ("line_y", float),
        ("line_dx", float),  # direction of that line
        ("line_dy", float),
        ("unhurt", int),  # loops since it was last hurt
        ("hurt_by", int),  # who hurt it in this loop, or -1
        ("exploded", int),
        ("healing", int),  # heals someone now
        ("help_in", int),  # loops until it may call for help again
        # Motion
        ("from_x", float),  # where it took up its target: its leash starts there
        ("from_y", float),
        ("to_x", float),  # where it walks in this loop
        ("to_y", float),
        ("stride", float),  # how far it wants to go in this loop, 0: stands
        ("waiting", int),  # loops for which it has given up squeezing through
        ("side", int),  # on which side it walks round others: 1 left, -1 right
        ("neighbour", int),  # scratch: entry of a walker's list of neighbours
        ("speed_x", float),  # of a unit with an acceleration
        ("speed_y", float),
    ],
    align=True,
)


class Rules(NamedTuple):
    """Hold a map's constants, readable in compiled code."""

    n_agents: int
    n_enemies: int

    # What SMAC shows and pays
    centre_x: float  # middle of the map
    centre_y: float
    width: float  # size of the playable area
    height: float
    n_bits: int  # entries of the unit type's one-hot, 0 if a map has one type
    shows_ally_shield: bool
    shows_enemy_shield: bool
    max_reward: float  # n_enemies * 10 + 200 + all enemies' health and shield
    ignore_recovery: bool  # smacv2's max(., 0) of the enemies' losses where v1 has abs(.)
    energy_max: float  # a medivac's

    # The units
    traits: Any  # [U] of TRAITS
    # a hit by the first on the second, before armour; 0: the first cannot hurt the second
    damage: Float64[np.ndarray, "U U"]
    goal_x: float  # where the enemies attack-move to
    goal_y: float
    prey: int  # the agent that the enemies are ordered to attack instead, or -1
    # enemies keep their slots; otherwise those of a type trade places in each episode
    keep_order: bool

    # The ground
    pathing: Bool[np.ndarray, "H W"]  # where walkers stand
    striding: Bool[np.ndarray, "H W"]  # where striders stand: cliffs too
    level: Int64[np.ndarray, "H W"]  # the terrain's height
    stop: Int64[np.ndarray, "H W"]  # number of the way's stop nearest to a cell
    # the next stop on the way from the first to the second; the second if the line is free
    way: Int16[np.ndarray, "P P"]
    stop_x: Float64[np.ndarray, "P"]
    stop_y: Float64[np.ndarray, "P"]

    shows_own_place: bool = False  # smacv2's armies: an agent observes where on the map it is

    def __getattr__(self, name: str) -> Any:
        return field(self.traits, name)


class World(NamedTuple):
    """Hold all copies' battles. A dead unit keeps its place."""

    units: Any  # [C, U] of UNIT
    # loop of the sweep in which a beam (2 for each `beam`) hurts a unit, or 0
    burns: Int64[np.ndarray, "C B U"]
    loop: Int64[np.ndarray, "C"]  # game loops of this episode so far
    before: Float64[np.ndarray, "C E"]  # enemies' health and shield when last paid for
    last_action: Int64[np.ndarray, "C N"]

    def __getattr__(self, name: str) -> Any:
        return field(self.units, name)


def field(records: np.ndarray, name: str) -> Any:
    """Return the view of one field of all records."""
    if name not in (records.dtype.names or ()):
        raise AttributeError(name)
    return records[name]


def blank(rules: Rules, copies: int) -> World:
    """Return the state of that many copies, nobody alive."""
    n_units = rules.n_agents + rules.n_enemies
    n_beams = 2 * (int(rules.traits["beam"].max()) + 1)
    return World(
        units=np.zeros((copies, n_units), UNIT),
        burns=np.zeros((copies, n_beams, n_units), np.int64),
        loop=np.zeros(copies, np.int64),
        before=np.zeros((copies, rules.n_enemies)),
        last_action=np.zeros((copies, rules.n_agents), np.int64),
    )
