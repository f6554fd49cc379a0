"""What a battle is made of: the constants of a map (`Rules`) and the arrays of all copies (`World`).

A unit is a slot: agents 0..N-1 in SMAC's order, then enemies N..N+E-1, so U = N + E. A slot's unit type never changes.
Time is counted in game loops: 16 to a second of the game's "normal" speed, which all unit data are in. Lengths are in
map units; a cell is one unit wide, and cell [y, x] covers x..x+1, y..y+1 with the origin at the bottom left.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float64, Int16, Int64

STOP, MOVE, ATTACK, HEAL, ATTACK_MOVE = 0, 1, 2, 3, 4  # orders; STOP is also that of a unit with nothing to do
GROUND, AIR, STRIDER = 0, 1, 2  # planes of motion: bodies of different planes do not touch; striders cross cliffs
NOBODY = -1  # a target that is none


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
    health_max: Float64[np.ndarray, "U"]
    shield_max: Float64[np.ndarray, "U"]
    energy_max: float  # of a medivac
    max_cd: Float64[np.ndarray, "U"]  # loops that SMAC's state divides a cooldown by
    type_bit: Int64[np.ndarray, "U"]  # place in the one-hot, or -1
    heals: Bool[np.ndarray, "U"]  # a medivac

    # Bodies
    radius: Float64[np.ndarray, "U"]  # ranges are counted from it
    body: Float64[np.ndarray, "U"]  # separation radius: how near others may come
    plane: Int64[np.ndarray, "U"]
    speed: Float64[np.ndarray, "U"]  # per loop
    acceleration: Float64[np.ndarray, "U"]  # per loop and loop; 0 is at once
    armour: Float64[np.ndarray, "U"]
    regeneration: Float64[np.ndarray, "U"]  # health per loop
    biological: Bool[np.ndarray, "U"]
    kind: Int64[np.ndarray, "U"]  # unit type, numbered over the map

    # Weapons; times in loops
    reach: Float64[np.ndarray, "U"]  # weapon range and own radius: add the target's radius
    scan: Float64[np.ndarray, "U"]  # the same of looking for targets
    damage: Float64[np.ndarray, "U U"]  # of a hit by one on the other, before armour; 0: cannot be hit by it
    hits: Int64[np.ndarray, "U"]  # of an attack
    gap: Float64[np.ndarray, "U"]  # between them
    period: Float64[np.ndarray, "U"]
    point: Float64[np.ndarray, "U"]  # from the start of an attack to its first hit (or its missile's start)
    backswing: Float64[np.ndarray, "U"]  # how long it then goes on standing
    missile: Float64[np.ndarray, "U"]  # its speed per loop, 0: hits at once
    blast: Float64[np.ndarray, "U"]  # radius of the explosion in which it dies, 0: none
    beam: Int64[np.ndarray, "U"]  # number of the sweeping beams it has, or -1

    # The start
    spawn_x: Float64[np.ndarray, "U"]
    spawn_y: Float64[np.ndarray, "U"]
    goal_x: float  # where the enemies attack-move to
    goal_y: float
    prey: int  # the agent that the enemies are ordered to attack instead, or -1
    in_order: bool  # enemies keep their slots; otherwise those of a type trade places in each episode

    # The ground
    pathing: Bool[np.ndarray, "H W"]  # where walkers stand
    striding: Bool[np.ndarray, "H W"]  # where striders stand: cliffs too
    level: Int64[np.ndarray, "H W"]  # of the terrain
    stop: Int64[np.ndarray, "H W"]  # the way's stop nearest to a cell
    way: Int16[np.ndarray, "P P"]  # the next stop from one to the other; the other itself if the line is free
    stop_x: Float64[np.ndarray, "P"]
    stop_y: Float64[np.ndarray, "P"]


class World(NamedTuple):
    """All copies' battles. A unit lives while its health is above 0; a dead one keeps its place."""

    x: Float64[np.ndarray, "C U"]
    y: Float64[np.ndarray, "C U"]
    health: Float64[np.ndarray, "C U"]
    shield: Float64[np.ndarray, "C U"]
    energy: Float64[np.ndarray, "C U"]
    cooldown: Float64[np.ndarray, "C U"]  # loops until it may attack again
    order: Int64[np.ndarray, "C U"]
    target: Int64[np.ndarray, "C U"]  # slot it attacks or heals, or -1
    goal_x: Float64[np.ndarray, "C U"]  # of MOVE and ATTACK_MOVE
    goal_y: Float64[np.ndarray, "C U"]

    # For the contract: what was last told
    before: Float64[np.ndarray, "C E"]  # enemies' health and shield when last paid for
    counted: Bool[np.ndarray, "C U"]  # its death has been paid for
    last_action: Int64[np.ndarray, "C N"]

    # For the dynamics
    loop: Int64[np.ndarray, "C"]  # of this episode
    aim: Int64[np.ndarray, "C U"]  # whom the attack under way is for, or -1
    swing: Float64[np.ndarray, "C U"]  # loops until its first hit, -1: it has been
    pause: Float64[np.ndarray, "C U"]  # loops of backswing left
    blows: Int64[np.ndarray, "C U"]  # hits on their way
    blow_in: Float64[np.ndarray, "C U"]  # loops until the next one lands
    blow_at: Int64[np.ndarray, "C U"]  # on whom
    calm: Int64[np.ndarray, "C U"]  # loops since it was last hurt
    quiet: Int64[np.ndarray, "C U"]  # loops until it may call for help again
    spent: Bool[np.ndarray, "C U"]  # has exploded
    healing: Bool[np.ndarray, "C U"]  # heals someone now
    from_x: Float64[np.ndarray, "C U"]  # where it took up its target: a leash ends there
    from_y: Float64[np.ndarray, "C U"]
    to_x: Float64[np.ndarray, "C U"]  # where it walks in this loop
    to_y: Float64[np.ndarray, "C U"]
    stride: Float64[np.ndarray, "C U"]  # how far it wants to go in this loop, 0: stands
    stall: Int64[np.ndarray, "C U"]  # loops for which it has given up squeezing through
    side: Int64[np.ndarray, "C U"]  # on which side it walks round others: 1 left, -1 right
    speed_x: Float64[np.ndarray, "C U"]  # of those with an acceleration
    speed_y: Float64[np.ndarray, "C U"]
    sweep: Int64[np.ndarray, "C K"]  # loops since the beams' start, -1: off
    beam: Float64[np.ndarray, "C K 4"]  # middle of the line they sweep, and its direction
    burns: Int64[np.ndarray, "C B U"]  # loop of the sweep in which a beam's (2 per K) burn hurts, 0: not burnt


def blank(rules: Rules, copies: int) -> World:
    """The arrays of that many copies, nobody alive."""
    n, e, k = rules.n_agents, rules.n_enemies, int(rules.beam.max()) + 1
    last = {"before": e, "last_action": n, "sweep": k}
    shapes = {name: (copies, last.get(name, n + e)) for name in World._fields}
    shapes.update(loop=(copies,), beam=(copies, k, 4), burns=(copies, 2 * k, n + e))
    whole = {"order", "target", "last_action", "loop", "aim", "blows", "blow_at", "calm", "quiet", "stall", "side"}
    flags, whole = {"counted", "spent", "healing"}, whole | {"sweep", "burns"}
    return World(
        **{
            name: np.zeros(shape, bool if name in flags else np.int64 if name in whole else np.float64)
            for name, shape in shapes.items()
        }
    )
