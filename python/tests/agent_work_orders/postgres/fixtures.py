"""Projects for tests: one for each Postgres and each worker of the test run, and nothing of an earlier test in it."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from .binaries import BinariesMissing, must_be_there
from .project import Project, running_project

NEWEST, OLDEST = 18, 16

# Everything of ours but the schema itself.
EMPTY = """
truncate agent_work_orders, agent_work_order_repositories, agent_work_order_steps, agent_work_order_events,
  agent_work_order_artifacts, agent_work_order_settings_audit, agent_work_order_imports,
  agent_work_order_approvals, agent_work_order_messages;
update agent_work_order_change_head set rev = 0;
"""


@contextmanager
def project_or_reason(version: int) -> Iterator[Project]:
    """A migrated project. Without the programs: skipped and said so, in CI a failure."""
    try:
        with running_project(version) as project:
            project.migrate()
            yield project
    except BinariesMissing as missing:
        if must_be_there():
            pytest.fail(f"NOTHING OF POSTGRES IS TESTED: {missing}", pytrace=False)
        pytest.skip(f"NOTHING OF POSTGRES IS TESTED: {missing}")


@pytest.fixture(scope="session")
def newest_project() -> Iterator[Project]:
    with project_or_reason(NEWEST) as project:
        yield project


@pytest.fixture(scope="session")
def oldest_project() -> Iterator[Project]:
    with project_or_reason(OLDEST) as project:
        yield project


@pytest.fixture
def project(newest_project: Project) -> Project:
    """A migrated project without orders; PostgREST and the network as they should be."""
    newest_project.gateway.fault = lambda function: None
    newest_project.run(EMPTY)
    return newest_project
