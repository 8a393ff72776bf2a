"""Submodules that the server fetches where the operator wants it: which, from where, and what they cannot do."""

from pathlib import Path
from typing import Any

import pytest

from src.agent_work_orders.checkout import GitCheckout, GitCheckouts
from src.agent_work_orders.checkout.submodules import _address
from src.agent_work_orders.domain.errors import FailureClass, StepFailed
from src.agent_work_orders.domain.repository import HostPolicy, Repository, parse_repository_url

from .conftest import SAMPLE, a_server, an_order
from .git_host import IDENTITY, GitHost, git
from .test_pool import opened

pytestmark = pytest.mark.anyio


def with_submodule(host: GitHost, url: str, commit: str, path: str = "vendor/lib", name: str = "lib") -> str:
    """The sample repository with one submodule, made as a stranger could: without git looking at the address."""
    host.create(files={**SAMPLE, ".gitmodules": f'[submodule "{name}"]\n\tpath = {path}\n\turl = {url}\n'})
    work = host.directory / "work"
    git(work, "update-index", "--add", "--cacheinfo", f"160000,{commit},{path}")
    git(work, "commit", "--quiet", "--message", "A submodule", env=IDENTITY)
    git(work, "push", "--quiet", str(host.bare()), "HEAD:refs/heads/main")
    return git(work, "rev-parse", "HEAD")


@pytest.fixture
def fetching(host: GitHost, volume: Path) -> GitCheckouts:
    policy = HostPolicy(frozenset({"github.com"}), insecure=frozenset({host.name}))
    return a_server(host, volume, repository=lambda url: parse_repository_url(url, policy))


async def changed(checkout: GitCheckout) -> dict[str, str]:
    saved = await checkout.checkpoint("now", "Now")
    return {file.path: file.status for file in (await checkout.diff(saved.commit)).files}


@pytest.mark.parametrize("written", ["{host}/team/lib", "../lib", "../lib.git", "{host}/team/lib.git"])
async def test_a_submodule_is_fetched_and_checked_out_at_its_commit(
    host: GitHost, fetching: GitCheckouts, written: str
) -> None:
    commit = host.create("lib", {"lib.c": "int x;\n"})
    host.commit("lib", {"lib.c": "int newer;\n"})
    with_submodule(host, written.format(host=f"http://{host.name}"), commit)
    checkout = await opened(fetching, host, submodules=True)
    assert (checkout.root / "vendor" / "lib" / "lib.c").read_text() == "int x;\n"
    assert checkout.notes == ()
    assert git(checkout.root, "status", "--porcelain") == ""
    assert git(checkout.root, "submodule", "status").split()[0] == commit
    assert git(checkout.root / "vendor" / "lib", "status", "--porcelain") == ""
    assert await changed(checkout) == {}


async def test_while_switched_off_a_submodule_is_left_empty_and_that_is_said(
    host: GitHost, fetching: GitCheckouts
) -> None:
    with_submodule(host, "../lib", host.create("lib", {"lib.c": "int x;\n"}))
    checkout = await opened(fetching, host)
    assert below(checkout.root / "vendor" / "lib") == []
    assert checkout.notes == ("The repository has submodules; they are not fetched.",)


def below(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


async def test_a_change_within_a_submodule_stays_out_of_the_change_and_is_noted(
    host: GitHost, fetching: GitCheckouts
) -> None:
    with_submodule(host, "../lib", host.create("lib", {"lib.c": "int x;\n"}))
    checkout = await opened(fetching, host, submodules=True)
    inside = checkout.root / "vendor" / "lib"
    (inside / "lib.c").write_text("changed\n")
    (checkout.root / "README.md").write_text("changed\n")
    assert await changed(checkout) == {"README.md": "modified"}
    assert "The submodule vendor/lib was changed; submodules are left as they are." in checkout.notes
    git(inside, "commit", "--quiet", "--all", "--message", "Mine", env=IDENTITY)
    assert await changed(checkout) == {"README.md": "modified"}


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc", "/etc", "ext::sh -c 'touch /tmp/owned'", "https://evil.example/team/lib",
        "http://169.254.169.254/latest/meta", "https://user:secret@github.com/team/lib", "--upload-pack=touch",
        "git://github.com/team/lib", "../../../../etc/passwd/too/deep",
    ],
)  # fmt: skip
async def test_an_address_that_no_order_could_have_is_not_asked(
    host: GitHost, fetching: GitCheckouts, url: str
) -> None:
    with_submodule(host, url, "1" * 40)
    checkout = await opened(fetching, host, submodules=True)
    assert below(checkout.root / "vendor" / "lib") == []
    assert any("vendor/lib is left empty" in note for note in checkout.notes)
    assert not any("lib" in request or "etc" in request for request in host.requests)


