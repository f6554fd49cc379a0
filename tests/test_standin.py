"""The stand-in game at the level of its protocol: plain messages over a websocket, no pysc2 and no
smacv2.
"""

import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from standin import install
from standin.battle import Battle
from standin.faults import VARIABLE

NEEDS = (
    "the protocol of the game: pip install pys2clientprotocol==1.0.2 protobuf==6.33.0 "
    "websocket-client==1.9.2"
)
sc2api_pb2 = pytest.importorskip("s2clientprotocol.sc2api_pb2", reason=NEEDS)
websocket = pytest.importorskip("websocket", reason=NEEDS)
common_pb2 = pytest.importorskip("s2clientprotocol.common_pb2", reason=NEEDS)
error_pb2 = pytest.importorskip("s2clientprotocol.error_pb2", reason=NEEDS)
DecodeError = pytest.importorskip("google.protobuf.message", reason=NEEDS).DecodeError
STOP, MOVE, ATTACK = 4, 16, 23
ALLY, ENEMY = 1, 2


class Client:
    """Launches the game and asks it; its answers as they come."""

    def __init__(self, root: Path, timeout: float = 60) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        program = root / "Versions/Base75689/SC2_x64"
        (root / "scratch").mkdir(exist_ok=True)
        options = [
            "-listen",
            "127.0.0.1",
            "-port",
            str(port),
            "-dataDir",
            f"{root}/",
            "-tempDir",
            f"{root}/scratch/",
        ]
        self.process = subprocess.Popen([program, *options])
        self.line = self._call(f"ws://127.0.0.1:{port}/sc2api", timeout)
        self.asked = 0

    def _call(self, address: str, timeout: float) -> Any:
        end = time.monotonic() + timeout
        while True:
            try:
                return websocket.create_connection(address, timeout=timeout)
            except OSError:
                if self.process.poll() is not None or time.monotonic() > end:
                    raise
                time.sleep(0.05)

    def ask(self, **request: Any) -> Any:
        self.asked += 1
        self.line.send(
            sc2api_pb2.Request(id=self.asked, **request).SerializeToString()
        )  # as text, as pysc2 does
        answer = sc2api_pb2.Response.FromString(self.line.recv())
        assert answer.id == self.asked
        return answer

    def create(self, name: str, seed: int = 1) -> Any:
        request = sc2api_pb2.RequestCreateGame(random_seed=seed)
        request.local_map.map_path, request.local_map.map_data = f"SMAC_Maps/{name}.SC2Map", b"map"
        request.player_setup.add(type=sc2api_pb2.Participant)
        request.player_setup.add(
            type=sc2api_pb2.Computer, race=common_pb2.Terran, difficulty=sc2api_pb2.VeryHard
        )
        return self.ask(create_game=request)

    def join(self) -> Any:
        options = sc2api_pb2.InterfaceOptions(raw=True)
        return self.ask(
            join_game=sc2api_pb2.RequestJoinGame(race=common_pb2.Terran, options=options)
        )

    def play(self, name: str, seed: int = 1) -> "Client":
        self.create(name, seed)
        self.join()
        return self

    def units(self, owner: int | None = None) -> list[Any]:
        found = self.ask(
            observation=sc2api_pb2.RequestObservation()
        ).observation.observation.raw_data.units
        return [unit for unit in found if owner in (None, unit.owner)]

    def step(self, count: int) -> Any:
        return self.ask(step=sc2api_pb2.RequestStep(count=count))

    def order(self, tag: int, ability: int, **target: Any) -> Any:
        request = sc2api_pb2.RequestAction()
        command = request.actions.add().action_raw.unit_command
        command.ability_id = ability
        command.unit_tags.append(tag)
        if "unit" in target:
            command.target_unit_tag = target["unit"]
        if "point" in target:
            command.target_world_space_pos.x, command.target_world_space_pos.y = target["point"]
        return self.ask(action=request).action.result

    def kill(self, tags: list[int]) -> None:
        request = sc2api_pb2.RequestDebug()
        request.debug.add().kill_unit.tag.extend(tags)
        self.ask(debug=request)


@pytest.fixture(autouse=True, scope="session")
def compiled() -> None:
    """The battle, so that no game takes its time over it."""
    Battle("5m_vs_6m", 0).advance(1)


@pytest.fixture
def launch(tmp_path: Path) -> Iterator[Any]:
    """Launches games of one installation; they are gone when the test is over."""
    root, clients = install.lay(tmp_path), []

    def launched(**how: Any) -> Client:
        clients.append(Client.__new__(Client))
        clients[-1].__init__(root, **how)
        return clients[-1]

    yield launched
    for client in clients:
        client.process.kill()
        client.process.wait()


def test_the_game_goes_from_launched_to_created_to_joined_and_refuses_what_comes_too_early(
    launch: Any,
) -> None:
    client = launch()
    ping = client.ask(ping=sc2api_pb2.RequestPing())
    assert (ping.ping.base_build, ping.status) == (75689, sc2api_pb2.launched)
    early = client.step(8)
    assert list(early.error) and early.status == sc2api_pb2.launched
    assert client.create("5m_vs_6m").status == sc2api_pb2.init_game
    assert client.join().status == sc2api_pb2.in_game
    assert not client.step(8).error


def test_a_game_without_a_map_or_an_opponent_is_not_created(launch: Any) -> None:
    client = launch()
    request = sc2api_pb2.RequestCreateGame()
    request.local_map.map_path = "SMAC_Maps/5m_vs_6m.SC2Map"
    assert (
        client.ask(create_game=request).create_game.error
        == sc2api_pb2.ResponseCreateGame.InvalidMapData
    )
    request.local_map.map_data = b"map"
    request.player_setup.add(type=sc2api_pb2.Participant)
    answer = client.ask(create_game=request)
    assert answer.create_game.error == sc2api_pb2.ResponseCreateGame.InvalidPlayerSetup
    assert answer.status == sc2api_pb2.launched


