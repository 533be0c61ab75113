"""Instances of the mock AWS as hosts of the lab: what runs there is up here, what is terminated there is gone here."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Final

from tests.cluster.lab import BRIDGE, NETWORK, Lab

PORT: Final = 5005
MOCK: Final = Path(__file__).with_name("mock_aws.py")
ENVIRONMENT: Final = {
    "AWS_ENDPOINT_URL": f"http://{BRIDGE}:{PORT}",
    "AWS_ACCESS_KEY_ID": "mock",
    "AWS_SECRET_ACCESS_KEY": "mock",
    "AWS_DEFAULT_REGION": "us-west-2",
}
# moto hands the addresses of a subnet out from .4 on.
ADDRESSES: Final = {"laptop": 1, **{f"i{number}": number for number in range(4, 9)}}
PROFILE: Final = "".join(f"export {name}={value}\n" for name, value in ENVIRONMENT.items())


class Cloud:
    """Serves the mock on the lab's bridge, and lets hosts follow its instances until it is left.

    Args:
        lab: With hosts of `ADDRESSES`, only the laptop up.
        folder: What the mock writes lies here.
        python: An interpreter that has moto.
    """

    def __init__(self, lab: Lab, folder: Path, python: Path) -> None:
        self._lab = lab
        self._folder = folder
        self._over = threading.Event()
        folder.mkdir()
        command = [str(python), str(MOCK), BRIDGE, str(PORT), str(folder)]
        lab.beside_bridge(command, folder / "server.log", {"MOTO_IAM_LOAD_MANAGED_POLICIES": "true"})
        self._follower = threading.Thread(target=self._follow, daemon=True)
        self.until((folder / "instances.json").exists, 60, "the mock")

    def __enter__(self) -> Cloud:
        self._follower.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._follower.join()

    def instances(self, *states: str) -> list[dict[str, Any]]:
        """What there is, in these states, or in any if none is named."""
        found: list[dict[str, Any]] = json.loads((self._folder / "instances.json").read_text())
        return [instance for instance in found if not states or instance["state"] in states]

    def workers(self) -> list[dict[str, Any]]:
        """Running instances beside the head."""
        return [i for i in self.instances("running", "pending") if i["tags"].get("ray-node-type") == "worker"]

    def requests(self) -> list[dict[str, Any]]:
        """Every request for instances, as it was sent."""
        file = self._folder / "requests.jsonl"
        return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []

    def allow_spot(self, allowed: bool) -> None:
        """Whether there is spot capacity."""
        if allowed:
            (self._folder / "no_spot").unlink(missing_ok=True)
        else:
            (self._folder / "no_spot").touch()

    def reclaim(self, instance_id: str) -> None:
        """Take an instance back, as AWS does with spot instances."""
        (self._folder / "reclaim").write_text(instance_id)

    def until(self, holds: Callable[[], object], patience_s: float, what: str) -> float:
        """Wait; returns the seconds that it took.

        Raises:
            TimeoutError: If it did not come true.
        """
        started = time.monotonic()
        while not holds():
            if time.monotonic() > started + patience_s:
                raise TimeoutError(f"waited {patience_s:g} s for {what}; see {self._folder}")
            time.sleep(0.2)
        return time.monotonic() - started

    def _follow(self) -> None:
        while not self._over.wait(0.2):
            up = {f"i{i['address'].removeprefix(NETWORK + '.')}" for i in self.instances("running", "pending")}
            for name in set(self._lab.hosts) - up - {"laptop"}:
                self._lab.kill(name)
            for name in up - set(self._lab.hosts):
                self._lab.boot(name)
