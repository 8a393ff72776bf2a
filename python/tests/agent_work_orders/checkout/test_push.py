import os
from pathlib import Path

import anyio
import pytest

from src.agent_work_orders.checkout import GitCheckout
from src.agent_work_orders.checkout.mirror import OrderState
from src.agent_work_orders.domain.errors import FailureClass, StepFailed

from .conftest import SAMPLE, Opener, an_order, mirror_of
from .git_host import GitHost, git
from .processes import commands_with, until

pytestmark = pytest.mark.anyio

TOKEN = "ghp_this/is+the?secret&token"


def files_with(word: bytes, directory: Path) -> list[Path]:
    return [path for path in directory.rglob("*") if path.is_file() and word in path.read_bytes()]


async def saved_change(checkout: GitCheckout, text: str = "changed\n") -> str:
    (checkout.root / "README.md").write_text(text)
    return (await checkout.checkpoint("execute", "Change the title")).commit


async def test_a_checkpoint_is_pushed_as_the_orders_branch_and_again_without_harm(
    host: GitHost, open_checkout: Opener
) -> None:
    host.create(files=SAMPLE)
    checkout = await open_checkout()
    commit = await saved_change(checkout)
    await checkout.push(commit, None)
    await checkout.push(commit, None)
    assert host.tip("awo/work") == commit
    assert host.tip("main") == checkout.base_commit
    assert git(host.bare(), "log", "--format=%s", "main..awo/work") == "Change the title"


async def test_later_work_continues_what_was_pushed(host: GitHost, open_checkout: Opener) -> None:
    host.create(files=SAMPLE)
    order = an_order()
    checkout = await open_checkout(order)
    first = await saved_change(checkout)
    await checkout.push(first, None)
    again = await open_checkout(order)
    second = await saved_change(again, "changed again\n")
    await again.push(second, None)
    assert git(host.bare(), "rev-list", "main..awo/work").split() == [second, first]


async def test_what_we_pushed_may_be_replaced_and_nothing_else(host: GitHost, open_checkout: Opener) -> None:
    host.create(files=SAMPLE)
    checkout = await open_checkout()
    first = await saved_change(checkout)
    await checkout.push(first, None)
    await checkout.push(checkout.base_commit, None)
    assert host.tip("awo/work") == checkout.base_commit
    theirs = host.commit("sample", {"other.txt": "somebody else's"}, "awo/work")
    with pytest.raises(StepFailed, match="refused the branch") as caught:
        await checkout.push(first, None)
    assert caught.value.failure_class is FailureClass.CONFLICT
    assert host.tip("awo/work") == theirs


async def test_a_branch_that_was_there_before_is_not_overwritten(host: GitHost, open_checkout: Opener) -> None:
    host.create(files=SAMPLE)
    theirs = host.commit("sample", {"other.txt": "theirs"}, "awo/work")
    checkout = await open_checkout()
    with pytest.raises(StepFailed) as caught:
        await checkout.push(await saved_change(checkout), None)
    assert caught.value.failure_class is FailureClass.CONFLICT
    assert host.tip("awo/work") == theirs


async def test_a_push_whose_answer_was_lost_is_found_out_by_the_next(
    host: GitHost, open_checkout: Opener, volume: Path
) -> None:
    host.create(files=SAMPLE)
    order = an_order()
    checkout = await open_checkout(order)
    first = await saved_change(checkout)
    mirror = mirror_of(volume)
    git(mirror, "push", "--quiet", str(host.bare()), f"{first}:refs/heads/awo/work")
    checkout._mirror.save_state(
        order.agent_work_order_id, OrderState("main", checkout.base_commit, ready=True, pushing=first)
    )
    again = await open_checkout(order)
    second = await saved_change(again, "something else\n")
    await again.push(second, None)
    assert host.tip("awo/work") == second


async def test_a_hook_of_the_remote_is_quoted(host: GitHost, open_checkout: Opener) -> None:
    host.create(files=SAMPLE)
    hook = host.bare() / "hooks/pre-receive"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\necho 'error: GH006: Protected branch update failed.' >&2\nexit 1\n")
    hook.chmod(0o755)
    checkout = await open_checkout()
    with pytest.raises(StepFailed, match="GH006: Protected branch update failed") as caught:
        await checkout.push(await saved_change(checkout), None)
    assert caught.value.failure_class is FailureClass.CONFLICT
    assert caught.value.next_action


async def test_a_push_without_the_right_is_an_auth_failure(host: GitHost, open_checkout: Opener) -> None:
    host.create(files=SAMPLE)
    checkout = await open_checkout()
    commit = await saved_change(checkout)
    host.status = 403
    with pytest.raises(StepFailed) as caught:
        await checkout.push(commit, TOKEN)
    assert caught.value.failure_class is FailureClass.AUTH
    host.status, host.token = None, "another"
    for token in (TOKEN, None):
        with pytest.raises(StepFailed) as caught:
            await checkout.push(commit, token)
        assert caught.value.failure_class is FailureClass.AUTH
        assert TOKEN not in str(caught.value) + caught.value.next_action


async def test_the_token_reaches_the_host_and_is_seen_nowhere_else(
    host: GitHost, open_checkout: Opener, volume: Path, tmp_path: Path
) -> None:
    host.create(files=SAMPLE)
    host.token = TOKEN
    host.gate.clear()
    async with anyio.create_task_group() as tasks:

        async def clone() -> None:
            checkout = await open_checkout(token=TOKEN)
            await checkout.push(await saved_change(checkout), TOKEN)

        tasks.start_soon(clone)
        await until(host.asked.is_set)
        seen = commands_with(host.name)
        host.gate.set()
    assert seen, "git was running"
    assert not [line for line in seen if TOKEN in line or "ghp_" in line]
    assert set(host.users) - {""} == {"x-access-token"}, "and '' for the first, unauthorised question"
    assert not [request for request in host.requests if "ghp_" in request]
    assert files_with(b"ghp_", volume) == []
    assert "ghp_" not in " ".join(os.environ.values())


async def test_the_token_is_not_given_to_another_host(host: GitHost, open_checkout: Opener, volume: Path) -> None:
    host.create(files=SAMPLE)
    await open_checkout()
    askpass = str(volume / ".mirrors/.server/askpass")
    environment = {
        "PATH": os.environ["PATH"],
        "AWO_GIT_ORIGIN": "https://github.com",
        "AWO_GIT_USER_ORIGIN": "https://x-access-token@github.com",
        "AWO_GIT_USER": "x-access-token",
        "AWO_GIT_TOKEN": TOKEN,
    }

    async def answer(question: str) -> tuple[int, str]:
        done = await anyio.run_process([askpass, question], check=False, env=environment)
        return done.returncode, done.stdout.decode().strip()

    assert await answer("Username for 'https://github.com': ") == (0, "x-access-token")
    assert await answer("Password for 'https://x-access-token@github.com': ") == (0, TOKEN)
    for other in ("https://x-access-token@github.com.evil.example", "http://x-access-token@github.com", "https://evil"):
        assert await answer(f"Password for '{other}': ") == (1, "")
