"""As much of PostgREST as the host speaks, over real HTTP: select, upsert, compare-and-set, delete, and failing."""

import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any
from urllib.parse import parse_qsl, urlsplit

Row = dict[str, Any]


class PretendDatabase:
    """Tables as lists of rows. `fail_with` makes every answer an error; `before_update` runs ahead of each PATCH."""

    def __init__(self) -> None:
        self.tables: dict[str, list[Row]] = {"archon_settings": [], "archon_migrations": []}
        self.urls: list[str] = []
        self.fail_with: tuple[int, dict[str, str]] | None = None
        self.before_update: Callable[[], None] = lambda: None
        self.hold: threading.Event | None = None
        self.held = threading.Event()
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.database = self
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    @property
    def settings(self) -> dict[str, Row]:
        """`archon_settings` by key."""
        return {row["key"]: row for row in self.tables["archon_settings"]}

    def put(self, key: str, **columns: Any) -> None:
        """Write a row behind the server's back, as another server would."""
        self.tables["archon_settings"] = [row for row in self.tables["archon_settings"] if row["key"] != key]
        empty = {"value": None, "encrypted_value": None, "is_encrypted": False, "category": None, "description": None}
        self.tables["archon_settings"].append({"key": key, **empty, **columns})

    def refuse(self, status: int = 500, code: str = "XX000") -> None:
        """Answer everything with an error, whose details quote what was sent, as Postgres does."""
        self.fail_with = (status, {"code": code, "message": "refused", "details": "Failing row contains (...)"})

    def __enter__(self) -> "PretendDatabase":
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """No longer there: connections are refused."""
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    database: PretendDatabase


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_GET(self) -> None:
        self._answer(lambda table, filters: [row for row in table if _matches(row, filters)])

    def do_POST(self) -> None:
        sent = self._body()

        def upsert(table: list[Row], filters: Row) -> list[Row]:
            for row in sent if isinstance(sent, list) else [sent]:
                existing = next((old for old in table if old["key"] == row["key"]), None)
                if existing is None:
                    table.append(dict(row))
                else:
                    existing.update(row)
            return []

        self._answer(upsert)

    def do_PATCH(self) -> None:
        sent = self._body()
        self.server.database.before_update()

        def update(table: list[Row], filters: Row) -> list[Row]:
            found = [row for row in table if _matches(row, filters)]
            for row in found:
                row.update(sent)
            return found

        self._answer(update)

    def do_DELETE(self) -> None:
        def delete(table: list[Row], filters: Row) -> list[Row]:
            table[:] = [row for row in table if not _matches(row, filters)]
            return []

        self._answer(delete)

    def _answer(self, act: Callable[[list[Row], Row], list[Row]]) -> None:
        database = self.server.database
        parts = urlsplit(self.path)
        database.urls.append(self.path)
        if database.hold is not None:
            database.held.set()
            database.hold.wait(10)
        table = database.tables.get(parts.path.removeprefix("/rest/v1/"))
        if database.fail_with is not None:
            self._send(*database.fail_with)
        elif table is None:
            self._send(404, {"code": "PGRST205", "message": "Could not find the table", "details": "", "hint": ""})
        else:
            self._send(200, act(table, _filters(parts.query)))

    def _body(self) -> Any:
        return json.loads(self.rfile.read(int(self.headers["content-length"])))

    def _send(self, status: int, body: Any) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *arguments: Any) -> None:
        """Silent."""


def _filters(query: str) -> Row:
    return {name: value for name, value in parse_qsl(query) if value.startswith(("eq.", "like."))}


def _matches(row: Row, filters: Row) -> bool:
    return all(_passes(row.get(name), *wanted.split(".", 1)) for name, wanted in filters.items())


def _passes(value: object, operator: str, operand: str) -> bool:
    if operator == "eq":
        return str(value) == operand
    return value is not None and str(value).startswith(operand.rstrip("%*"))