def test_the_pathing_grid_goes_row_by_row_from_the_bottom_first_cell_in_the_highest_bit(
    launch: Any,
) -> None:
    raw = (
        launch().play("2c_vs_64zg").ask(game_info=sc2api_pb2.RequestGameInfo()).game_info.start_raw
    )
    pathing, height = Battle("2c_vs_64zg", 1).grids()
    assert (raw.map_size.x, raw.map_size.y, raw.pathing_grid.bits_per_pixel) == (32, 32, 1)
    bits = np.unpackbits(np.frombuffer(raw.pathing_grid.data, np.uint8)).reshape(32, 32)
    assert np.array_equal(bits, pathing) and 0 < bits.mean() < 1
    assert np.array_equal(np.frombuffer(raw.terrain_height.data, np.uint8).reshape(32, 32), height)
    assert (raw.playable_area.p1.x - raw.playable_area.p0.x, raw.playable_area.p1.y) == (32, 32)


def test_units_heed_their_orders_until_the_next(launch: Any) -> None:
    client = launch().play("5m_vs_6m")
    first, second, *_ = client.units(ALLY)
    start = (first.pos.x, first.pos.y)
    assert client.order(first.tag, MOVE, point=(start[0], start[1] + 2)) == [error_pb2.Success]
    client.step(8)
    moved = {unit.tag: unit for unit in client.units()}
    assert moved[first.tag].pos.y - start[1] == pytest.approx(8 * 2.25 / 16, abs=0.15)
    assert moved[first.tag].pos.x == pytest.approx(start[0], abs=0.1)
    assert (moved[second.tag].pos.x, moved[second.tag].pos.y) == pytest.approx(
        (second.pos.x, second.pos.y), abs=0.1
    )
    foe = client.units(ENEMY)[0]
    for unit in client.units(ALLY):
        assert client.order(unit.tag, ATTACK, unit=foe.tag) == [error_pb2.Success]
    client.step(200)
    assert foe.tag not in {unit.tag for unit in client.units()}
    assert client.order(foe.tag, STOP) == client.order(10**6, STOP) == [error_pb2.Error]


def test_the_map_starts_the_next_battle_at_once_when_both_sides_are_dead(launch: Any) -> None:
    client = launch().play("3s_vs_5z")
    before = client.units()
    client.kill([unit.tag for unit in before if unit.owner == ALLY])
    assert {unit.owner for unit in client.units()} == {ENEMY}
    client.kill([unit.tag for unit in before])
    after = client.units()
    assert len(after) == len(before) == 8
    assert not {unit.tag for unit in after} & {unit.tag for unit in before}
    assert all(unit.health == unit.health_max and unit.shield == unit.shield_max for unit in after)


def test_a_seed_fixes_the_battles_of_a_game() -> None:
    def ends(seed: int) -> list[Any]:
        battle, found = Battle("5m_vs_6m", seed), []
        for _ in range(2):
            battle.advance(96)
            found += battle.units()
            battle.kill({unit.tag for unit in battle.units()})
        return found

    assert ends(3) == ends(3) != ends(4)


def test_told_to_quit_it_ends(launch: Any) -> None:
    client = launch().play("5m_vs_6m")
    client.line.send(
        sc2api_pb2.Request(quit=sc2api_pb2.RequestQuit(), id=999999999).SerializeToString()
    )
    assert client.process.wait(10) == 0


@pytest.mark.parametrize("what", ["crash", "half"])
def test_a_game_that_goes_in_the_middle_closes_the_line(
    what: str, launch: Any, monkeypatch: Any
) -> None:
    monkeypatch.setenv(VARIABLE, f"{what} step 2 1")
    client = launch().play("5m_vs_6m")
    assert not client.step(1).error
    with pytest.raises((websocket.WebSocketConnectionClosedException, OSError)):
        client.step(1)
    assert client.process.wait(10) == 1


def test_an_answer_may_be_wrong_in_each_of_the_ways_that_can_be_asked_for(
    launch: Any, monkeypatch: Any
) -> None:
    for what in ("status", "ended", "error", "garbage"):
        monkeypatch.setenv(VARIABLE, f"{what} ping 2 0")
        client = launch()
        client.ask(ping=sc2api_pb2.RequestPing())
        if what == "garbage":
            with pytest.raises(DecodeError):
                client.ask(ping=sc2api_pb2.RequestPing())
            continue
        answer = client.ask(ping=sc2api_pb2.RequestPing())
        assert answer.HasField("status") == (what != "status")
        assert (answer.status == sc2api_pb2.ended) == (what == "ended")
        assert bool(answer.error) == (what == "error")


def test_a_game_may_hang_or_start_slowly_in_the_launch_that_is_named(
    launch: Any, monkeypatch: Any
) -> None:
    monkeypatch.setenv(VARIABLE, "hang ping 1 2")
    assert launch().ask(ping=sc2api_pb2.RequestPing()).ping.base_build == 75689
    second = launch()
    second.line.settimeout(1)
    with pytest.raises(websocket.WebSocketTimeoutException):
        second.ask(ping=sc2api_pb2.RequestPing())
    second.process.terminate()
    with pytest.raises(subprocess.TimeoutExpired):
        second.process.wait(0.5)
    monkeypatch.setenv(VARIABLE, "slow launch 0 3")
    start = time.monotonic()
    assert launch().ask(ping=sc2api_pb2.RequestPing()).ping.base_build == 75689
    assert time.monotonic() - start > 3
