"""The home directory: its modes, and a disk that says no, told with the path and the command that mends it."""

import os
import shlex
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from src.agent_work_orders.desk.home import UnusableHome, look_at_storage, prepare_home, writing_problem
from src.agent_work_orders.domain.setting import Finding
from src.agent_work_orders.settings import Settings, load_settings

PYTHON_ROOT = Path(__file__).parents[3]
AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount")


def at(home: Path, **more: str) -> Settings:
    return load_settings({"ARCHON_HOME": str(home), **more})


def refused(home: Path) -> UnusableHome:
    with pytest.raises(UnusableHome) as refusal:
        prepare_home(at(home))
    assert str(home) in refusal.value.message
    assert refusal.value.next_action.startswith("Run: ")
    return refusal.value


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def findings(settings: Settings) -> dict[str, Finding]:
    return {one.name: one for one in look_at_storage(settings)}


def test_a_home_is_made_with_the_right_modes_whatever_the_umask(tmp_path: Path) -> None:
    home = tmp_path / "not" / "there" / "yet"
    before = os.umask(0o000)
    try:
        prepare_home(at(home))
    finally:
        os.umask(before)
    assert {name: mode_of(home / name) for name in ("", "repositories", "work-orders", "credentials", "logs")} == {
        "": 0o711,
        "repositories": 0o711,
        "work-orders": 0o711,
        "credentials": 0o700,
        "logs": 0o700,
    }
    assert {path.name for path in (home / "config").iterdir()} == {"claude", "github", "commands", "workflows"}
    assert mode_of(home / "config") == 0o700
    assert not [path for path in home.rglob("*") if path.is_file()], "nothing is left of the trial"
    prepare_home(at(home))


def test_a_configuration_elsewhere_is_left_alone(tmp_path: Path) -> None:
    prepare_home(at(tmp_path / "home", AWO_CONFIG_DIR=str(tmp_path / "mounted")))
    assert not (tmp_path / "mounted").exists()
    assert not (tmp_path / "home" / "config").exists()


def test_a_file_in_the_way_is_named_with_the_command_that_moves_it(tmp_path: Path) -> None:
    file = tmp_path / "a file"
    file.write_text("")
    for home in (file, file / "below"):
        refusal = refused(home)
        assert f"{file} is a file" in refusal.message
        assert f"mv {shlex.quote(str(file))}" in refusal.next_action


def test_a_link_that_leads_nowhere_is_named(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.symlink_to(tmp_path / "nowhere")
    assert f"rm {home}" in refused(home).next_action


def mounted(tmp_path: Path, options: str) -> Iterator[Path]:
    point = tmp_path / "volume"
    point.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", point], check=False, capture_output=True)
    if done.returncode:
        pytest.skip("this machine lets nobody mount")
    try:
        yield point
    finally:
        subprocess.run(["umount", point], check=True)


@pytest.fixture
def small_volume(tmp_path: Path) -> Iterator[Path]:
    yield from mounted(tmp_path, "size=64k,mode=755")


@AS_ROOT
def test_a_full_disk_is_said_with_the_command_that_shows_it(small_volume: Path) -> None:
    with (small_volume / "filler").open("wb") as file:
        try:
            file.write(bytes(1024 * 1024))
            file.flush()
        except OSError:
            pass
    home = small_volume / "archon"
    home.mkdir()
    refusal = refused(home)
    assert "the disk is full" in refusal.message
    assert f"df -h {home}" in refusal.next_action
    assert {path.name for path in home.iterdir()} == set()
    (small_volume / "filler").unlink()
    prepare_home(at(home))


@AS_ROOT
def test_a_read_only_volume_is_said_with_the_command_that_mends_it(small_volume: Path) -> None:
    home = small_volume / "archon"
    prepare_home(at(home))
    subprocess.run(["mount", "-o", "remount,ro", small_volume], check=True)
    refusal = refused(home)
    assert "read-only" in refusal.message
    assert f"mount -o remount,rw {small_volume}" in refusal.next_action
    shown = findings(at(home))
    assert not shown["home"].ok
    assert "remount" in (shown["home"].next_action or "")


@AS_ROOT
def test_a_volume_in_memory_is_a_warning(small_volume: Path) -> None:
    home = small_volume / "archon"
    prepare_home(at(home))
    shown = findings(at(home))
    assert "memory" in shown["memory"].detail
    assert not shown["free_space"].ok
    assert {shown[name].required for name in ("memory", "free_space")} == {False}


@AS_ROOT
@pytest.mark.parametrize("mode", [0o500, 0o000])
def test_a_home_without_permission_is_said_with_the_command_that_gives_it(tmp_path: Path, mode: int) -> None:
    """As another user, because nothing is forbidden to root."""
    home = tmp_path / "home"
    home.mkdir()
    home.chmod(mode)
    for parent in (tmp_path, *tmp_path.parents):
        if parent != Path("/"):
            parent.chmod(mode_of(parent) | 0o011)
    script = (
        "import os, sys\n"
        "from src.agent_work_orders.desk.home import UnusableHome, prepare_home\n"
        "from src.agent_work_orders.settings import load_settings\n"
        "settings = load_settings({'ARCHON_HOME': sys.argv[1]})\n"
        "os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
        "try: prepare_home(settings)\n"
        "except UnusableHome as error: print(error.message); print(error.next_action)\n"
    )
    said = subprocess.run(
        [sys.executable, "-c", script, home], cwd=PYTHON_ROOT, capture_output=True, text=True, check=False, timeout=60
    )
    assert f"{home} cannot be used: Permission denied." in said.stdout, said.stderr
    assert f"sudo chown -R nobody {home} && chmod u+rwx {home}" in said.stdout


def test_a_good_home_is_tried_for_real(tmp_path: Path) -> None:
    home = tmp_path / "home"
    prepare_home(at(home))
    shown = findings(at(home))
    assert {name for name, one in shown.items() if not one.ok and one.required} == set()
    assert {"home", "repositories", "work_orders", "free_space", "modes"} <= set(shown)
    assert not [path for path in home.rglob("*") if path.is_file()]


def test_a_folder_that_is_gone_is_found(tmp_path: Path) -> None:
    home = tmp_path / "home"
    prepare_home(at(home))
    (home / "repositories").rmdir()
    shown = findings(at(home))
    assert not shown["repositories"].ok
    assert shown["repositories"].required


def test_modes_that_are_too_wide_are_named_with_the_command(tmp_path: Path) -> None:
    home = tmp_path / "home"
    prepare_home(at(home))
    (home / "credentials").chmod(0o755)
    (home / "work-orders").chmod(0o777)
    shown = findings(at(home))["modes"]
    assert not shown.ok
    assert f"chmod 700 {home / 'credentials'}" in (shown.next_action or "")
    assert f"chmod 711 {home / 'work-orders'}" in (shown.next_action or "")


def test_a_home_inside_a_repository_or_behind_a_link_is_a_warning(tmp_path: Path) -> None:
    (tmp_path / ".git").mkdir()
    real, home = tmp_path / "real", tmp_path / "home"
    prepare_home(at(real))
    home.symlink_to(real)
    prepare_home(at(home))
    shown = findings(at(home))
    assert str(tmp_path) in shown["inside_repository"].detail
    assert str(real) in shown["link"].detail
    assert all(shown[name].next_action for name in ("inside_repository", "link"))


def test_why_a_folder_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert writing_problem(tmp_path) is None
    assert "file" in (writing_problem(tmp_path / "file") or "")
    assert "exists" in (writing_problem(tmp_path / "missing") or "")
    assert "written" in (writing_problem(Path("/proc")) or "")
