"""The example environment and the reference page are what the catalogue says, word for word."""

import re
from pathlib import Path

import pytest

from src.agent_work_orders.desk.document import MADE_BY, NEIGHBOURS, documents, main
from src.agent_work_orders.settings import catalogue, load_settings

ROOT = Path(__file__).parents[4]


@pytest.mark.parametrize("path", documents())
def test_a_document_is_what_the_catalogue_says(path: str) -> None:
    assert (ROOT / path).read_text(encoding="utf-8") == documents()[path], f"run `{MADE_BY}` in python/"


def test_the_program_writes_both(tmp_path: Path) -> None:
    assert main(tmp_path) == 0
    assert {path: (tmp_path / path).read_text(encoding="utf-8") for path in documents()} == documents()


def test_every_variable_is_in_both_once() -> None:
    names = [knob.env for knob in catalogue().values()] + [one.env for one in NEIGHBOURS]
    assert len(names) == len(set(names))
    example, page = documents()[".env.example"], documents()["docs/reference/settings.md"]
    assert re.findall(r"^# ([A-Z0-9_]+)=", example, re.MULTILINE) == [one.env for one in NEIGHBOURS] + [
        knob.env for knob in catalogue().values()
    ]
    assert all(f"`{name}`" in page for name in names)


def test_the_example_gives_the_defaults() -> None:
    given = dict(re.findall(r"^# ([A-Z0-9_]+)=(.*)$", documents()[".env.example"], re.MULTILINE))
    assert load_settings({name: value for name, value in given.items() if value}) == load_settings({})


def test_the_example_holds_no_secret() -> None:
    given = dict(re.findall(r"^# ([A-Z0-9_]+)=(.*)$", documents()[".env.example"], re.MULTILINE))
    secret = [one.env for one in NEIGHBOURS if one.secret] + [k.env for k in catalogue().values() if k.secret]
    assert all(given[name] == "" for name in secret)
