from typing import Any

import pytest

from src.agent_work_orders.domain.checkout_options import checked, file_problem, options_problems, variable_problem
from src.agent_work_orders.domain.errors import FailureClass, StepFailed
from src.agent_work_orders.domain.repository import RepositoryOptions


@pytest.mark.parametrize("name", ["STAGE", "npm_config_registry", "_X", "DATABASE_URL", "TZ", "CI", "PIP_INDEX_URL"])
def test_ordinary_variables_are_taken(name: str) -> None:
    assert variable_problem(name, "value") is None


@pytest.mark.parametrize(
    "name",
    [
        "PATH", "path", "HOME", "LD_PRELOAD", "ld_library_path", "GIT_DIR", "GIT_SSH_COMMAND", "ANTHROPIC_API_KEY",
        "CLAUDE_CODE_OAUTH_TOKEN", "GITHUB_TOKEN", "GH_TOKEN", "AWO_RUN_ID", "SUPABASE_SERVICE_KEY", "BASH_ENV",
        "NODE_OPTIONS", "PYTHONPATH", "BASH_FUNC_ls%%", "A B", "1A", "", "A=B", "É",
    ],
)  # fmt: skip
def test_names_of_the_servers_secrets_and_of_what_decides_which_programs_run_are_refused(name: str) -> None:
    assert variable_problem(name, "value") is not None


@pytest.mark.parametrize("value", ["a\0b", "x" * 40_000])
def test_values_that_no_process_takes_are_refused_and_not_repeated(value: str) -> None:
    problem = variable_problem("A", value)
    assert problem is not None
    assert value not in problem


@pytest.mark.parametrize("path", [".env", "config/local.yml", "a b/c", "deep/er/file"])
def test_plain_paths_are_taken(path: str) -> None:
    assert file_problem(path, "text") is None


@pytest.mark.parametrize(
    "path",
    [
        "", "/etc/passwd", "../x", "a/../../x", "a/./b", "./a", "a//b", "a/", ".git/config", "a/.GIT/hooks/x",
        ".claude/settings.json", "a\\b", "a\nb", "a\0b", "x" * 401, ".",
    ],
)  # fmt: skip
def test_paths_that_lead_elsewhere_are_refused(path: str) -> None:
    assert file_problem(path, "text") is not None


def test_files_have_a_size() -> None:
    assert file_problem("a", "x" * 300_000) is not None


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"environment": {"PATH": "/x"}}, "environment.PATH"),
        ({"files": {"../x": ""}}, "files.../x"),
        ({"setup_inputs": ("/etc/passwd",)}, "setup_inputs./etc/passwd"),
    ],
    ids=["environment", "files", "inputs"],
)
def test_every_problem_names_its_field_and_the_next_action(options: dict[str, Any], field: str) -> None:
    said = RepositoryOptions(**options)
    assert [problem.field for problem in options_problems(said)] == [field]
    with pytest.raises(StepFailed) as caught:
        checked(said)
    assert caught.value.failure_class is FailureClass.POLICY
    assert "settings of this repository" in caught.value.next_action


def test_what_is_well_is_given_back() -> None:
    said = RepositoryOptions(environment={"A": "b"}, files={".env": "A=b"}, setup_inputs=("package.json",))
    assert checked(said) is said
