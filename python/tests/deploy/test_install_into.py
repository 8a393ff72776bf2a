"""Into a public checkout and out of it again: byte for byte, twice, and with somebody's changes respected."""

import hashlib
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from . import archon_v1

ROOT = Path(__file__).parents[3]
SCRIPT = ROOT / "scripts" / "install_into.py"
UI = "archon-ui-main/src"


@pytest.fixture(params=["\n", "\r\n"], ids=["unix", "dos"])
def either(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """A checkout with the one line end, and with the other."""
    return archon_v1.build(tmp_path / "archon", request.param)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    return archon_v1.build(tmp_path / "archon", "\r\n")


def tree(root: Path) -> dict[str, str]:
    return {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "folder"
        for path in root.rglob("*")
    }


def run(root: Path, *options: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, str(SCRIPT), str(root), *options]
    return subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=60)


def test_it_goes_in_twice_and_out_again_byte_for_byte(either: Path) -> None:
    before = tree(either)
    first = run(either)
    assert first.returncode == 0, first.stderr
    assert "edited   python/src/server/main.py" in first.stdout
    installed = tree(either)
    assert (either / "python/src/agent_work_orders/plugin.py").is_file()
    assert (either / "migration/awo_setup.sql").is_file()
    assert (either / UI / "features/settings/components/AgentWorkOrdersSettings.tsx").is_file()

    second = run(either)
    assert second.returncode == 0
    assert "Nothing to do" in second.stdout
    assert tree(either) == installed

    undone = run(either, "--undo")
    assert undone.returncode == 0, undone.stderr
    assert tree(either) == before


EDITS = {
    "python/src/server/main.py": [
        "from ..agent_work_orders import router as agent_work_orders_router",
        "app.include_router(agent_work_orders_router)",
    ],
    "python/src/mcp_server/mcp_server.py": [
        "    from src.mcp_server.features.agent_work_orders import register_work_order_tools",
        "    register_work_order_tools(mcp)",
    ],
    f"{UI}/App.tsx": [
        'import { AgentWorkOrdersPages } from "./features/agent-work-orders/archon";',
        '      <Route path="/agent-work-orders/*" element={<AgentWorkOrdersPages />} />',
    ],
    f"{UI}/components/layout/Navigation.tsx": [
        'import { agentWorkOrdersEntry } from "../../features/agent-work-orders/archon";',
        "    agentWorkOrdersEntry,",
    ],
    f"{UI}/pages/SettingsPage.tsx": [
        'import { AgentWorkOrdersSection } from "../features/agent-work-orders/archon";',
        "      <AgentWorkOrdersSection />",
    ],
}


def test_the_edits_are_ten_lines_with_the_line_ends_of_their_files(either: Path) -> None:
    def lines(name: str) -> list[bytes]:
        return (either / name).read_bytes().splitlines(keepends=True)

    before = {name: lines(name) for name in EDITS}
    run(either)
    first = before["python/src/server/main.py"][0]
    end = first.removeprefix(first.rstrip(b"\r\n"))
    for name, wanted in EDITS.items():
        assert [line for line in lines(name) if line not in before[name]] == [one.encode() + end for one in wanted]
        assert all(line.endswith(end) for line in lines(name))


def test_packages_that_are_not_there_are_added_in_order_and_the_others_stay_as_they_are(either: Path) -> None:
    path = either / "archon-ui-main/package.json"
    before = json.loads(path.read_bytes())["dependencies"]
    run(either)
    after = json.loads(path.read_bytes())["dependencies"]
    assert {name: after[name] for name in before} == before
    ours = json.loads((ROOT / "archon-ui-main/package.json").read_bytes())["dependencies"]
    added = {name: version for name, version in after.items() if name not in before}
    assert added == {name: ours[name] for name in added}
    assert {"@radix-ui/react-slot", "@tanstack/react-virtual", "anser", "remark-gfm"} <= set(added)
    assert list(after) == sorted(after)
    lines = path.read_bytes().splitlines(keepends=True)
    assert len({line.endswith(b"\r\n") for line in lines}) == 1


def test_lines_of_ours_that_somebody_had_already_are_left_to_him(either: Path) -> None:
    package, main = either / "archon-ui-main/package.json", either / "python/src/server/main.py"
    ours = json.loads((ROOT / "archon-ui-main/package.json").read_bytes())["dependencies"]
    theirs = f'    "anser": "{ours["anser"]}",'.encode()
    package.write_bytes(package.read_bytes().replace(b'    "clsx"', theirs + b'\n    "clsx"', 1))
    main.write_bytes(main.read_bytes() + b"app.include_router(agent_work_orders_router)")
    before = tree(either)
    assert run(either).returncode == 0
    assert package.read_bytes().count(b'"anser"') == 1
    assert run(either, "--undo").returncode == 0
    assert tree(either) == before


def test_a_file_without_a_last_line_end_gets_it_back_as_it_was(either: Path) -> None:
    main = either / "python/src/server/main.py"
    main.write_bytes(main.read_bytes() + b"app.include_router(their_router)")
    before = tree(either)
    assert run(either).returncode == 0
    assert main.read_bytes().endswith(b"app.include_router(agent_work_orders_router)")
    assert run(either, "--undo").returncode == 0
    assert tree(either) == before


