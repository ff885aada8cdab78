"""An S3 server of this machine, moto's, in a process of its own: its data is gone with it."""

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec

BUCKET = "farm"
SERVER = f"""
import logging, os, sys
from moto.server import ThreadedMotoServer
import boto3

logging.getLogger("werkzeug").setLevel(logging.ERROR)
server = ThreadedMotoServer(port=0, verbose=False)
server.start()
url = "http://{{}}:{{}}".format("127.0.0.1", server.get_host_and_port()[1])
boto3.client("s3", endpoint_url=url, region_name="us-east-1").create_bucket(Bucket="{BUCKET}")
print(url, flush=True)
sys.stdin.read()
"""
KEYS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": "us-east-1"}


def missing_for_s3() -> list[str]:
    """The packages that the server and its clients lack."""
    return [name for name in ("moto", "flask", "flask_cors", "s3fs") if not find_spec(name)]


@contextmanager
def s3_server() -> Iterator[Mapping[str, str]]:
    """The environment in which s3://farm is on this server."""
    environment = {**os.environ, **KEYS}
    with subprocess.Popen(
        [sys.executable, "-c", SERVER], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as server:
        assert server.stdin
        assert server.stdout
        yield {**KEYS, "AWS_ENDPOINT_URL": server.stdout.readline().strip()}
        server.stdin.close()
