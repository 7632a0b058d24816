"""An object store for a cluster of tests: moto's server, which speaks S3."""

from __future__ import annotations

import secrets
import subprocess
import sys

from cluster.hosts import wait
from cluster.lan import Lan
from cluster.ports import answers


class ObjectStore:
    """An S3-compatible store on the network, on no host of the cluster."""

    def __init__(self, network: Lan) -> None:
        """Start it, empty."""
        self.address = f"{network.address}:9000"
        self.secret = secrets.token_hex(20)
        self.log = network.folder / "store.log"
        self.process: subprocess.Popen[bytes] | None = None
        self.start()

    @property
    def settings(self) -> dict[str, str]:
        """The lines of settings.env for it."""
        return {
            "GATELAB_STORAGE": f"s3://gatelab/sweeps?endpoint_override={self.address}&scheme=http",
            "AWS_ACCESS_KEY_ID": "key-of-the-store",
            "AWS_SECRET_ACCESS_KEY": self.secret,
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def start(self) -> None:
        """Start it; what it had is lost."""
        host, _, port = self.address.partition(":")
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "moto.server", "-H", host, "-p", port],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip
        wait(lambda: answers(int(port), host), 90, "the object store")
        import boto3

        keys = self.settings
        boto3.client(
            "s3",
            endpoint_url=f"http://{self.address}",
            aws_access_key_id=keys["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=keys["AWS_SECRET_ACCESS_KEY"],
            region_name=keys["AWS_DEFAULT_REGION"],
        ).create_bucket(Bucket="gatelab")

    def stop(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None