def test_the_pages_can_be_left_out_and_taken_out_again(checkout: Path) -> None:
    pages = {name: digest for name, digest in tree(checkout).items() if name.startswith("archon-ui-main")}
    assert run(checkout).returncode == 0
    without = run(checkout, "--without-pages")
    assert without.returncode == 0, without.stderr
    assert f"edited   {UI}/App.tsx" in without.stdout
    assert (checkout / "python/src/agent_work_orders/plugin.py").is_file()
    there = {name: digest for name, digest in tree(checkout).items() if name.startswith("archon-ui-main")}
    assert {name: digest for name, digest in there.items() if digest != "folder"} == {
        name: digest for name, digest in pages.items() if digest != "folder"
    }


def test_our_pages_call_of_archons_code_nothing_but_its_toast(checkout: Path) -> None:
    before = tree(checkout)
    run(checkout)
    ours = [checkout / name for name in tree(checkout) if name.startswith(f"{UI}/features/") and name not in before]
    mine = {path.relative_to(checkout / UI).as_posix() for path in ours if path.is_file()}
    outside: set[str] = set()
    for path in ours:
        if path.suffix not in (".ts", ".tsx"):
            continue
        for named in re.findall(r"(?:from|import\()\s*\"(@/[^\"]+|\.[^\"]*)\"", path.read_text(encoding="utf-8")):
            target = (
                checkout / UI / named.removeprefix("@/") if named.startswith("@/") else (path.parent / named).resolve()
            )
            at = target.relative_to(checkout / UI).as_posix()
            if not {at, f"{at}.ts", f"{at}.tsx", f"{at}/index.ts", f"{at}/index.tsx"} & mine:
                outside.add(at)
    assert outside == {"features/shared/hooks/useToast"}


def test_what_is_installed_can_be_imported_there_and_says_that_it_is_off(checkout: Path) -> None:
    run(checkout)
    program = (
        "from fastapi.testclient import TestClient\n"
        "from src.server.main import app\n"
        "with TestClient(app, base_url='http://localhost') as client:\n"
        "    answer = client.get('/api/awo/health').json()\n"
        "    assert answer['status'] == 'disabled', answer\n"
    )
    # The host's own services are not in the stand-in; switched off the plugin needs none of them.
    said = subprocess.run(
        [sys.executable, "-c", program],
        cwd=checkout / "python",
        env={"PATH": "", "HOME": str(checkout)},
        capture_output=True,
        text=True,
        timeout=120,
        stdin=subprocess.DEVNULL,
    )
    assert said.returncode == 0, said.stderr


def test_what_somebody_changed_is_kept_and_named(checkout: Path) -> None:
    run(checkout)
    changed = checkout / "python/src/agent_work_orders/commands/planning.md"
    changed.write_text("Mine.")
    again = run(checkout)
    assert again.returncode == 1
    assert "planning.md is there already" in again.stderr
    undone = run(checkout, "--undo")
    assert "KEPT     python/src/agent_work_orders/commands/planning.md" in undone.stdout
    assert changed.read_text() == "Mine."


def test_something_else_under_our_name_is_left_alone(checkout: Path) -> None:
    theirs = checkout / "python/src/agent_work_orders/plugin.py"
    theirs.parent.mkdir()
    theirs.write_text("theirs")
    before = tree(checkout)
    said = run(checkout)
    assert said.returncode == 1
    assert "plugin.py is there already" in said.stderr
    assert tree(checkout) == before


def test_another_layout_is_refused_and_nothing_is_touched(checkout: Path) -> None:
    main = checkout / "python/src/server/main.py"
    main.write_text("app = None\n")
    before = tree(checkout)
    said = run(checkout)
    assert said.returncode == 1
    assert "laid out differently" in said.stderr
    assert tree(checkout) == before


def test_a_folder_that_is_no_archon_is_refused(tmp_path: Path) -> None:
    said = run(tmp_path)
    assert said.returncode == 1
    assert "is no checkout of Archon v1" in said.stderr
    assert list(tmp_path.iterdir()) == []


def test_pages_that_are_laid_out_differently_are_refused_with_a_way_on(checkout: Path) -> None:
    (checkout / UI / "App.tsx").unlink()
    before = tree(checkout)
    said = run(checkout)
    assert said.returncode == 1
    assert "Leave the pages out with PAGES=no" in said.stderr
    assert tree(checkout) == before
    assert run(checkout, "--without-pages").returncode == 0


def test_an_update_that_broke_off_can_be_done_again_and_undone(checkout: Path) -> None:
    """The record names what was to come, the files are still the older ones, and ours have moved on since."""
    before = tree(checkout)
    run(checkout)
    older = checkout / "python/src/agent_work_orders/plugin.py"
    older.write_text("# an older one\n")
    manifest = checkout / ".agent-work-orders.json"
    known = json.loads(manifest.read_bytes())
    name = "python/src/agent_work_orders/plugin.py"
    known["replaced"] = {name: hashlib.sha256(older.read_bytes()).hexdigest()}
    known["files"][name] = "0" * 64
    manifest.write_text(json.dumps(known))
    halfway = (manifest.read_bytes(), older.read_bytes())
    again = run(checkout)
    assert again.returncode == 0, again.stderr
    assert older.read_bytes() == (ROOT / name).read_bytes()
    manifest.write_bytes(halfway[0])
    older.write_bytes(halfway[1])
    undone = run(checkout, "--undo")
    assert undone.returncode == 0, undone.stderr
    assert tree(checkout) == before
