"""Logging for the whole server, with Logfire behind it when it is installed, enabled and has a token.

The names are Archon's. Logfire is imported by `setup_logfire` alone: it is slow, and most servers do not use it.
"""

import importlib.util
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from .config import is_true

LOGFIRE_AVAILABLE = importlib.util.find_spec("logfire") is not None
# The module itself once it is configured, None before that and without it.
logfire: Any = None

_logfire_configured = False
_logfire_enabled = False

_FORMAT = "%(asctime)s | %(name)s | %(levelname)s | %(message)s"
_DATE_FORMAT = "%Y-%m-%d %H:%M:%S"
_CHATTY_LIBRARIES = ("hpack", "httpcore", "httpx")


def setup_logfire(
    token: str | None = None, environment: str = "development", service_name: str = "archon-server"
) -> None:
    """Configure the root logger, once per process; later calls change nothing.

    Logfire takes part if LOGFIRE_ENABLED says so, a token is given (or LOGFIRE_TOKEN is set) and it is installed.
    Replaces the root logger's handlers. LOG_LEVEL sets the level (INFO).
    """
    global _logfire_configured, _logfire_enabled
    if _logfire_configured:
        return
    _logfire_configured = True

    token = token or os.environ.get("LOGFIRE_TOKEN", "").strip() or None
    wanted = is_true("LOGFIRE_ENABLED")
    handler: logging.Handler = logging.StreamHandler()
    trouble = ""
    if wanted and token and LOGFIRE_AVAILABLE:
        try:
            handler = _start_logfire(token, environment, service_name)
            _logfire_enabled = True
        except Exception as error:  # noqa: BLE001 telemetry is a convenience: whatever it raises, the server starts
            trouble = f"Logfire could not start ({type(error).__name__}); logs go to the console only"
    elif wanted:
        missing = "LOGFIRE_TOKEN" if not token else "the logfire package"
        trouble = f"Logfire is enabled but {missing} is missing; logs go to the console only"

    level = logging.getLevelNamesMapping().get(os.environ.get("LOG_LEVEL", "INFO").strip().upper(), logging.INFO)
    logging.basicConfig(level=level, format=_FORMAT, datefmt=_DATE_FORMAT, handlers=[handler], force=True)
    for name in _CHATTY_LIBRARIES:
        logging.getLogger(name).setLevel(logging.WARNING)
    if trouble:
        logging.getLogger(__name__).warning(trouble)


def _start_logfire(token: str, environment: str, service_name: str) -> logging.Handler:
    global logfire
    import logfire as module

    module.configure(
        token=token, environment=environment, service_name=service_name, send_to_logfire=True, console=False
    )
    logfire = module
    handler: logging.Handler = module.LogfireLoggingHandler()
    return handler


def is_logfire_enabled() -> bool:
    """Whether spans and logs go to Logfire right now."""
    return _logfire_enabled


def get_logger(name: str) -> logging.Logger:
    """A plain standard-library logger."""
    return logging.getLogger(name)


class NoOpSpan:
    """What `safe_span` gives when there is no Logfire: takes everything, keeps nothing."""

    def set_attribute(self, key: str, value: Any) -> None: ...

    def record_exception(self, exception: BaseException) -> None: ...


@contextmanager
def safe_span(name: str, **attributes: Any) -> Iterator[Any]:
    """A Logfire span, or a span that does nothing. An exception of the block always leaves unchanged."""
    if not _logfire_enabled:
        yield NoOpSpan()
        return
    with logfire.span(name, **attributes) as span:
        yield span


def safe_set_attribute(span: Any, key: str, value: Any) -> None:
    """Set an attribute if the span can take one."""
    try:
        span.set_attribute(key, value)
    except Exception:  # noqa: BLE001 a span that refuses a value must not end the work that it describes
        logging.getLogger(__name__).debug("Span attribute not set | key=%s", key)


def safe_record_exception(span: Any, exception: BaseException) -> None:
    """Attach an exception if the span can take one."""
    try:
        span.record_exception(exception)
    except Exception:  # noqa: BLE001 the same: telemetry never replaces the error that it reports
        logging.getLogger(__name__).debug("Exception not recorded on its span")


def safe_logfire_info(message: str, **attributes: Any) -> None:
    """Log at INFO, attributes as `| key=value`."""
    _log(logging.INFO, message, attributes)


def safe_logfire_error(message: str, **attributes: Any) -> None:
    """Log at ERROR, attributes as `| key=value`."""
    _log(logging.ERROR, message, attributes)


def safe_logfire_warning(message: str, **attributes: Any) -> None:
    """Log at WARNING, attributes as `| key=value`."""
    _log(logging.WARNING, message, attributes)


def safe_logfire_debug(message: str, **attributes: Any) -> None:
    """Log at DEBUG, attributes as `| key=value`."""
    _log(logging.DEBUG, message, attributes)


def _log(level: int, message: str, attributes: dict[str, Any]) -> None:
    """One road for both: with Logfire running, its handler sits on the root logger."""
    api_logger.log(level, "%s", " | ".join([message, *(f"{key}={value}" for key, value in attributes.items())]))


class QuietProbes(logging.Filter):
    """Drops uvicorn's access lines for health checks and metrics: they come every few seconds and say nothing."""

    def filter(self, record: logging.LogRecord) -> bool:
        # uvicorn's arguments: client address, method, path with query, HTTP version, status
        arguments = record.args
        if not isinstance(arguments, tuple) or len(arguments) < 3:
            return True
        path = str(arguments[2]).partition("?")[0].rstrip("/")
        return not path.endswith(("/health", "/metrics"))


api_logger = get_logger("api")
mcp_logger = get_logger("mcp")
rag_logger = get_logger("rag")
search_logger = get_logger("search")
crawl_logger = get_logger("crawl")
project_logger = get_logger("project")
storage_logger = get_logger("storage")
embedding_logger = get_logger("embedding")
