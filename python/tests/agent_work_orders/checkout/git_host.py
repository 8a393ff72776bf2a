"""A git host for these tests: bare repositories over real HTTP by git's own http-backend, with faults on demand."""

import base64
import os
import subprocess
import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from src.agent_work_orders.domain.repository import Repository

IDENTITY = {
    f"GIT_{who}_{what}": value
    for who in ("AUTHOR", "COMMITTER")
    for what, value in (("NAME", "Somebody"), ("EMAIL", "somebody@example.org"))
}
CLEAN = {
    "PATH": os.environ["PATH"],
    "HOME": "/nonexistent",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_CONFIG_NOSYSTEM": "1",
}


def git(directory: Path, *arguments: str, env: Mapping[str, str] | None = None, stdin: bytes = b"") -> str:
    """git as a person or an agent runs it: in a directory, with that directory's configuration."""
    command = ["git", "-c", "safe.directory=*", "-C", str(directory), *arguments]
    done = subprocess.run(command, input=stdin, capture_output=True, check=False, env={**CLEAN, **(env or {})})
    assert done.returncode == 0, (arguments, done.stdout, done.stderr)
    return done.stdout.decode("utf-8", "surrogateescape").strip()


class GitHost:
    """Serves what `create` made. `token` is asked for, `status` answers everything, `gate` holds fetches back."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.token: str | None = None
        self.status: int | None = None
        self.location: str | None = None
        self.gate = threading.Event()
        self.gate.set()
        self.asked = threading.Event()  # a fetch or a clone has arrived
        self.requests: list[str] = []
        self.users: list[str] = []
        self.fetches = 0
        host = self

        class Handler(_Handler):
            server_host = host

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()

    def close(self) -> None:
        self.gate.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def name(self) -> str:
        return f"127.0.0.1:{self._server.server_address[1]}"

    def repository(self, name: str = "sample") -> Repository:
        return Repository(url=f"http://{self.name}/team/{name}", host=self.name, owner="team", name=name)

    def bare(self, name: str = "sample") -> Path:
        return self.directory / "team" / f"{name}.git"

    def create(self, name: str = "sample", files: Mapping[str, str | bytes] | None = None, branch: str = "main") -> str:
        """A repository with one commit of `files`; empty when there are none. The commit's id."""
        bare = self.bare(name)
        bare.mkdir(parents=True)
        git(bare, "init", "--quiet", "--bare", f"--initial-branch={branch}", ".")
        return self.commit(name, files, branch) if files else ""

    def commit(self, name: str, files: Mapping[str, str | bytes], branch: str = "main") -> str:
        """One more commit on a branch, with `files` written over what was there."""
        work = self.directory / "work"
        subprocess.run(["rm", "-rf", str(work)], check=True)
        work.mkdir()
        git(work, "init", "--quiet", f"--initial-branch={branch}", ".")
        if git(self.bare(name), "for-each-ref", f"refs/heads/{branch}"):
            git(work, "pull", "--quiet", str(self.bare(name)), branch)
        for path, content in files.items():
            (work / path).parent.mkdir(parents=True, exist_ok=True)
            (work / path).write_bytes(content.encode() if isinstance(content, str) else content)
        git(work, "add", "--all", "--force")
        git(work, "commit", "--quiet", "--message", f"Change {', '.join(files)}"[:60], env=IDENTITY)
        git(work, "push", "--quiet", "--force", str(self.bare(name)), f"HEAD:refs/heads/{branch}")
        return git(work, "rev-parse", "HEAD")

    def tip(self, branch: str, name: str = "sample") -> str:
        return git(self.bare(name), "rev-parse", f"refs/heads/{branch}")

    def answer(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> tuple[int, list[Any], bytes]:
        path, _, query = target.partition("?")
        self.requests.append(f"{method} {target}")
        if self.status:
            return self.status, [("Location", self.location)] if self.location else [], b"no\n"
        if self.token and not self._knows(headers.get("Authorization", "")):
            return 401, [("WWW-Authenticate", 'Basic realm="test"')], b"who are you?\n"
        if path.endswith("git-upload-pack") and b"command=fetch" in body:
            self.fetches += 1
            self.asked.set()
            self.gate.wait(60)
        where = path.replace("/info/refs", ".git/info/refs").replace("/git-", ".git/git-")
        environment = {
            **CLEAN, "GIT_PROJECT_ROOT": str(self.directory), "GIT_HTTP_EXPORT_ALL": "1", "PATH_INFO": where,
            "REQUEST_METHOD": method, "QUERY_STRING": query, "REMOTE_USER": "test", "REMOTE_ADDR": "127.0.0.1",
            "CONTENT_TYPE": headers.get("Content-Type", ""), "CONTENT_LENGTH": str(len(body)),
            "HTTP_CONTENT_ENCODING": headers.get("Content-Encoding", ""),
            "GIT_PROTOCOL": headers.get("Git-Protocol", ""),
            "GIT_CONFIG_COUNT": "2", "GIT_CONFIG_KEY_0": "http.receivepack", "GIT_CONFIG_VALUE_0": "true",
            "GIT_CONFIG_KEY_1": "safe.directory", "GIT_CONFIG_VALUE_1": "*",
        }  # fmt: skip
        done = subprocess.run(["git", "http-backend"], input=body, capture_output=True, env=environment, check=False)
        head, _, content = done.stdout.partition(b"\r\n\r\n")
        pairs = [tuple(line.decode().split(": ", 1)) for line in head.split(b"\r\n")]
        status = next((int(value.split()[0]) for key, value in pairs if key == "Status"), 200)
        return status, [pair for pair in pairs if pair[0] != "Status"], content

    def _knows(self, authorization: str) -> bool:
        user, _, password = base64.b64decode(authorization.removeprefix("Basic ") or b"").decode().partition(":")
        self.users.append(user)
        return password == self.token


class _Handler(BaseHTTPRequestHandler):
    server_host: GitHost
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        body = self._chunks() if self.headers.get("Transfer-Encoding") == "chunked" else self.rfile.read(length)
        status, headers, content = self.server_host.answer(self.command, self.path, self.headers, body)  # type: ignore[arg-type]  # Message reads like a Mapping
        try:
            self.send_response(status)
            for key, value in headers:
                self.send_header(key, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    do_POST = do_GET  # noqa: N815 - the name that http.server calls

    def _chunks(self) -> bytes:
        body = b""
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def log_message(self, format: str, *args: Any) -> None:
        """Says nothing: `requests` has them all."""