async def test_a_submodule_that_is_not_there_fails_the_order_by_its_name(host: GitHost, fetching: GitCheckouts) -> None:
    with_submodule(host, "../nowhere", "1" * 40)
    with pytest.raises(StepFailed, match=r"The submodule vendor/lib could not be fetched: .*not found") as caught:
        await opened(fetching, host, submodules=True)
    assert caught.value.failure_class is FailureClass.GIT


async def test_a_commit_that_its_repository_does_not_have_is_named(host: GitHost, fetching: GitCheckouts) -> None:
    host.create("lib", {"lib.c": "int x;\n"})
    with_submodule(host, "../lib", "1" * 40)
    with pytest.raises(StepFailed, match="no commit 111111111111"):
        await opened(fetching, host, submodules=True)


async def test_the_token_goes_to_the_repositorys_own_host_alone(host: GitHost, volume: Path, tmp_path: Path) -> None:
    other = GitHost(tmp_path / "other")
    try:
        policy = HostPolicy(frozenset(), insecure=frozenset({host.name, other.name}))
        commit = other.create("lib", {"lib.c": "int x;\n"})
        with_submodule(host, f"http://{other.name}/team/lib", commit)
        host.token = other.token = "ghp_onlyforthefirsthost"
        checkouts = GitCheckouts(
            volume,
            freshness=lambda: __import__("datetime").timedelta(0),
            insecure_hosts=lambda: frozenset({host.name, other.name}),
            repository=lambda url: parse_repository_url(url, policy),
        )
        with pytest.raises(StepFailed, match="The submodule vendor/lib could not be fetched") as caught:
            await checkouts.open(
                an_order(), host.repository(), "awo/x", host.token, lambda *_: None, options=with_submodules()
            )
        assert caught.value.failure_class is FailureClass.AUTH
        assert set(other.users) <= {""}  # nobody gave a name or a token
    finally:
        other.close()


def with_submodules() -> Any:
    from src.agent_work_orders.domain.repository import RepositoryOptions

    return RepositoryOptions(submodules=True)


async def test_in_a_sparse_checkout_only_the_submodules_within_it_are_fetched(
    host: GitHost, fetching: GitCheckouts
) -> None:
    commit = host.create("lib", {"lib.c": "int x;\n"})
    with_submodule(host, "../lib", commit, path="docs/lib")
    inside = await opened(fetching, host, an_order(working_subdir="docs"), submodules=True)
    assert (inside.workdir / "lib" / "lib.c").is_file()
    outside = await opened(fetching, host, an_order(working_subdir="src"), submodules=True)
    assert not (outside.root / "docs").exists()
    assert await changed(outside) == {}
    assert await changed(inside) == {}


async def test_submodules_of_submodules_are_not_fetched_and_that_is_said(host: GitHost, fetching: GitCheckouts) -> None:
    commit = host.create("lib", {"lib.c": "x\n", ".gitmodules": '[submodule "a"]\n\tpath = a\n\turl = ../a\n'})
    with_submodule(host, "../lib", commit)
    checkout = await opened(fetching, host, submodules=True)
    assert checkout.notes == ("The submodule vendor/lib has submodules of its own; they are not fetched.",)


@pytest.mark.parametrize(
    ("url", "meant"),
    [
        ("git@github.com:team/lib.git", "https://github.com/team/lib.git"),
        ("ssh://git@github.com/team/lib", "https://github.com/team/lib"),
        ("./inner", "https://github.com/team/sample/inner"),
        ("https://github.com/team/lib", "https://github.com/team/lib"),
        ("ext::sh", "ext::sh"),
    ],
)
def test_an_address_means_the_same_over_https(url: str, meant: str) -> None:
    assert _address(url, Repository("https://github.com/team/sample", "github.com", "team", "sample")) == meant
