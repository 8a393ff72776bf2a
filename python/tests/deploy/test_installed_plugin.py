"""The plugin's own tests, run inside a stand-in of the public server: its layout, its `main`, its tests' environment.

Nothing there is this repository's but what `make install-into` put in, the tests, and the programs that they drive.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from . import archon_v1

ROOT = Path(__file__).parents[3]
# What is quick and sees every seam to the host: words, guard, settings, the store's contract, and a whole order through
# the public application.
CHOSEN = (
    "domain",
    "api/test_guard.py",
    "test_settings.py",
    "test_host.py",
    "contracts/test_sqlite_store.py",
    "story/test_story.py",
)


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = archon_v1.build(tmp_path_factory.mktemp("public") / "archon", "\r\n")
    script = ROOT / "scripts" / "install_into.py"
    subprocess.run([sys.executable, str(script), str(root)], check=True, capture_output=True, timeout=120)
    shutil.copytree(
        ROOT / "python/tests/agent_work_orders",
        root / "python/tests/agent_work_orders",
        ignore=shutil.ignore_patterns("__pycache__"),
    )
    # The programs that the tests drive; how the tests are run is the host's affair, and none of ours comes along.
    (root / ".tools").symlink_to(ROOT / ".tools")
    (root / "python/pytest.ini").write_text("[pytest]\ntestpaths = tests\naddopts = --strict-markers -p no:logfire\n")
    return root


@pytest.mark.timeout(600)
def test_the_plugins_tests_pass_inside_the_public_server(checkout: Path) -> None:
    tests = [f"tests/agent_work_orders/{name}" for name in CHOSEN]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", *tests],
        cwd=checkout / "python",
        env={name: os.environ[name] for name in ("PATH", "HOME", "LANG", "CLAUDE_CLI_PATH") if name in os.environ},
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=580,
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    assert " passed" in done.stdout
    assert "skipped" not in done.stdout


def test_the_program_that_they_ran_is_the_public_one(checkout: Path) -> None:
    """Else the test above would say nothing: the application is Archon's, and two lines of it are ours."""
    main = (checkout / "python/src/server/main.py").read_text(encoding="utf-8")
    assert 'title="Archon Knowledge Engine API"' in main
    assert main.count("agent_work_orders") == 3
    assert not (checkout / "python/pyproject.toml").exists()
