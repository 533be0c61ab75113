"""Mock AWS on the bridge: moto's server, which also records requests for instances, refuses spot capacity and reclaims instances.

It runs in a separate environment, since moto and MLflow need different releases of one package:
`python mock_aws.py ADDRESS PORT FOLDER`. In the folder, `instances.json` lists the instances, and `requests.jsonl` every request
for instances; while `no_spot` exists, spot requests are refused, and an id written to `reclaim` is terminated.
"""

from __future__ import annotations

import io
import json
import sys
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode

from moto.core import DEFAULT_ACCOUNT_ID
from moto.ec2.models import ec2_backends
from moto.ec2.models.amis import Ami
from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import run_simple

REGION = "us-west-2"
REFUSAL = (
    '<?xml version="1.0" encoding="UTF-8"?><Response><Errors><Error><Code>InsufficientInstanceCapacity</Code>'
    "<Message>There is no Spot capacity available that matches your request.</Message></Error></Errors>"
    "<RequestID>0</RequestID></Response>"
)


class Watched:
    """WSGI application that records requests for instances before it passes them to moto."""

    def __init__(self, folder: Path, image: str) -> None:
        self._folder = folder
        self._image = image
        self._moto = DomainDispatcherApplication(create_backend_app)

    def __call__(self, environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        if "/ec2/" not in environ.get("HTTP_AUTHORIZATION", ""):
            return self._moto(environ, start)
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        if b"Action=RunInstances" in body:
            asked = dict(parse_qsl(body.decode()))
            refused = "InstanceMarketOptions.MarketType" in asked and (self._folder / "no_spot").exists()
            with (self._folder / "requests.jsonl").open("a") as file:
                file.write(json.dumps({"refused": refused, **asked}) + "\n")
            if refused:
                start("400 Bad Request", [("Content-Type", "text/xml")])
                return [REFUSAL.encode()]
            # AWS resolves the name of the image; moto accepts ids only.
            body = urlencode({**asked, "ImageId": self._image}).encode()
            environ["CONTENT_LENGTH"] = str(len(body))
        environ["wsgi.input"] = io.BytesIO(body)
        return self._moto(environ, start)


def watch(folder: Path) -> None:
    """Write the list of instances periodically, and terminate instances to be reclaimed."""
    while True:
        backend = ec2_backends[DEFAULT_ACCOUNT_ID][REGION]
        reclaim = folder / "reclaim"
        if reclaim.exists():
            backend.terminate_instances([reclaim.read_text().strip()])
            reclaim.unlink()
        described = [_described(backend, instance) for instance in backend.all_instances()]
        temporary = folder / "instances.tmp"
        temporary.write_text(json.dumps(described))
        temporary.replace(folder / "instances.json")
        time.sleep(0.2)


def _described(backend: Any, instance: Any) -> dict[str, Any]:
    return {
        "id": instance.id,
        "state": instance.state,
        "address": instance.private_ip,
        "type": instance.instance_type,
        "tags": {tag["key"]: tag["value"] for tag in instance.get_tags()},
        "open": [
            [rule.ip_protocol, rule.from_port, rule.to_port, rule.ip_range.get("CidrIp"), bool(rule.source_group)]
            for group in instance.security_groups
            for rule in group.ingress_rules
        ],
    }


def main(address: str, port: str, folder: str) -> None:
    """Serve until the process is killed."""
    backend = ec2_backends[DEFAULT_ACCOUNT_ID][REGION]
    for subnet in backend.describe_subnets():
        backend.delete_subnet(subnet.id)
    vpc = backend.create_vpc("10.77.0.0/16", is_default=True)
    backend.create_subnet(vpc.id, "10.77.0.0/24", availability_zone=f"{REGION}a")
    image: Ami = next(iter(backend.describe_images()))
    threading.Thread(target=watch, args=(Path(folder),), daemon=True).start()
    run_simple(address, int(port), Watched(Path(folder), image.id), threaded=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
