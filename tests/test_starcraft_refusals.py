"""What the adapter of StarCraft II refuses to go on without, or to do."""

from pathlib import Path

import pytest
from standin import install

from partage.envs import make
from partage.errors import UserError
from partage.sims.starcraft import installation
from partage.sims.starcraft.game import Game, GameSetup
from partage.sims.starcraft.installation import BUILD, require_game, require_packages


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the stand-in is installed."""
    monkeypatch.setenv("SC2PATH", str(tmp_path / "game"))
    return install.lay(tmp_path / "game")


def test_a_missing_game_is_refused_with_where_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder in (tmp_path / "nowhere", tmp_path):
        monkeypatch.setenv("SC2PATH", str(folder))
        with pytest.raises(
            UserError,
            match=r"4\.10 in .*, but nothing is there: read and accept the licence at https",
        ):
            require_game("5m_vs_6m")


def test_another_version_of_the_game_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SC2PATH", str(install.lay(tmp_path / "game", build=69232)))
    with pytest.raises(
        UserError, match=f"which is {BUILD}, found Base69232: results of different versions cannot"
    ):
        require_game("5m_vs_6m")


@pytest.mark.parametrize("left", ["empty file", "no file"])
def test_an_archive_opened_without_accepting_the_licence_is_refused(root: Path, left: str) -> None:
    program = root / f"Versions/{BUILD}/SC2_x64"
    program.write_text("") if left == "empty file" else program.unlink()
    with pytest.raises(
        UserError, match="a password that stands below its licence; accept it at https"
    ):
        require_game("5m_vs_6m")


def test_a_program_that_may_not_be_executed_is_refused(root: Path) -> None:
    (root / f"Versions/{BUILD}/SC2_x64").chmod(0o644)
    with pytest.raises(UserError, match=r"run `chmod \+x "):
        require_game("5m_vs_6m")


def test_a_missing_map_is_refused(root: Path) -> None:
    require_game("MMM2")
    (root / "Maps/SMAC_Maps/MMM2.SC2Map").unlink()
    require_game("5m_vs_6m")
    with pytest.raises(
        UserError, match=r"MMM2\.SC2Map is not there: unpack SMAC_Maps\.zip \(https"
    ):
        require_game("MMM2")


def test_missing_packages_and_other_versions_are_refused_with_the_command_that_installs_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    header = tmp_path / "smac.py"
    header.write_text(
        '# /// script\n# dependencies = ["pysc2==4.0.0", "protobuf==6.33.0"]\n# ///\n'
    )
    rules = tmp_path / "starcraft2.py"
    rules.write_text("not the rules")
    monkeypatch.setattr(
        installation, "installed_version", {"pysc2": "none", "protobuf": "3.20.3"}.get
    )
    monkeypatch.setattr(installation, "smacv2_rules", lambda: None)
    with pytest.raises(
        UserError, match=r"pysc2 4\.0\.0, found none; protobuf 6\.33\.0, found 3\.20\.3; smacv2, f"
    ):
        require_packages(header)
    monkeypatch.setattr(
        installation, "installed_version", {"pysc2": "4.0.0", "protobuf": "6.33.0"}.get
    )
    monkeypatch.setattr(installation, "smacv2_rules", lambda: rules)
    with pytest.raises(
        UserError, match=r"smacv2 at its commit 577ab5a, found another .*`make starcraft`"
    ):
        require_packages(header)


def test_how_games_are_supervised_is_no_option_of_the_simulator(root: Path) -> None:
    make("smac/3m", [0], 1)
    with pytest.raises(UserError, match="Unknown option 'relaunch'"):
        make("smac/3m", [0], 1, relaunch=5)


def test_the_game_saves_nothing_and_goes_on_from_nothing() -> None:
    game = Game(GameSetup("5m_vs_6m"))
    assert game.save() == b""
    with pytest.raises(UserError, match="start a new episode"):
        game.load(b"something")
