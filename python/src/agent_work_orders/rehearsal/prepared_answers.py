"""Answers that a test puts in place of the real ones, a given number of times. Knows no meaning of any of them."""

import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from starlette.responses import JSONResponse, Response


@dataclass
class _Prepared:
    method: str
    path: re.Pattern[str]
    status: int
    body: Mapping[str, Any]
    headers: Mapping[str, str]
    times: int


class PreparedAnswers:
    """Used up in the order in which they were added; added from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._prepared: list[_Prepared] = []

    def add(
        self,
        method: str,
        path: str,
        status: int,
        *,
        body: Mapping[str, Any],
        headers: Mapping[str, str],
        times: int,
    ) -> None:
        """For requests with `method` whose whole path matches the expression `path`."""
        with self._lock:
            self._prepared.append(_Prepared(method.upper(), re.compile(path), status, body, headers, times))

    def take(self, method: str, path: str) -> Response | None:
        """The answer prepared for this request, if there is one left."""
        with self._lock:
            for prepared in self._prepared:
                if prepared.times > 0 and prepared.method == method and prepared.path.fullmatch(path):
                    prepared.times -= 1
                    return JSONResponse(prepared.body, status_code=prepared.status, headers=prepared.headers)
        return None
