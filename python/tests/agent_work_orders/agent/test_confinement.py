import os
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from src.agent_work_orders.agent.confinement import SameUser, SeparateUser, choose_confinement
from src.agent_work_orders.agent.process import open_child
from src.agent_work_orders.domain.errors import FailureClass, StepFailed

from .conftest import processes_of

NOBODY = 65534
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a process another user")


@pytest.fixture
def shared() -> Iterator[Path]:
    """A directory that another user can reach, which those below pytest's own are not."""
    with TemporaryDirectory(dir="/tmp") as directory:
        Path(directory).chmod(0o711)
        yield Path(directory)


def test_without_a_name_it_is_the_servers_own_user() -> None:
    chosen = choose_confinement(None)
    assert isinstance(chosen, SameUser)
    assert chosen.wrap(["a"], {"B": "c"}) == (["a"], {"B": "c"})


@pytest.mark.parametrize("name", ["root", "0", "no-such-user-anywhere", "0:0", "nobody:staff"])
def test_a_user_that_cannot_be_is_refused_with_a_next_action(name: str) -> None:
    with pytest.raises(StepFailed) as caught:
        choose_confinement(name)
    assert caught.value.failure_class == FailureClass.POLICY
    assert caught.value.next_action


@as_root
@pytest.mark.parametrize("name", ["nobody", "65534", "4711:4711"])
def test_a_root_server_takes_a_name_a_number_or_a_pair(name: str) -> None:
    assert isinstance(choose_confinement(name), SeparateUser)


def test_an_ordinary_server_cannot_take_another_user(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 4711)
    with pytest.raises(StepFailed, match="runs as root"):
        choose_confinement("nobody")


@as_root
@pytest.mark.anyio
async def test_a_child_of_another_user_owns_its_directories_and_reaches_nothing_of_the_server(shared: Path) -> None:
    work, secret = shared / "work", shared / "secret"
    (work / "deep").mkdir(parents=True)
    (work / "deep" / "file").write_text("ours")
    (work / "link").symlink_to(secret)
    secret.write_text("the server's")
    secret.chmod(0o600)
    (work / "hard").hardlink_to(secret)
    confinement = SeparateUser(NOBODY, NOBODY)
    confinement.hand_over(work)
    command = f"id -u; id -G; echo more >> deep/file; cat {secret} hard; cat /proc/{os.getpid()}/environ; sleep 1000 &"
    async with open_child(
        ["sh", "-c", command],
        env={"PATH": os.defpath},
        cwd=work,
        stdout=shared / "out",
        stderr=shared / "err",
        run_id="wo-nobody",
        confinement=confinement,
    ) as child:
        await child.wait()
        assert processes_of("wo-nobody")
    assert (shared / "out").read_text().split() == [str(NOBODY), str(NOBODY)]
    assert (shared / "err").read_text().lower().count("permission denied") == 3
    assert (work / "deep" / "file").read_text() == "oursmore\n"
    assert secret.stat().st_uid == 0
    assert processes_of("wo-nobody") == []
