"""Mock AWS whose instances are hosts of the lab: running instances are booted, terminated ones are killed."""

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
# moto assigns the addresses of a subnet from .4 on.
ADDRESSES: Final = {"laptop": 1, **{f"i{number}": number for number in range(4, 9)}}
PROFILE: Final = "".join(f"export {name}={value}\n" for name, value in ENVIRONMENT.items())


class Cloud:
    """Context manager that serves the mock on the lab's bridge, and boots and kills hosts along with its instances.

    Args:
        lab: Lab with the hosts of `ADDRESSES`, of which only the laptop is running.
        folder: Folder for the files of the mock.
        python: Interpreter with moto installed.
    """

    def __init__(self, lab: Lab, folder: Path, python: Path) -> None:
        self._lab = lab
        self._folder = folder
        self._stop = threading.Event()
        folder.mkdir()
        command = [str(python), str(MOCK), BRIDGE, str(PORT), str(folder)]
        lab.start_server(command, folder / "server.log", {"MOTO_IAM_LOAD_MANAGED_POLICIES": "true"})
        self._follower = threading.Thread(target=self._follow, daemon=True)
        self.until((folder / "instances.json").exists, 60, "the mock")

    def __enter__(self) -> Cloud:
        self._follower.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._follower.join()

    def instances(self, *states: str) -> list[dict[str, Any]]:
        """Return the instances in these states; without states, all instances."""
        instances: list[dict[str, Any]] = json.loads((self._folder / "instances.json").read_text())
        return [instance for instance in instances if not states or instance["state"] in states]

    def workers(self) -> list[dict[str, Any]]:
        """Return the running instances except the head."""
        return [i for i in self.instances("running", "pending") if i["tags"].get("ray-node-type") == "worker"]

    def requests(self) -> list[dict[str, Any]]:
        """Return all requests for instances as they were sent."""
        file = self._folder / "requests.jsonl"
        return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []

    def allow_spot(self, allowed: bool) -> None:
        """Set whether there is spot capacity."""
        if allowed:
            (self._folder / "no_spot").unlink(missing_ok=True)
        else:
            (self._folder / "no_spot").touch()

    def reclaim(self, instance_id: str) -> None:
        """Terminate an instance, as AWS does with spot instances."""
        (self._folder / "reclaim").write_text(instance_id)

    def until(self, holds: Callable[[], object], timeout_s: float, what: str) -> float:
        """Wait for a condition, and return the seconds it took.

        Raises:
            TimeoutError: If the condition does not become true in time.
        """
        started = time.monotonic()
        while not holds():
            if time.monotonic() > started + timeout_s:
                raise TimeoutError(f"waited {timeout_s:g} s for {what}; see {self._folder}")
            time.sleep(0.2)
        return time.monotonic() - started

    def _follow(self) -> None:
        while not self._stop.wait(0.2):
            up = {f"i{i['address'].removeprefix(NETWORK + '.')}" for i in self.instances("running", "pending")}
            for name in set(self._lab.hosts) - up - {"laptop"}:
                self._lab.kill(name)
            for name in up - set(self._lab.hosts):
                self._lab.boot(name)
