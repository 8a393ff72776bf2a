"""An S3-compatible server of the tests' own: moto's, as a process, with a bucket called `orders`."""

import re
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

# moto takes any keys; the store's own checks of them are not what is tested here.
ACCESS_KEY_ID, SECRET_ACCESS_KEY = "AKIAEXAMPLE", "made-up-secret-part"
BUCKET = "orders"


@pytest.fixture(scope="session")
def s3_endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    log = tmp_path_factory.mktemp("s3") / "log"
    with (
        log.open("wb") as sink,
        subprocess.Popen(  # noqa: TID251 - this block is the child's scope
            [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", "0"], stdout=sink, stderr=sink
        ) as process,
    ):
        try:
            deadline = time.monotonic() + 60
            while not (found := re.search(r"http://127\.0\.0\.1:\d+", log.read_text(errors="replace"))):
                assert process.poll() is None, log.read_text()
                assert time.monotonic() < deadline, log.read_text()
                time.sleep(0.05)  # fact: the server says its address
            client_of(found.group(0)).create_bucket(Bucket=BUCKET)
            yield found.group(0)
        finally:
            process.terminate()


def client_of(endpoint: str):  # type: ignore[no-untyped-def]  # boto3 carries no types
    import boto3

    return boto3.client(
        "s3",
        endpoint_url=endpoint,
        region_name="us-east-1",
        aws_access_key_id=ACCESS_KEY_ID,
        aws_secret_access_key=SECRET_ACCESS_KEY,
    )
