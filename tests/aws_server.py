"""AWS's S3 as moto has it, for what rclone's server has not: conditional writes, encryption settings, ranges, roles."""

from __future__ import annotations

import contextlib
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import boto3
from moto.server import ThreadedMotoServer


@dataclass(frozen=True)
class AwsServer:
    """Where it is, and a client that may do everything. It takes any key pair."""

    endpoint_url: str
    client: Any


@contextlib.contextmanager
def aws_server(bucket: str) -> Iterator[AwsServer]:
    """An empty account but for `bucket`. moto keeps buckets for the whole process, whichever of its servers made them."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        url = "http://{}:{}".format(*server.get_host_and_port())
        urllib.request.urlopen(urllib.request.Request(f"{url}/moto-api/reset", method="POST"))
        client = boto3.client("s3", endpoint_url=url, region_name="us-east-1", aws_access_key_id="key", aws_secret_access_key="secret")
        client.create_bucket(Bucket=bucket)
        yield AwsServer(url, client)
    finally:
        server.stop()
