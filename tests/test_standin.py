"""The stand-in game at the level of its protocol: plain messages over a websocket, no pysc2 and no smacv2."""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from standin import install
from standin.faults import VARIABLE

NEEDS = "the protocol of the game: pip install pys2clientprotocol==1.0.2 protobuf==6.33.0 websocket-client==1.9.2"
sc2api_pb2 = pytest.importorskip("s2clientprotocol.sc2api_pb2", reason=NEEDS)
websocket = pytest.importorskip("websocket", reason=NEEDS)
common_pb2 = pytest.importorskip("s2clientprotocol.common_pb2", reason=NEEDS)
STOP, MOVE, ATTACK = 4, 16, 23


class Client:
    """Launches the game and asks it; its answers as they come."""

    def __init__(self, root: Path, timeout: float = 20) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        program = root / "Versions/Base75689/SC2_x64"
        (root / "scratch").mkdir(exist_ok=True)
        options = ["-listen", "127.0.0.1", "-port", str(port), "-dataDir", f"{root}/", "-tempDir", f"{root}/scratch/"]
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
        self.line.send(sc2api_pb2.Request(id=self.asked, **request).SerializeToString())  # as text, as pysc2 does
        answer = sc2api_pb2.Response.FromString(self.line.recv())
        assert answer.id == self.asked
        return answer

    def create(self, name: str, seed: int = 1) -> Any:
        request = sc2api_pb2.RequestCreateGame(random_seed=seed)
        request.local_map.map_path, request.local_map.map_data = f"SMAC_Maps/{name}.SC2Map", b"map"
        request.player_setup.add(type=sc2api_pb2.Participant)
        request.player_setup.add(type=sc2api_pb2.Computer, race=common_pb2.Terran, difficulty=sc2api_pb2.VeryHard)
        return self.ask(create_game=request)

    def join(self) -> Any:
        options = sc2api_pb2.InterfaceOptions(raw=True)
        return self.ask(join_game=sc2api_pb2.RequestJoinGame(race=common_pb2.Terran, options=options))

    def units(self) -> list[Any]:
        found = self.ask(observation=sc2api_pb2.RequestObservation())
        return list(found.observation.observation.raw_data.units)

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


def test_the_game_goes_from_launched_to_created_to_joined_and_refuses_what_comes_too_early(launch: Any) -> None:
    client = launch()
    ping = client.ask(ping=sc2api_pb2.RequestPing())
    assert (ping.ping.base_build, ping.status) == (75689, sc2api_pb2.launched)
    early = client.ask(step=sc2api_pb2.RequestStep(count=8))
    assert list(early.error) and early.status == sc2api_pb2.launched
    assert client.create("5m_vs_6m").status == sc2api_pb2.init_game
    assert client.join().status == sc2api_pb2.in_game
    assert not client.step(8).error
