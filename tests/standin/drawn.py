"""Fight battles whose units a client creates, on the map on which smacv2 draws its own."""

from partage.sims import batch
from partage.sims.kernel import Kernel
from partage.sims.skirmish.armies import Scenario, armies
from partage.sims.skirmish.drawing import settle
from partage.sims.skirmish.drawn import make_drawn_kernel, order_idle, start
from partage.sims.skirmish.simulator import LOOPS_PER_STEP, run_loops
from partage.sims.skirmish.world import Rules
from standin.battle import CUSTOM, GAME_TYPES, Battle

NAMES = sorted(GAME_TYPES)  # of the types that the map brings, in their order
TYPES_IN_ALL = CUSTOM + len(NAMES)  # of the game and the map: these are the last


def rules_of(kernel: Kernel) -> Rules:
    """Return the rules of a kernel's first copy, with what was drawn for it."""
    world = kernel.world
    return kernel.rules.battle._replace(
        traits=world.traits[0], damage=world.damage[0], max_reward=world.max_reward[0]
    )


class DrawnBattle(Battle):
    """Create one unit after the other, as many on both sides, and let them fight.

    Nothing happens before all are there, nor by itself when all are dead.
    """

    def __init__(self, name: str, seed: int) -> None:
        self.seed, self.wanted, self.types, self.first = seed, [], [], 1
        self.rules = None
        self.prepare("terran", 1)

    def prepare(self, army: str, units: int) -> None:
        """Make room for that many units on each side."""
        scenario = Scenario(armies()[army], units)
        self.army, self.kernel = scenario.army.units, make_drawn_kernel(scenario, True, 1)
        self.world = self.kernel.world
        self.rules = self.kernel.rules.battle
        self.buffers = batch.idle_buffers(scenario.spec, [0], 1)
        self.buffers.key[0] = self.seed

    def create(self, unit_type: int, owner: int, x: float, y: float) -> None:
        """Remember a unit that is to be there at the next step."""
        self.wanted.append((unit_type, owner, x, y))

    def renew(self) -> None:
        """Leave the map empty: no trigger of this one begins a battle."""

    def begin(self) -> None:
        """Create what is wanted."""
        names = [NAMES[t - CUSTOM] if owner == 1 else _name(t) for t, owner, _, _ in self.wanted]
        army = next(name for name, army in armies().items() if names[0] in army.units)
        half = len(names) // 2
        self.first += len(self.types)
        self.prepare(army, half)
        self.types = [unit_type for unit_type, _, _, _ in self.wanted]
        self.world.kind[0] = [self.army.index(name) for name in names]
        self.world.spawn[0] = [place for _, _, *place in self.wanted]
        settle(self.kernel.rules, self.world, 0)
        start(self.kernel.rules, self.world, 0)
        self.rules = rules_of(self.kernel)
        self.wanted = []

    def advance(self, loops: int) -> None:
        """Let that many game loops pass."""
        if self.wanted:
            self.begin()
        for _ in range(loops):
            if self.world.loop[0] % LOOPS_PER_STEP == 0:
                order_idle(self.rules, self.world.units[0])
            run_loops(self.rules, self.world, self.buffers, 0, 1)


def _name(unit_type: int) -> str:
    """Return the name of a type that the game itself has."""
    return next(name for name, number in GAME_TYPES.items() if number == unit_type)
