"""GitHub's JSON, pure: the fields that clients read, named and nested as in its REST documentation. Knows no routes."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from .git_server import Repository
from .github_book import Issue, PullRequest

Json = dict[str, Any]
DOCUMENTATION = "https://docs.github.com/rest"
LIMIT = 5000


@dataclass(frozen=True)
class Addresses:
    """`people` is where pages are, `api` where this API is; neither ends with a slash."""

    people: str
    api: str


@dataclass(frozen=True)
class Size:
    """How much a pull request changes."""

    commits: int
    additions: int
    deletions: int
    changed_files: int


class Refused(Exception):
    """An error status with GitHub's body: one sentence, and one entry for each thing that is wrong with the request."""

    def __init__(self, status: int, message: str, errors: Sequence[Json] = ()) -> None:
        super().__init__(message)
        self.status = status
        self.body: Json = {"message": message, "documentation_url": DOCUMENTATION, "status": str(status)}
        if errors:
            self.body["errors"] = list(errors)


def invalid(resource: str, field: str, code: str = "invalid") -> Refused:
    """422 about one field."""
    return Refused(422, "Validation Failed", [{"resource": resource, "field": field, "code": code}])


def invalid_because(resource: str, message: str) -> Refused:
    """422 that no single field is to blame for."""
    return Refused(422, "Validation Failed", [{"resource": resource, "code": "custom", "message": message}])


def user(login: str, at: Addresses) -> Json:
    return {
        "login": login,
        "id": sum(login.encode()),
        "type": "User",
        "url": f"{at.api}/users/{login}",
        "html_url": f"{at.people}/{login}",
        "site_admin": False,
    }


def repository(one: Repository, at: Addresses, *, may_push: bool) -> Json:
    permissions = {"admin": False, "maintain": False, "push": may_push, "triage": may_push, "pull": True}
    return {
        "id": one.identifier,
        "name": one.name,
        "full_name": one.full_name,
        "private": one.private,
        "visibility": "private" if one.private else "public",
        "owner": user(one.owner, at),
        "html_url": f"{at.people}/{one.full_name}",
        "clone_url": f"{at.people}/{one.full_name}.git",
        "url": f"{at.api}/repos/{one.full_name}",
        "default_branch": one.default_branch,
        "description": None,
        "fork": False,
        "archived": False,
        "disabled": False,
        "has_issues": True,
        "allow_auto_merge": False,
        "permissions": permissions,
    }


def issue(one: Issue, home: Repository, at: Addresses) -> Json:
    """A pull request is an issue too, and says so."""
    shape: Json = {
        "id": home.identifier * 1000 + one.number,
        "number": one.number,
        "title": one.title,
        "body": one.body,
        "state": one.state,
        "state_reason": None,
        "user": user(one.author, at),
        "labels": [],
        "assignees": [],
        "comments": 0,
        "locked": False,
        "url": f"{at.api}/repos/{home.full_name}/issues/{one.number}",
        "repository_url": f"{at.api}/repos/{home.full_name}",
        "html_url": f"{at.people}/{home.full_name}/issues/{one.number}",
        "created_at": one.created_at,
        "updated_at": one.updated_at,
        "closed_at": one.updated_at if one.state == "closed" else None,
    }
    if isinstance(one, PullRequest):
        shape["html_url"] = f"{at.people}/{home.full_name}/pull/{one.number}"
        address = f"{at.api}/repos/{home.full_name}/pulls/{one.number}"
        shape["pull_request"] = {"url": address, "html_url": shape["html_url"], "merged_at": None}
    return shape


def pull_request(one: PullRequest, home: Repository, at: Addresses, size: Size | None = None) -> Json:
    """With `size` as a single one is answered, without as in a list."""
    owner, of_home = user(home.owner, at), repository(home, at, may_push=True)
    page = f"{at.people}/{home.full_name}/pull/{one.number}"
    shape: Json = {
        "id": home.identifier * 1000 + one.number,
        "number": one.number,
        "state": one.state,
        "locked": False,
        "title": one.title,
        "body": one.body,
        "draft": one.draft,
        "user": user(one.author, at),
        "url": f"{at.api}/repos/{home.full_name}/pulls/{one.number}",
        "issue_url": f"{at.api}/repos/{home.full_name}/issues/{one.number}",
        "html_url": page,
        "diff_url": f"{page}.diff",
        "head": _side(one.head, one.head_sha, owner, of_home),
        "base": _side(one.base, one.base_sha, owner, of_home),
        "merge_commit_sha": None,
        "merged_at": None,
        "created_at": one.created_at,
        "updated_at": one.updated_at,
        "closed_at": one.updated_at if one.state == "closed" else None,
        "labels": [],
        "assignees": [],
        "requested_reviewers": [],
        "author_association": "COLLABORATOR",
        "auto_merge": None,
    }
    if size is not None:
        shape |= {
            "merged": False,
            "mergeable": True,
            "mergeable_state": "clean",
            "merged_by": None,
            "comments": 0,
            "review_comments": 0,
            "commits": size.commits,
            "additions": size.additions,
            "deletions": size.deletions,
            "changed_files": size.changed_files,
        }
    return shape


def limit_headers(spent: int) -> list[tuple[bytes, bytes]]:
    """What every answer says of the primary rate limit."""
    values = {
        "x-ratelimit-limit": LIMIT,
        "x-ratelimit-remaining": max(0, LIMIT - spent),
        "x-ratelimit-used": spent,
        "x-ratelimit-reset": int(time.time()) + 3600,
        "x-ratelimit-resource": "core",
        "x-github-media-type": "github.v3; format=json",
    }
    return [(name.encode(), str(value).encode()) for name, value in values.items()]


def _side(branch: str, commit: str, owner: Json, home: Json) -> Json:
    return {"label": f"{owner['login']}:{branch}", "ref": branch, "sha": commit, "user": owner, "repo": home}
