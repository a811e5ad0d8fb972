"""Amazon's S3 as moto plays it, on this machine: a bucket, and the address of a folder in it."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing-key",
    "AWS_DEFAULT_REGION": "us-east-1", "AWS_EC2_METADATA_DISABLED": "true",
}  # fmt: skip


@contextmanager
def s3_bucket() -> Iterator[str]:
    """The address of an empty folder; whoever uses it needs `ENVIRONMENT`."""
    server = pytest.importorskip("moto.server", reason="needs moto: pip install 'moto[server]'")
    import boto3

    playing = server.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # it has a line for every request
    playing.start()
    host, port = playing.get_host_and_port()
    try:
        client = boto3.client(
            "s3", endpoint_url=f"http://{host}:{port}", region_name="us-east-1",
            aws_access_key_id="testing", aws_secret_access_key="testing-key",
        )  # fmt: skip
        client.create_bucket(Bucket="bucket")
        yield f"s3://bucket/runs?endpoint_override={host}:{port}&scheme=http"
    finally:
        playing.stop()
