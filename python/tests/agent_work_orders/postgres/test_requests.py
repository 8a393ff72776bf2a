"""A whole work order asks little of the shared database, however much its agent says."""

from pathlib import Path

import pytest

from bench import requests

from .project import Project


@pytest.mark.timeout(120)  # a server of its own, a stage, and an agent that talks for six seconds
def test_an_order_of_six_steps_and_500_events_takes_at_most_40_requests(project: Project, tmp_path: Path) -> None:
    asked = requests.asked_for_an_order(project, tmp_path)
    assert asked.events >= requests.EVENTS
    assert asked.requests.total() <= requests.TARGET, asked.requests
