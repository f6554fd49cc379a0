"""What a battle is made of: the constants of a map (`Rules`) and the state of all copies (`World`).

A unit is a slot: agents 0..N-1 in SMAC's order, then enemies N..N+E-1, so U = N + E. A slot's unit
type never changes. What is known of a slot is one record: ``rules.slots[slot].health_max``,
``world.units[copy, slot].health``, in compiled code and out of it; in Python, ``world.health`` is
the view [C, U] of that field.

Time is counted in game loops: 16 to a second of the game's "normal" speed, which all unit data are
in. Lengths are in map units; a cell is one unit wide, and cell [y, x] covers x..x+1, y..y+1 with
the origin at the bottom left.
"""

from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float64, Int16, Int64

STOP, MOVE, ATTACK, HEAL, ATTACK_MOVE = (
    0,
    1,
    2,
    3,
    4,
)  # orders; STOP is also that of a unit with nothing to do
GROUND, AIR, STRIDER = (
    0,
    1,
    2,
)  # planes of motion: bodies of different planes do not touch; striders cross cliffs
NOBODY = -1  # a target that is none

Units = Any  # [U] of UNIT: one copy's units (whose fields type checkers do not know)

SLOT = np.dtype(
    [
        # What SMAC shows and pays
        ("health_max", float),
        ("shield_max", float),
        ("max_cd", float),  # loops that SMAC's state divides a cooldown by
        ("type_bit", int),  # place in the one-hot, or -1
        ("heals", int),  # a medivac
        # Bodies
        ("radius", float),  # ranges are counted from it
        ("body", float),  # separation radius: how near others may come
        ("plane", int),
        ("speed", float),  # per loop
        ("acceleration", float),  # per loop and loop; 0 is at once
        ("armour", float),
        ("regeneration", float),  # health per loop
        ("biological", int),
        ("kind", int),  # unit type, numbered in alphabetical order
        # Weapons; times in loops
        ("reach", float),  # weapon range and own radius: add the target's radius
        ("scan", float),  # the same of looking for targets
        ("hits", int),  # of an attack
        ("gap", float),  # between them
        ("period", float),
        ("point", float),  # from the start of an attack to its first hit (or its missile's start)
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
        ("energy", float),  # of a medivac
        ("cooldown", float),  # loops until it may attack again
        ("order", int),
        ("target", int),  # slot it attacks or heals, or -1
        ("goal_x", float),  # of MOVE and ATTACK_MOVE
        ("goal_y", float),
        # Attacks
        ("aim", int),  # whom the attack under way is for, or -1
        ("swing", float),  # loops until its first hit, -1: it has been
        ("pause", float),  # loops of backswing left
        ("blows", int),  # hits on their way
        ("blow_in", float),  # loops until the next one lands
        ("blow_at", int),  # on whom
        ("sweep", int),  # loops since its beams' start, -1: off
        ("line_x", float),  # middle of the line they sweep
        ("line_y", float),
        ("line_dx", float),  # and its direction
        ("line_dy", float),
        ("calm", int),  # loops since it was last hurt
        ("hurt_by", int),  # who did, in this loop; or -1
        ("spent", int),  # has exploded
        ("healing", int),  # heals someone now
        ("quiet", int),  # loops until it may call for help again
        # Motion
        ("from_x", float),  # where it took up its target: a leash ends there
        ("from_y", float),
        ("to_x", float),  # where it walks in this loop
        ("to_y", float),
        ("stride", float),  # how far it wants to go in this loop, 0: stands
        ("stall", int),  # loops for which it has given up squeezing through
        ("side", int),  # on which side it walks round others: 1 left, -1 right
        ("near", int),  # scratch: entry of a walker's list of neighbours
        ("speed_x", float),  # of those with an acceleration
        ("speed_y", float),
    ],
    align=True,
)


class Rules(NamedTuple):
    """A map's constants, readable in compiled code."""

    n_agents: int
    n_enemies: int

    # What SMAC shows and pays
    sight: float  # 9: how far an agent sees, centre to centre
    shoot: float  # 6: how far an enemy may be to be ordered attacked
    centre_x: float  # of the map
    centre_y: float
    width: float  # of the playable area
    height: float
    n_bits: int  # entries of the unit type's one-hot, 0 if a map has one type
    shows_ally_shield: bool
    shows_enemy_shield: bool
    max_reward: float  # n_enemies * 10 + 200 + all enemies' health and shield
    positive: bool  # smacv2's max(., 0) where v1 has abs(.)
    energy_max: float  # of a medivac

    # The units
    slots: Any  # [U] of SLOT
    damage: Float64[
        np.ndarray, "U U"
    ]  # of a hit by one on the other, before armour; 0: cannot be hit by it
    goal_x: float  # where the enemies attack-move to
    goal_y: float
    prey: int  # the agent that the enemies are ordered to attack instead, or -1
    in_order: (
        bool  # enemies keep their slots; otherwise those of a type trade places in each episode
    )

    # The ground
    pathing: Bool[np.ndarray, "H W"]  # where walkers stand
    striding: Bool[np.ndarray, "H W"]  # where striders stand: cliffs too
    level: Int64[np.ndarray, "H W"]  # of the terrain
    stop: Int64[np.ndarray, "H W"]  # the way's stop nearest to a cell
    way: Int16[
        np.ndarray, "P P"
    ]  # the next stop from one to the other; the other itself if the line is free
    stop_x: Float64[np.ndarray, "P"]
    stop_y: Float64[np.ndarray, "P"]

    def __getattr__(self, name: str) -> Any:
        return field(self.slots, name)


class World(NamedTuple):
    """All copies' battles. A dead unit keeps its place."""

    units: Any  # [C, U] of UNIT
    burns: Int64[
        np.ndarray, "C B U"
    ]  # loop of the sweep in which a beam (2 for each `beam`) hurts a unit, or 0
    loop: Int64[np.ndarray, "C"]  # of this episode
    before: Float64[np.ndarray, "C E"]  # enemies' health and shield when last paid for
    last_action: Int64[np.ndarray, "C N"]

    def __getattr__(self, name: str) -> Any:
        return field(self.units, name)


def field(records: np.ndarray, name: str) -> Any:
    """The view of one field of all records."""
    if name not in (records.dtype.names or ()):
        raise AttributeError(name)
    return records[name]


def blank(rules: Rules, copies: int) -> World:
    """The state of that many copies, nobody alive."""
    n, e, beams = rules.n_agents, rules.n_enemies, 2 * (int(rules.slots["beam"].max()) + 1)
    return World(
        units=np.zeros((copies, n + e), UNIT),
        burns=np.zeros((copies, beams, n + e), np.int64),
        loop=np.zeros(copies, np.int64),
        before=np.zeros((copies, e)),
        last_action=np.zeros((copies, n), np.int64),
    )
