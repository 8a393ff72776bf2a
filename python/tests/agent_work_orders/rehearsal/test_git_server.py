import gzip
import os
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from src.agent_work_orders.rehearsal import Stage
from src.agent_work_orders.rehearsal.git_server import GitServer

from .conftest import Git


def test_anyone_clones_a_public_repository_with_and_without_the_ending(stage: Stage, git: Git, tmp_path: Path) -> None:
    git("clone", "--quiet", stage.repository_url, "plain")
    git("clone", "--quiet", f"{stage.repository_url}.git", "ending")

    assert (tmp_path / "plain" / "greeter" / "__init__.py").read_text().startswith('"""Greets people by name."""')
    assert (tmp_path / "ending" / "Makefile").exists()
    assert {request.service for request in stage.repositories.requests} == {"git-upload-pack"}


def test_a_push_takes_the_token(stage: Stage, git: Git, push_branch: Callable[[Stage, str], str]) -> None:
    commit = push_branch(stage, "topic/one")

    refused = git("-C", "checkout-topic-one", "push", "origin", "HEAD:refs/heads/two", check=False)
    wrong = git("-C", "checkout-topic-one", "push", "origin", "HEAD:refs/heads/two", token="wrong", check=False)

    assert git("ls-remote", stage.repository_url, "refs/heads/topic/one").stdout.split()[0] == commit
    assert "could not read Username" in refused.stderr
    assert "Authentication failed" in wrong.stderr or "could not read Username" in wrong.stderr
    assert "refs/heads/two" not in git("ls-remote", stage.repository_url).stdout


def test_a_large_push_arrives_in_chunks_and_a_fetch_brings_it_back(stage: Stage, git: Git, tmp_path: Path) -> None:
    content = os.urandom(3_000_000)
    git("clone", "--quiet", stage.repository_url, "sender")
    (tmp_path / "sender" / "large").write_bytes(content)
    git("-C", "sender", "add", "large")
    git("-C", "sender", "commit", "--quiet", "-m", "Large")
    git("-C", "sender", "push", "--quiet", "origin", "HEAD:large", token=stage.github_token)

    git("clone", "--quiet", "--branch", "large", stage.repository_url, "receiver")

    assert (tmp_path / "receiver" / "large").read_bytes() == content


def test_a_compressed_request_is_understood(stage: Stage) -> None:
    lines = [b"command=ls-refs\n", b"0001", b"0000"]
    body = b"".join(line if line in (b"0001", b"0000") else b"%04x%s" % (len(line) + 4, line) for line in lines)
    headers = {
        "content-type": "application/x-git-upload-pack-request",
        "content-encoding": "gzip",
        "git-protocol": "version=2",
    }

    response = httpx.post(f"{stage.repository_url}/git-upload-pack", content=gzip.compress(body), headers=headers)

    assert response.status_code == 200
    assert b"refs/heads/main" in response.content


def test_a_private_repository_is_shown_to_the_token_alone(stage: Stage, git: Git) -> None:
    url = stage.add_repository("rehearsal", "secret", {"a": "b"}, private=True)

    assert git("ls-remote", url, check=False).returncode != 0
    assert "refs/heads/main" in git("ls-remote", url, token=stage.github_token).stdout


def test_a_repository_has_the_branch_the_files_and_the_modes_it_was_given(
    stage: Stage, git: Git, tmp_path: Path
) -> None:
    files: dict[str, str | bytes] = {"run": "#!/bin/sh\n", 'naïve "name".txt': "ü", "deep/er/raw": b"\x00\xff"}

    git("clone", "--quiet", stage.add_repository("someone", "things", files, "trunk"), "things")

    assert git("-C", "things", "symbolic-ref", "--short", "HEAD").stdout.strip() == "trunk"
    assert (tmp_path / "things" / "deep" / "er" / "raw").read_bytes() == b"\x00\xff"
    assert (tmp_path / "things" / 'naïve "name".txt').read_text() == "ü"
    assert (tmp_path / "things" / "run").stat().st_mode & 0o111


def test_an_empty_repository_has_a_default_branch_and_no_commit(stage: Stage, git: Git) -> None:
    url = stage.add_repository("someone", "empty", {}, "trunk")

    git("clone", "--quiet", url, "empty")

    assert git("ls-remote", url).stdout == ""
    assert git("-C", "empty", "symbolic-ref", "--short", "HEAD").stdout.strip() == "trunk"


def test_a_repository_that_exists_is_left_as_it_is(stage: Stage, git: Git) -> None:
    before = git("ls-remote", stage.repository_url).stdout

    assert stage.add_repository("Rehearsal", "Greeter", {"other": "files"}).startswith(stage.base_url)

    assert git("ls-remote", stage.repository_url).stdout == before


@pytest.mark.parametrize(("owner", "name"), [("..", "a"), ("a", "../b"), ("a", "b.git"), ("a", ""), ("a", "b/c")])
def test_a_name_that_could_leave_the_directory_is_refused(stage: Stage, owner: str, name: str) -> None:
    with pytest.raises(ValueError, match="not the name of a repository"):
        stage.add_repository(owner, name, {"a": "b"})


def test_pushes_are_rejected_by_a_real_hook_until_they_are_accepted_again(
    stage: Stage, git: Git, push_branch: Callable[[Stage, str], str]
) -> None:
    push_branch(stage, "before")
    stage.repositories.reject_pushes("rehearsal", "greeter", "No $(pushes) today, 'please'.")
    push = ("-C", "checkout-before", "push", "origin", "HEAD:refs/heads/after")

    rejected = git(*push, token=stage.github_token, check=False)
    stage.repositories.accept_pushes("rehearsal", "greeter")

    assert "remote: No $(pushes) today, 'please'." in rejected.stderr
    assert "pre-receive hook declined" in rejected.stderr
    assert git(*push, token=stage.github_token).returncode == 0


def test_a_renamed_repository_is_found_at_its_old_address(stage: Stage, git: Git) -> None:
    stage.repositories.rename("rehearsal", "greeter", "welcomer")

    git("clone", "--quiet", stage.repository_url, "moved")

    assert stage.repositories.find("rehearsal", "greeter") is None
    assert (stage.repositories.moved_to("rehearsal", "greeter") or pytest.fail("not moved")).name == "welcomer"


def test_a_repository_that_vanished_is_not_found(stage: Stage, git: Git) -> None:
    stage.repositories.vanish("rehearsal", "greeter")

    stranger = git("ls-remote", stage.repository_url, check=False)
    friend = git("ls-remote", stage.repository_url, token=stage.github_token, check=False)

    assert "could not read Username" in stranger.stderr
    assert "not found" in friend.stderr
    with pytest.raises(LookupError):
        stage.repositories.vanish("rehearsal", "greeter")


def test_the_dumb_protocol_and_other_files_are_not_served(stage: Stage) -> None:
    assert httpx.get(f"{stage.repository_url}/info/refs").status_code == 403
    assert httpx.get(f"{stage.repository_url}/HEAD").status_code == 404
    assert httpx.get(f"{stage.base_url}/rehearsal/../rehearsal/greeter.git/config").status_code == 404


def test_repositories_are_found_again_by_the_next_server(tmp_path: Path) -> None:
    GitServer(tmp_path / "repositories", token="t").create("someone", "things", {"a": "b"}, default_branch="trunk")

    found = GitServer(tmp_path / "repositories", token="t").find("Someone", "Things")

    assert found is not None
    assert (found.full_name, found.default_branch) == ("someone/things", "trunk")
