"""A repository of the stage as the outside world sees it: its branches by git, its pull requests by the forge."""

import subprocess
from dataclasses import dataclass
from pathlib import Path

from src.agent_work_orders.rehearsal import Stage
from src.agent_work_orders.rehearsal.bare_repository import git_environment
from src.agent_work_orders.rehearsal.github_book import PullRequest


@dataclass(frozen=True)
class Remote:
    """One repository on the remote side."""

    stage: Stage
    owner: str
    name: str
    url: str
    path: Path

    def git(self, *arguments: str) -> str:
        """What git says in the remote's own repository."""
        command = ["git", "--git-dir", str(self.path), *arguments]
        done = subprocess.run(command, env=git_environment(), capture_output=True, text=True, check=True, timeout=30)
        return done.stdout.strip()

    def branches(self) -> list[str]:
        return self.git("for-each-ref", "--format=%(refname:lstrip=2)", "refs/heads/").splitlines()

    def files(self, branch: str) -> list[str]:
        return self.git("ls-tree", "-r", "--name-only", branch).splitlines()

    def read(self, branch: str, path: str) -> str:
        return self.git("show", f"{branch}:{path}")

    def commit(self, branch: str) -> str:
        return self.git("rev-parse", branch)

    def pull_requests(self) -> list[PullRequest]:
        return self.stage.github.pull_requests(self.owner, self.name)

    def api(self, address: str = "") -> str:
        """A path of the forge's API as an expression for prepared answers."""
        return f"/repos/{self.owner}/{self.name}{address}"
