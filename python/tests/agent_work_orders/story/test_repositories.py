"""Repositories as they come: busy, named otherwise, empty, nested, and gone."""

from src.agent_work_orders.rehearsal import Stage

from .archon import Archon
from .conftest import MakeRepository, Play, StartArchon
from .processes import processes_of
from .remote import Remote
from .scripts import FILES, WRITES_HELLO, bash, executing, says


def test_two_orders_on_one_repository_run_at_once_and_do_not_see_each_other(
    archon: Archon, stage: Stage, play: Play, remote: Remote
) -> None:
    play(
        *(
            executing(bash(f"ls > {name}.txt"), says("Written.", gate=f"both-{remote.name}"), request=name)
            for name in ("first", "second")
        )
    )
    orders = {name: archon.file(remote.url, f"Write {name}.txt.") for name in ("first", "second")}

    # Both agents have written their file and wait for an answer at the same time.
    orders["first"].at_gate(f"both-{remote.name}", count=2)
    assert all(processes_of(order.id) for order in orders.values())
    stage.model.release(f"both-{remote.name}")

    branches = {name: order.completed()["git_branch_name"] for name, order in orders.items()}
    for name, branch in branches.items():
        assert remote.git("diff", "--name-only", f"main..{branch}") == f"{name}.txt"
        assert remote.read(branch, f"{name}.txt").split() == ["Makefile", "README.md", f"{name}.txt"]
    assert sorted(one.head for one in remote.pull_requests()) == sorted(branches.values())
    assert len({order.now()["agent_session_id"] for order in orders.values()}) == 2


def test_the_remote_s_own_default_branch_is_the_base_whatever_its_name(
    archon: Archon, play: Play, make_repository: MakeRepository
) -> None:
    remote = make_repository(default_branch="trunk")
    play(WRITES_HELLO)

    done = archon.file(remote.url).completed()

    assert done["base_branch"] == "trunk"
    assert remote.branches() == sorted([done["git_branch_name"], "trunk"])
    [pull_request] = remote.pull_requests()
    assert (pull_request.base, pull_request.base_sha) == ("trunk", remote.commit("trunk"))


def test_an_order_starts_from_the_branch_that_it_names(archon: Archon, play: Play, remote: Remote) -> None:
    tree = remote.git("rev-parse", "main^{tree}")
    base = remote.git("-c", "user.name=a", "-c", "user.email=a@b", "commit-tree", tree, "-p", "main", "-m", "Next")
    remote.git("update-ref", "refs/heads/release/2.x", base)
    play(WRITES_HELLO)

    done = archon.file(remote.url, base_branch="release/2.x").completed()

    assert done["base_branch"] == "release/2.x"
    assert remote.git("rev-parse", f"{done['git_branch_name']}^") == base
    [pull_request] = remote.pull_requests()
    assert pull_request.base == "release/2.x"


def test_a_base_branch_that_is_not_there_is_named(archon: Archon, play: Play, remote: Remote) -> None:
    play(WRITES_HELLO)

    order = archon.file(remote.url, base_branch="nowhere").failed("git")

    assert "nowhere" in order["error_message"]
    assert remote.branches() == ["main"]


def test_the_agent_works_in_the_directory_that_the_order_names(
    archon: Archon, play: Play, make_repository: MakeRepository
) -> None:
    inner = {f"packages/inner/{path}": content for path, content in FILES.items()}
    remote = make_repository({"Makefile": "test:\n\tfalse\n", **inner})
    play(executing(bash('basename "$PWD" > hello.txt'), says("Done.")))

    order = archon.file(remote.url, working_subdir="packages/inner")
    branch = order.completed()["git_branch_name"]

    assert remote.read(branch, "packages/inner/hello.txt") == "inner"
    # The check is that directory's own too: the one at the root is red.
    [checked] = order.events("check_run")
    assert checked.payload["passed"]


