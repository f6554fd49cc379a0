"""Be the program ``SC2_x64``: answer what SMAC asks of the game until it is told to quit.

There is one client and one map.

What it cannot show: the game's own dynamics, how long it takes to start, how its map's trigger and
a debug command share a loop, the playable area it names (here the whole map), and what it says when
it runs out of memory.
"""

import os
import socket
from pathlib import Path

from s2clientprotocol import common_pb2, error_pb2, sc2api_pb2
from s2clientprotocol.sc2api_pb2 import Request, Response

from standin.faults import Fault, expected, suffer
from standin.frames import Line

WHEN = {  # the states of the game in which it understands a request
    "ping": ("launched", "init_game", "in_game"),
    "create_game": ("launched",),
    "join_game": ("init_game",),
    **dict.fromkeys(("game_info", "action", "step", "debug", "data"), ("in_game",)),
    **dict.fromkeys(("observation", "save_replay"), ("in_game", "ended")),
}


class Game:
    """Hold the game's state, and answer each request by a method of the request's name."""

    def __init__(self) -> None:
        self.status = sc2api_pb2.launched
        self.loop = 0
        self.map, self.seed = "", 0

    def answer(self, request: Request) -> Response:
        """Return the answer to a request."""
        name = request.WhichOneof("request") or "nothing"
        response = Response(id=request.id)
        if sc2api_pb2.Status.Name(self.status) not in WHEN.get(name, ()):
            response.error.append(
                f"{name} is not understood while {sc2api_pb2.Status.Name(self.status)}"
            )
        else:
            answer = getattr(response, name)
            answer.SetInParent()
            getattr(self, name)(getattr(request, name), answer)
        response.status = self.status
        return response

    def ping(self, request: sc2api_pb2.RequestPing, answer: sc2api_pb2.ResponsePing) -> None:
        answer.game_version, answer.base_build = "4.10.0", 75689

    def create_game(
        self, request: sc2api_pb2.RequestCreateGame, answer: sc2api_pb2.ResponseCreateGame
    ) -> None:
        path = Path(request.local_map.map_path)
        kinds = [player.type for player in request.player_setup]
        if path.suffix != ".SC2Map" or not request.local_map.map_data:
            answer.error = sc2api_pb2.ResponseCreateGame.InvalidMapData
        elif kinds != [sc2api_pb2.Participant, sc2api_pb2.Computer] or request.realtime:
            answer.error = sc2api_pb2.ResponseCreateGame.InvalidPlayerSetup
        else:
            seed = (
                request.random_seed
                if request.HasField("random_seed")
                else int.from_bytes(os.urandom(4), "big")
            )
            self.map, self.seed, self.status = path.stem, seed, sc2api_pb2.init_game

    def join_game(
        self, request: sc2api_pb2.RequestJoinGame, answer: sc2api_pb2.ResponseJoinGame
    ) -> None:
        if not request.options.raw or request.race == common_pb2.NoRace:
            answer.error = sc2api_pb2.ResponseJoinGame.MissingOptions
            return
        # only here, as they take seconds to load
        if self.map == "32x32_flat":
            from standin.drawn import DrawnBattle as Battle
        else:
            from standin.battle import Battle

        self.battle = Battle(self.map, self.seed)
        self.status = sc2api_pb2.in_game
        answer.player_id = 1

    def game_info(
        self, request: sc2api_pb2.RequestGameInfo, answer: sc2api_pb2.ResponseGameInfo
    ) -> None:
        raw, (pathing, height) = answer.start_raw, self.battle.grids()
        rows, columns = pathing.shape
        answer.map_name = self.map
        raw.map_size.x, raw.map_size.y = columns, rows
        raw.playable_area.p0.x, raw.playable_area.p0.y = 0, 0
        raw.playable_area.p1.x, raw.playable_area.p1.y = columns, rows
        # row by row from the bottom; eight cells to a byte, the first in the highest bit
        bits = sum(
            int(open_) << (pathing.size - 1 - place) for place, open_ in enumerate(pathing.flat)
        )
        for grid, depth, data in (
            (raw.pathing_grid, 1, bits.to_bytes(pathing.size // 8, "big")),
            (raw.terrain_height, 8, bytes(height.flat)),
        ):
            grid.size.x, grid.size.y, grid.bits_per_pixel, grid.data = columns, rows, depth, data

    def observation(
        self, request: sc2api_pb2.RequestObservation, answer: sc2api_pb2.ResponseObservation
    ) -> None:
        answer.observation.game_loop = self.loop
        for unit in self.battle.units():
            shown = answer.observation.raw_data.units.add()
            shown.pos.x, shown.pos.y = unit.x, unit.y
            for name, value in unit._asdict().items():
                if name not in ("x", "y"):
                    setattr(shown, name, value)

    def action(self, request: sc2api_pb2.RequestAction, answer: sc2api_pb2.ResponseAction) -> None:
        for action in request.actions:
            command = action.action_raw.unit_command
            (tag,) = command.unit_tags
            done = not command.queue_command
            if command.HasField("target_unit_tag"):
                done &= self.battle.order(tag, command.ability_id, target=command.target_unit_tag)
            elif command.HasField("target_world_space_pos"):
                point = command.target_world_space_pos
                done &= self.battle.order(tag, command.ability_id, point=(point.x, point.y))
            else:
                done &= self.battle.order(tag, command.ability_id)
            answer.result.append(error_pb2.Success if done else error_pb2.Error)

    def step(self, request: sc2api_pb2.RequestStep, answer: sc2api_pb2.ResponseStep) -> None:
        self.battle.advance(request.count)
        self.loop += request.count
        answer.simulation_loop = self.loop

    def debug(self, request: sc2api_pb2.RequestDebug, answer: sc2api_pb2.ResponseDebug) -> None:
        for command in request.debug:
            if command.HasField("create_unit"):
                unit = command.create_unit
                self.battle.create(unit.unit_type, unit.owner, unit.pos.x, unit.pos.y)
            self.battle.kill(set(command.kill_unit.tag))

    def data(self, request: sc2api_pb2.RequestData, answer: sc2api_pb2.ResponseData) -> None:
        from standin.drawn import TYPES_IN_ALL

        for number in range(TYPES_IN_ALL):
            answer.units.add().unit_id = number

    def save_replay(
        self, request: sc2api_pb2.RequestSaveReplay, answer: sc2api_pb2.ResponseSaveReplay
    ) -> None:
        answer.data = f"{self.map}, seed {self.seed}, {self.loop} loops".encode()


def main(argv: list[str]) -> None:
    """Serve the client that the command line names."""
    options = dict(zip(argv[1::2], argv[2::2], strict=True))
    fault = expected(Path(options["-dataDir"]))
    (Path(options["-tempDir"]) / "scratch").write_text("The game keeps files here.")
    if fault and fault.where == "launch":
        suffer(fault.what)
    with socket.create_server((options["-listen"], int(options["-port"]))) as listener:
        line = Line(listener)
        serve(Game(), line, fault)


def serve(game: Game, line: Line, fault: Fault | None) -> None:
    """Answer until the client quits or is gone."""
    asked: dict[str, int] = {}
    while message := line.receive():
        request = Request.FromString(message)
        name = request.WhichOneof("request") or "nothing"
        if name == "quit":
            return
        asked[name] = asked.get(name, 0) + 1
        what = fault.what if fault and fault.befalls(name, asked[name]) else ""
        suffer(what)
        response = game.answer(request)
        if what == "status":
            response.ClearField("status")
        elif what == "ended":
            response.status = game.status = sc2api_pb2.ended
        elif what == "error":
            response.error.append("something went wrong")
        line.send(
            b"\xff" * 9 if what == "garbage" else response.SerializeToString(),
            0.5 if what == "half" else 1.0,
        )
        if what == "half":
            os._exit(1)
