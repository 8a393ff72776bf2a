"""The documents' pictures: each is one that `make screenshots` takes, each is shown somewhere, and all are small."""

import re
from pathlib import Path

from screenshots.states import of_a_busy_server, of_a_locked_server, of_an_empty_server
from screenshots.story import Told

ROOT = Path(__file__).parents[3]
IMAGES = ROOT / "docs" / "images"
MOST_BYTES = 2_000_000
NAMES = ("greeter", "billing-api", "storefront")


def states() -> list[str]:
    """The pictures that are kept, by their names."""
    told = Told(
        "wo-1", "wo-2", "wo-3", "wo-4", "wo-5", "wo-6", "wo-7", "wo-8", dict.fromkeys(NAMES, "https://host/a/b")
    )
    every = [*of_an_empty_server(), *of_a_locked_server(), *of_a_busy_server(told)]
    names = [state.name for state in every]
    assert len(names) == len(set(names))
    return [f"{state.name}-{variant}.webp" for state in every for variant in state.kept]


def shown() -> set[str]:
    """The pictures that a document shows; each has to be there and to say in words what is on it."""
    found = set()
    for document in (ROOT / "README.md", *(ROOT / "docs").rglob("*.md")):
        text = document.read_text(encoding="utf-8")
        assert "![](" not in text, document
        for path in re.findall(r'!\[[^\]]+\]\(([^)]+)\)|(?:src|srcset)="([^"]+)"', text):
            picture = (document.parent / "".join(path)).resolve()
            assert picture.is_file(), f"{document.name} shows {picture}, which is not there"
            found.add(picture.name)
    return found


def test_the_documents_show_what_is_kept_and_nothing_else() -> None:
    kept = set(states())
    assert shown() == kept
    assert {path.name for path in IMAGES.glob("*.webp")} == kept


def test_all_pictures_together_are_small() -> None:
    assert sum(path.stat().st_size for path in IMAGES.glob("*.webp")) < MOST_BYTES
