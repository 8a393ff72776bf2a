"""What an operator says of a repository's checkouts, from the API to the pull request, on the real server."""

from pathlib import Path
from typing import Any

from .archon import Archon, eventually
from .conftest import MakeRepository, Play, StartArchon
from .remote import Remote
from .scripts import FILES, WRITES_HELLO, bash, executing, says


def configure(archon: Archon, remote: Remote, **options: Any) -> None:
    answer = archon.client.post("/repositories", json={"repository_url": remote.url, "options": options})
    assert answer.status_code == 201, answer.text


def ready(archon: Archon, remote: Remote) -> list[Path]:
    return list(archon.home.glob(f"repositories/.ready/*-{remote.name}-*/*/+ready.json"))


def test_the_second_order_on_a_repository_finds_a_checkout_that_is_ready(
    archon: Archon, play: Play, make_repository: MakeRepository
) -> None:
    remote = make_repository()
    play(WRITES_HELLO)
    first = archon.file(remote.url)
    first.completed()
    eventually(lambda: ready(archon, remote), within=30)

    second = archon.file(remote.url)
    branch = second.completed()["git_branch_name"]

    prepared = [order.events("checkout_opened")[0].payload["prepared"] for order in (first, second)]
    assert prepared == [False, True]
    assert sorted(remote.files(branch)) == sorted([*FILES, "hello.txt"])
    assert len(remote.pull_requests()) == 2


def test_an_operators_set_up_files_and_variables_serve_the_agent_and_stay_out_of_the_pull_request(
    archon: Archon, play: Play, make_repository: MakeRepository
) -> None:
    makefile = (
        'test:\n\t@test -f deps/lib && test "$$STAGE" = test && grep -q local settings.local && echo all is well\n'
    )
    remote = make_repository({**FILES, "Makefile": makefile, "deps.txt": "lib\n"})
    configure(
        archon, remote,
        setup_command='mkdir -p deps && cp deps.txt deps/lib && echo "made for $STAGE"',
        setup_inputs=["deps.txt"],
        environment={"STAGE": "test"},
        files={"settings.local": "local\n"},
        cleanup_command="cat settings.local deps/lib",
    )  # fmt: skip
    play(executing(bash('echo "$STAGE $(cat deps/lib settings.local)" > hello.txt'), says("Done.")))

    order = archon.file(remote.url)
    branch = order.completed()["git_branch_name"]

    [ran] = order.events("setup_run")
    assert ran.payload["passed"]
    assert "made for test" in order.artifacts()[ran.payload["artifact_id"]]
    assert remote.read(branch, "hello.txt") == "test lib\nlocal"
    assert sorted(remote.files(branch)) == sorted(["Makefile", "README.md", "deps.txt", "hello.txt"])
    [checked] = order.events("check_run")
    assert checked.payload["passed"]

    again = archon.file(remote.url)
    assert again.completed()["git_branch_name"] != branch
    assert again.events("setup_run") == []  # its inputs are the same


def test_a_set_up_that_fails_ends_the_order_with_its_log(
    archon: Archon, play: Play, make_repository: MakeRepository
) -> None:
    remote = make_repository()
    configure(archon, remote, setup_command="echo no such package; exit 4")
    play(WRITES_HELLO)

    order = archon.file(remote.url)

    assert "exit code 4" in order.failed("verification")["error_message"]
    [ran] = order.events("setup_run")
    assert "no such package" in ran.payload["output_tail"]
    assert order.events("agent_started") == []


def test_of_a_monorepo_only_the_part_is_on_disk_and_the_pull_request_is_right(
    archon: Archon, play: Play, make_repository: MakeRepository
) -> None:
    inner = {f"packages/inner/{path}": content for path, content in FILES.items()}
    others = {f"packages/other{number}/file.txt": "other\n" for number in range(20)}
    remote = make_repository({"README.md": "# All\n", **inner, **others})
    play(executing(bash("ls ../.. .. > hello.txt"), says("Done.")))

    order = archon.file(remote.url, working_subdir="packages/inner")
    branch = order.completed()["git_branch_name"]

    assert remote.read(branch, "packages/inner/hello.txt") == "..:\ninner\n\n../..:\nREADME.md\npackages"
    assert list(order.diff()) == ["packages/inner/hello.txt"]
    assert remote.git("diff", "--name-only", "main", branch) == "packages/inner/hello.txt"
    [pull_request] = remote.pull_requests()
    assert "1 file" in (pull_request.body or "")


def test_a_server_that_prepares_nothing_works_as_before(
    start_archon: StartArchon, play: Play, make_repository: MakeRepository
) -> None:
    remote = make_repository()
    play(WRITES_HELLO)
    archon = start_archon(AWO_PREPARED_CHECKOUTS="0")

    for _ in range(2):
        order = archon.file(remote.url)
        order.completed()
        assert not order.events("checkout_opened")[0].payload["prepared"]

    assert not (archon.home / "repositories" / ".ready").exists()
