"""Where archives stand: a bucket of an S3-compatible store, by boto3 in worker threads. Knows names and files only.

boto3 is an extra (`pip install boto3`): it is imported when the first archive is made.
"""

import hashlib
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from anyio import to_thread

from ..domain.errors import FailureClass, StepFailed
from .shelf import NAME, nothing_called, sha256_of

T = TypeVar("T")

_ABSENT = frozenset({"404", "NoSuchKey", "NotFound"})
_CHUNK = 1 << 20


@dataclass(frozen=True)
class Bucket:
    """Where, and as whom. Without keys boto3's own ways of finding them are used (roles, AWS_* variables)."""

    name: str
    endpoint: str | None = None
    region: str | None = None
    prefix: str = ""
    access_key_id: str | None = field(default=None, repr=False)
    secret_access_key: str | None = field(default=None, repr=False)


class S3Shelf:
    """Objects in a bucket that exists already."""

    def __init__(self, bucket: Bucket) -> None:
        self._bucket = bucket
        self._lock = threading.Lock()
        self._client: Any = None

    async def put(self, name: str, path: Path) -> None:
        await self._ask(lambda client: self._put(client, self._key(name), path))

    async def get(self, name: str, path: Path) -> None:
        await self._ask(lambda client: self._get(client, self._key(name), path), name)

    async def remove(self, name: str) -> None:
        await self._ask(lambda client: client.delete_object(Bucket=self._bucket.name, Key=self._key(name)))

    def _put(self, client: Any, key: str, path: Path) -> None:
        digest = sha256_of(path)
        client.upload_file(str(path), self._bucket.name, key, ExtraArgs={"Metadata": {"sha256": digest}})
        read = hashlib.sha256()
        body = client.get_object(Bucket=self._bucket.name, Key=key)["Body"]
        for chunk in body.iter_chunks(_CHUNK):
            read.update(chunk)
        if read.hexdigest() != digest:
            raise self._refused("gave back other bytes than it was given", FailureClass.NETWORK)

    def _get(self, client: Any, key: str, path: Path) -> None:
        body = client.get_object(Bucket=self._bucket.name, Key=key)["Body"]
        with path.open("xb") as target:
            for chunk in body.iter_chunks(_CHUNK):
                target.write(chunk)

    def _key(self, name: str) -> str:
        if not NAME.match(name):
            raise ValueError(f"not a name for an archive: {name!r}")
        prefix = self._bucket.prefix.strip("/")
        return f"{prefix}/{name}" if prefix else name

    async def _ask(self, work: Callable[[Any], T], name: str = "") -> T:
        return await to_thread.run_sync(self._in_thread, work, name)

    def _in_thread(self, work: Callable[[Any], T], name: str) -> T:
        try:
            from boto3.exceptions import Boto3Error
            from botocore.exceptions import BotoCoreError, ClientError
        except ModuleNotFoundError as error:
            raise StepFailed(
                FailureClass.INTERNAL,
                "AWO_ARCHIVE_S3_BUCKET is set, and the library boto3 is not installed.",
                next_action="Install the extra: pip install boto3; then restart the server.",
            ) from error
        try:
            with self._lock:  # making a client is not safe in two threads; using one is
                self._client = self._client or self._made()
            return work(self._client)
        except ClientError as error:
            code = str(error.response.get("Error", {}).get("Code", ""))
            if name and code in _ABSENT:
                raise nothing_called(name) from None
            status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
            kind = FailureClass.AUTH if status in (401, 403) else FailureClass.NETWORK
            raise self._refused(f"refused an operation ({code[:60]})", kind) from error
        except (BotoCoreError, Boto3Error) as error:
            raise self._refused(f"could not be used ({type(error).__name__})", FailureClass.NETWORK) from error

    def _made(self) -> Any:
        import boto3
        from botocore.config import Config

        # Newer checksums are asked for only where the store needs them: many compatible ones do not know them.
        config = Config(
            connect_timeout=5,
            read_timeout=60,
            retries={"max_attempts": 4, "mode": "standard"},
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
            s3={"addressing_style": "path"} if self._bucket.endpoint else {},
        )
        session = boto3.session.Session(
            aws_access_key_id=self._bucket.access_key_id,
            aws_secret_access_key=self._bucket.secret_access_key,
            region_name=self._bucket.region or "us-east-1",
        )
        return session.client("s3", endpoint_url=self._bucket.endpoint, config=config)

    def _refused(self, what: str, failure_class: FailureClass) -> StepFailed:
        return StepFailed(
            failure_class,
            f"The archive bucket {self._bucket.name} {what}.",
            next_action="Check AWO_ARCHIVE_S3_BUCKET, its endpoint, its region and the two keys, then try again; "
            "nothing was removed.",
        )
