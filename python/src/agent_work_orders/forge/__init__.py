"""Where pull requests live: GitHub.com and GitHub Enterprise."""

from .github import GitHubForge, RepositoryInfo

__all__ = ["GitHubForge", "RepositoryInfo"]
