"""Ports of a running head as seen from another host: ssh, and services that require the token."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.configs import cluster_yaml, on_premise
from tests.cluster.lab import NETWORK, SHARED, Lab
from tests.cluster.laptop import Laptop
from tests.cluster.watch import until

pytestmark = [pytest.mark.slow, pytest.mark.cluster]

HEAD = f"{NETWORK}.4"
LOOPBACK = {5000: "MLflow", 8265: "dashboard", 13000: "study"}
DRIVER = """
import ray
try:
    ray.init(address="{head}:6379", logging_level="ERROR", log_to_driver=False)
    print("nodes:", len(ray.nodes()))
except Exception as error:
    print("refused:", type(error).__name__, str(error)[:300])
"""


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    with Lab(tmp_path / "lab", {"laptop": 1, "head": 4, "w1": 5}) as running:
        yield running


def listening(lab: Lab, host: str) -> dict[int, set[str]]:
    """Return the ports that a host listens on, with their addresses."""
    ports: dict[int, set[str]] = {}
    for line in lab.run(host, "ss -Hltn").stdout.splitlines():
        address, _, port = line.split()[3].rpartition(":")
        ports.setdefault(int(port), set()).add(address)
    return ports


def answers(lab: Lab, port: int) -> bool:
    """Return whether the laptop can connect to a port of the head."""
    return lab.run("laptop", f"timeout 3 bash -c '</dev/tcp/{HEAD}/{port}'").returncode == 0


def drive(lab: Lab, token: str | None) -> str:
    """Try to connect a driver from a worker, with this token or without any."""
    home = "/root/stranger"
    program = DRIVER.format(head=HEAD)
    lab.run("w1", f"mkdir -p {home}/.ray && cat > {home}/drive.py <<'END'\n{program}\nEND")
    if token is not None:
        lab.run("w1", f"echo {token} > {home}/.ray/auth_token")
    mode = "disabled" if token is None else "token"
    return lab.run(
        "w1", f"timeout 90 /root/venv/bin/python {home}/drive.py", environment={"HOME": home, "RAY_AUTH_MODE": mode}
    ).stdout


def test_without_the_token_only_ssh_is_usable(lab: Lab) -> None:
    laptop = Laptop(
        lab,
        on_premise(cluster_yaml(), HEAD, [f"{NETWORK}.5"], SHARED),
        {"RAY_UP_enable_autoscaler_v2": "0"},
    )
    laptop.up()
    until(lambda: set(LOOPBACK) <= set(listening(lab, "head")), "the head's services")
    ports = listening(lab, "head")
    outside = {port for port, addresses in ports.items() if addresses - {"127.0.0.1", "[::1]", "[::ffff:127.0.0.1]"}}
    print(f"\nopen to other hosts: {sorted(outside)}")
    assert 22 in outside
    for port, name in LOOPBACK.items():
        assert port not in outside, name
        assert not answers(lab, port), name

    token = laptop.run_checked("cat ~/.ray/auth_token").split()[0]
    until(lambda: "nodes:" in drive(lab, token), "connected a driver with the token", 200)
    for other in ("0" * 64, None):
        stranger = drive(lab, other)
        assert "nodes:" not in stranger
        assert re.search("authenti|token", stranger, re.IGNORECASE), stranger

    jobs = "curl -s -o /dev/null -w %{http_code} http://127.0.0.1:8265/api/jobs/"
    assert laptop.run(f"ssh -i ~/.ssh/id -o StrictHostKeyChecking=no {HEAD} {jobs}").stdout.strip()[:3] == "401"
    with_token = f'{jobs} -H "Authorization: Bearer $(cat ~/.ray/auth_token)"'
    assert re.search("200", laptop.run(f"ssh -i ~/.ssh/id {HEAD} '{with_token}'").stdout)
    laptop.down()
