"""A file of an order's folder as a response: never through a link, never out of the folder, and in ranges if asked."""

import os
import re
import stat
from pathlib import Path, PurePosixPath

from anyio import to_thread
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from ..domain.errors import NotFound
from .errors import Refused

CHUNK = 256 * 1024


class FileContent(Response):
    """Bytes `first` to `last` (inclusive) of an open file, which it closes."""

    def __init__(
        self, descriptor: int, span: range, *, status_code: int, media_type: str, headers: dict[str, str]
    ) -> None:
        super().__init__(status_code=status_code, media_type=media_type, headers=headers)
        self.headers["Content-Length"] = str(len(span))
        self._descriptor, self._span = descriptor, span

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            at, end = self._span.start, self._span.stop
            while at < end:
                data = await to_thread.run_sync(os.pread, self._descriptor, min(CHUNK, end - at), at)
                if not data:
                    break
                at += len(data)
                await send({"type": "http.response.body", "body": data, "more_body": True})
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        finally:
            os.close(self._descriptor)


async def serve(folder: Path, path: str, *, media_type: str, wanted: str | None, name: str) -> Response:
    """The file `path` of `folder`; `wanted` is the Range header. NotFound when there is no such regular file."""
    descriptor = await to_thread.run_sync(open_inside, folder, path)
    try:
        size = os.fstat(descriptor).st_size
        span = _span(wanted, size)
        headers = {
            "Accept-Ranges": "bytes",
            "Content-Disposition": f'attachment; filename="{re.sub(r"[^A-Za-z0-9._-]", "_", name)[:100]}"',
            "Content-Security-Policy": "sandbox; default-src 'none'",
        }
        if span is None:
            return FileContent(descriptor, range(size), status_code=200, media_type=media_type, headers=headers)
        headers["Content-Range"] = f"bytes {span.start}-{span.stop - 1}/{size}"
        return FileContent(descriptor, span, status_code=206, media_type=media_type, headers=headers)
    except BaseException:
        os.close(descriptor)
        raise


def open_inside(folder: Path, path: str) -> int:
    """A descriptor of a regular file below `folder`, reached without following any link below it."""
    parts = PurePosixPath(path).parts
    if not parts or path.startswith("/") or ".." in parts or "\x00" in path:
        raise NotFound("There is no such artifact.")
    at = -1
    try:
        at = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        for part in parts[:-1]:
            below = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=at)
            os.close(at)
            at = below
        # Without O_NONBLOCK a named pipe would hold the thread for ever.
        found = os.open(parts[-1], os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=at)
    except OSError:
        raise NotFound("The artifact's file is no longer there.") from None
    finally:
        if at >= 0:
            os.close(at)
    if not stat.S_ISREG(os.fstat(found).st_mode):
        os.close(found)
        raise NotFound("The artifact's file is no longer there.")
    return found


def _span(wanted: str | None, size: int) -> range | None:
    """The one range asked for; None (the whole) for none, several, or what is no byte range."""
    asked = re.fullmatch(r"bytes=\s*([0-9]{0,15})-([0-9]{0,15})\s*", wanted or "")
    if asked is None or asked[1] == asked[2] == "":
        return None
    if asked[1] == "":
        first, last = max(0, size - int(asked[2])), size - 1
    else:
        first, last = int(asked[1]), min(int(asked[2]), size - 1) if asked[2] else size - 1
        if asked[2] and int(asked[2]) < first:
            return None
    if first >= size or last < first:
        raise Refused(
            416,
            "range_outside",
            f"The file has {size} bytes; the range lies outside.",
            "Ask for a range inside the file.",
            headers={"Content-Range": f"bytes */{size}"},
        )
    return range(first, last + 1)