def test_an_empty_repository_fails_and_says_that_it_wants_a_first_commit(
    archon: Archon, play: Play, make_repository: MakeRepository
) -> None:
    remote = make_repository({})
    play(WRITES_HELLO)

    order = archon.file(remote.url).failed("git")

    assert "push a first commit" in f"{order['error_message']} {order['next_action']}".lower()
    assert remote.branches() == []


def test_a_repository_that_is_gone_before_anybody_cloned_it_fails_the_order(
    archon: Archon, stage: Stage, play: Play, remote: Remote
) -> None:
    stage.repositories.vanish(remote.owner, remote.name)
    play(WRITES_HELLO)

    order = archon.file(remote.url).failed("git")

    assert "not found" in order["error_message"]
    left = [path for path in archon.home.glob(f"repositories/.mirrors/*{remote.name}*") if path.suffix != ".lock"]
    assert left == []


def test_a_repository_that_vanishes_later_fails_the_next_order_and_keeps_what_is_there(
    archon: Archon, stage: Stage, play: Play, remote: Remote
) -> None:
    play(WRITES_HELLO)
    earlier = archon.file(remote.url)
    earlier.completed()
    stage.repositories.vanish(remote.owner, remote.name)

    order = archon.file(remote.url).failed("git")

    assert "not found" in order["error_message"]
    assert list(earlier.diff()) == ["hello.txt"]


def test_a_repository_that_vanishes_while_the_agent_works_fails_the_order_and_keeps_its_work(
    archon: Archon, stage: Stage, play: Play, remote: Remote
) -> None:
    gate = f"gone-{remote.name}"
    play(executing(bash("echo hello > hello.txt"), says("Written.", gate=gate)))
    order = archon.file(remote.url)
    order.at_gate(gate)
    stage.repositories.vanish(remote.owner, remote.name)
    stage.model.release(gate)

    failed = order.failed("git")

    assert "not found" in failed["error_message"]
    assert order.steps()[-1] == ("commit", "failed")
    assert list(order.diff()) == ["hello.txt"]


def test_a_private_repository_is_read_and_written_with_the_token(
    archon: Archon, play: Play, make_repository: MakeRepository
) -> None:
    remote = make_repository(private=True)
    play(WRITES_HELLO)

    done = archon.file(remote.url).completed()

    assert remote.read(done["git_branch_name"], "hello.txt") == "hello"


def test_a_token_that_is_not_accepted_fails_the_order_with_what_a_person_can_do(
    start_archon: StartArchon, play: Play, make_repository: MakeRepository
) -> None:
    archon = start_archon(GITHUB_TOKEN="ghp_" + "x" * 36)
    play(WRITES_HELLO)

    failed = archon.file(make_repository(private=True).url).failed("auth")

    assert "token" in failed["next_action"]
    assert "ghp_" not in archon.log


def test_without_a_token_a_public_repository_is_worked_on_and_the_work_is_kept(
    start_archon: StartArchon, play: Play, remote: Remote
) -> None:
    archon = start_archon(GITHUB_TOKEN="")
    play(WRITES_HELLO)

    order = archon.file(remote.url)
    failed = order.failed("auth")

    assert "GITHUB_TOKEN" in failed["next_action"] or "token" in failed["next_action"]
    assert order.steps()[-1] == ("commit", "failed")
    assert list(order.diff()) == ["hello.txt"]


def test_a_repository_that_moved_is_followed_and_said_to_have_moved(
    archon: Archon, stage: Stage, play: Play, remote: Remote
) -> None:
    stage.repositories.rename(remote.owner, remote.name, f"{remote.name}-moved")
    play(WRITES_HELLO)

    order = archon.file(remote.url)
    order.completed()

    [opened] = order.events("checkout_opened")
    assert any(f"{remote.name}-moved" in note and "new work orders" in note for note in opened.payload["notes"])
    [pull_request] = remote.pull_requests()
    assert pull_request.state == "open"
