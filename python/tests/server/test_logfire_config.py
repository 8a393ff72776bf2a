"""Logging with and without Logfire; the real library, sending nowhere."""

import logging
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from src.server.config import logfire_config


class Refusing:
    """A span that takes nothing."""

    def set_attribute(self, key: str, value: Any) -> None:
        raise TypeError("no")

    def record_exception(self, exception: BaseException) -> None:
        raise TypeError("no")


@pytest.fixture(autouse=True)
def as_it_was(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Every test sets logging up anew; afterwards the root logger is pytest's again."""
    for name, value in {"_logfire_configured": False, "_logfire_enabled": False, "logfire": None}.items():
        monkeypatch.setattr(logfire_config, name, value)
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    # basicConfig(force=True) closes what it removes, and pytest still needs its own.
    root.handlers = []
    yield
    root.handlers, root.level = handlers, level


def test_without_logfire_logs_go_to_the_console_in_archons_format(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LOG_LEVEL", "warning")
    logfire_config.setup_logfire()
    logfire_config.get_logger("some.module").info("quiet")
    logfire_config.safe_logfire_warning("Disk is small", free=3, path="/x")
    logfire_config.safe_logfire_info("quiet")
    logfire_config.safe_logfire_debug("quiet")
    logfire_config.safe_logfire_error("100 % broken")
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(" | ", 1)[1] for line in lines] == [
        "api | WARNING | Disk is small | free=3 | path=/x",
        "api | ERROR | 100 % broken",
    ]
    assert not logfire_config.is_logfire_enabled()
    assert logging.getLogger("httpx").level == logging.WARNING


def test_it_is_set_up_once(capsys: pytest.CaptureFixture[str]) -> None:
    logfire_config.setup_logfire()
    [handler] = logging.getLogger().handlers
    logfire_config.setup_logfire()
    assert logging.getLogger().handlers == [handler]


@pytest.mark.parametrize("missing", ["token", "package"])
def test_logfire_that_is_wanted_and_not_there_is_said_once_and_breaks_nothing(
    missing: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LOGFIRE_ENABLED", "true")
    if missing == "package":
        monkeypatch.setenv("LOGFIRE_TOKEN", "token-of-a-test")
        monkeypatch.setattr(logfire_config, "LOGFIRE_AVAILABLE", False)
    logfire_config.setup_logfire()
    said = capsys.readouterr().err
    assert said.count("Logfire is enabled but") == 1
    assert "token-of-a-test" not in said
    with logfire_config.safe_span("work", step=1) as span:
        logfire_config.safe_set_attribute(span, "key", "value")
        logfire_config.safe_record_exception(span, ValueError("x"))


def test_an_exception_leaves_a_span_unchanged_without_logfire() -> None:
    with pytest.raises(KeyError, match="original"), logfire_config.safe_span("work"):
        raise KeyError("original")


def test_an_exception_leaves_a_span_unchanged_with_logfire() -> None:
    """In a process of its own: logfire keeps global state and warns by itself."""
    pytest.importorskip("logfire")
    program = """
import logfire
from src.server.config import logfire_config as config
logfire.configure(send_to_logfire=False, console=False)
config.logfire, config._logfire_enabled = logfire, True
try:
    with config.safe_span("work", step=1) as span:
        config.safe_set_attribute(span, "key", "value")
        raise KeyError("original")
except KeyError as error:
    print("left as", repr(error))
"""
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert ran.stdout == "left as KeyError('original')\n", ran.stderr


def test_a_span_that_refuses_a_value_ends_nothing() -> None:
    logfire_config.safe_set_attribute(Refusing(), "key", "value")
    logfire_config.safe_record_exception(Refusing(), ValueError("x"))


@pytest.mark.parametrize(
    ("path", "kept"),
    [
        ("/health", False),
        ("/api/health", False),
        ("/api/awo/health/?x=1", False),
        ("/api/awo/metrics", False),
        ("/api/credentials", True),
        ("/healthy", True),
    ],
)
def test_probes_are_dropped_from_the_access_log(path: str, kept: bool) -> None:
    arguments = ("127.0.0.1:5", "GET", path, "1.1", 200)
    record = logging.LogRecord("uvicorn.access", logging.INFO, "", 0, '%s - "%s %s HTTP/%s" %d', arguments, None)
    assert logfire_config.QuietProbes().filter(record) is kept


def test_other_records_pass_the_filter() -> None:
    record = logging.LogRecord("uvicorn.access", logging.INFO, "", 0, "words", None, None)
    assert logfire_config.QuietProbes().filter(record) is True
