"""Where there is no browser, it is said what to do; in CI nothing is left out."""

from pathlib import Path

import pytest

from . import chromium


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A machine whose PATH is one empty folder, outside of CI."""
    for name in (chromium.CHOICE, "AWO_REQUIRE_CHROMIUM", "CI"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    return tmp_path


def test_without_a_browser_it_says_what_to_install() -> None:
    with pytest.raises(chromium.ChromiumMissing, match="apt-get install chromium"):
        chromium.chromium()


def test_a_browser_of_ones_own_choice_is_taken_and_a_wrong_choice_is_said(
    bare: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(chromium.CHOICE, str(bare / "browser"))
    with pytest.raises(chromium.ChromiumMissing, match="correct or unset it"):
        chromium.chromium()
    (bare / "browser").touch(mode=0o755)
    assert chromium.chromium() == str(bare / "browser")


def test_in_ci_the_tests_in_a_browser_are_not_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not chromium.must_be_there()
    for name in ("CI", "AWO_REQUIRE_CHROMIUM"):
        with monkeypatch.context() as there:
            there.setenv(name, "true")
            assert chromium.must_be_there()
