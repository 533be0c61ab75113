"""Hosts on this machine: namespaces with their own addresses and ssh servers, joined by a bridge without outside access.

A host is one `unshare` process; killing it ends all processes of the host and frees its network. Needs root, util-linux,
iproute2, openssh-server and rsync.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parent.parent.parent
NETWORK: Final = "10.77.0"
BRIDGE: Final = f"{NETWORK}.254"
SHARED: Final = "/root/shared"
TOOLS: Final = ("unshare", "nsenter", "setpriv", "ip", "rsync", "ssh", "ssh-keygen", "/usr/sbin/sshd")
_HIDDEN: Final = ("root", "tmp")
_TIMEOUT_S: Final = 30.0


def missing() -> str | None:
    """Return why the lab cannot run here; None if it can."""
    missing_tools = [tool for tool in TOOLS if shutil.which(tool) is None]
    if missing_tools:
        return f"not installed: {', '.join(missing_tools)} (apt-get install openssh-server iproute2 rsync)"
    if os.geteuid() != 0:
        return "namespaces and an ssh server for root need root"
    completed = subprocess.run(
        ["unshare", "--net", "--mount", "--pid", "--fork", "true"], check=False, capture_output=True
    )
    return None if completed.returncode == 0 else f"no namespaces here: {completed.stderr.decode().strip()}"


@dataclass(frozen=True)
class Host:
    """A running host.

    Attributes:
        name: Host name.
        address: Only address besides loopback.
        process: The `unshare` process; the host ends with it.
        init: Process id of the first process of the host, as seen from outside.
    """

    name: str
    address: str
    process: subprocess.Popen[bytes]
    init: int


class Lab:
    """Context manager that boots hosts, and ends all of them on exit.

    Args:
        folder: Folder for the files of the hosts.
        addresses: Last number of the address of each host, by name.
        python: Prefix of the environment that is `~/venv` on all hosts except the first.
        profile: Lines at the top of every `.bashrc`.
        later: Hosts that are not booted at the start.
    """

    def __init__(
        self,
        folder: Path,
        addresses: Mapping[str, int],
        python: Path = Path(sys.prefix),
        profile: str = "",
        later: Sequence[str] = (),
    ) -> None:
        self._folder = folder
        self._python = python
        self._profile = profile
        self._later = later
        self._addresses = {name: f"{NETWORK}.{number}" for name, number in addresses.items()}
        self._started: list[subprocess.Popen[bytes]] = []
        self.hosts: dict[str, Host] = {}
        self.shared = folder / "shared"

    def __enter__(self) -> Lab:
        try:
            self.shared.mkdir(parents=True)
            for key in ("id", "hostkey"):
                self._call("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(self._folder / key))
            self._switch = self._start(["unshare", "--net", "sleep", "infinity"], "switch")
            self._wait(lambda: _other_network(self._switch.pid), "the bridge's namespace")
            self._in_switch("ip link set lo up")
            self._in_switch(f"ip link add br0 type bridge && ip addr add {BRIDGE}/24 dev br0 && ip link set br0 up")
            for name in self._addresses:
                if name not in self._later:
                    self.boot(name)
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End all hosts and servers."""
        for process in reversed(self._started):
            process.kill()
            process.wait()

    def boot(self, name: str) -> Host:
        """Start a host; a host that was killed starts with an empty home."""
        shutil.rmtree(self._folder / name, ignore_errors=True)
        init = self._init(name)
        flags = ["--mount", "--net", "--uts", "--ipc", "--pid", "--fork", "--kill-child", "--mount-proc"]
        process = self._start(["unshare", *flags, "bash", str(init)], name)
        pid = self._wait(lambda: _child(process.pid), f"{name}'s first process")
        host = self.hosts[name] = Host(name, self._addresses[name], process, pid)
        # The old end of the virtual link may exist for a moment after a host was killed.
        self._in_switch(
            f"ip link delete v-{name} 2>/dev/null; ip link add v-{name} type veth peer name eth0 netns {pid}"
        )
        self._in_switch(f"ip link set v-{name} master br0 up")
        self._in_network(
            pid,
            f"ip link set lo up && ip addr add {host.address}/24 dev eth0 && ip link set eth0 up"
            f" && ip route add default via {BRIDGE}",  # unreachable, but lets programs determine their own address
        )
        self._wait(lambda: self._answers(host.address), f"{name}'s ssh server")
        return host

    def _init(self, name: str) -> Path:
        """Write the init script of a host."""
        own = self._folder / name
        home = own / "root"
        (home / ".ssh").mkdir(parents=True)
        (home / ".ssh").chmod(0o700)
        (own / "tmp").mkdir()
        (own / "tmp").chmod(0o1777)
        (home / ".ssh" / "authorized_keys").write_text("\n".join(self._keys()))
        for skeleton in (".bashrc", ".profile"):
            shutil.copy(Path("/etc/skel") / skeleton, home / skeleton)
        (home / ".bashrc").write_text(self._profile + (home / ".bashrc").read_text())
        first = next(iter(self._addresses))
        if name == first:
            shutil.copy(self._folder / "id", home / ".ssh" / "id")
        else:
            (home / "venv").mkdir()
            for entry in self._python.iterdir():
                (home / "venv" / entry.name).symlink_to(entry)
            (home / "venv" / "ready").unlink(missing_ok=True)
            (home / "venv" / "ready").touch()  # marks the environment as complete for `make`
        (own / "hosts").write_text(f"127.0.0.1 localhost\n{self._addresses[name]} {name}\n")
        mounted = {self._python, self._python.resolve(), Path(sys.prefix), Path(sys.base_prefix)}
        if name == first:
            mounted.add(ROOT)
        lines = [
            "set -e",
            "mount --make-rprivate /",
            f"mkdir -p {own}{SHARED} && mount --bind {self.shared} {own}{SHARED}",
            *(f"mkdir -p {own}{path} && mount --bind {path} {own}{path}" for path in sorted(mounted) if _hidden(path)),
            f"cp {self._folder}/hostkey {own}/hostkey && mount --bind {own}/hosts /etc/hosts",
            "mount -t tmpfs tmpfs /run && mount -t tmpfs -o size=8g tmpfs /dev/shm && mkdir -p /run/sshd",
            f"cp {own}/hostkey /run/hostkey && echo {name} > /proc/sys/kernel/hostname",
            *(
                f"mount --rbind {own}/{hidden} /{hidden}"
                for hidden in sorted(_HIDDEN, key=lambda hidden: hidden == own.parts[1])
            ),
            "exec /usr/sbin/sshd -D -e -f /dev/null -h /run/hostkey -o UsePAM=no -o PasswordAuthentication=no"
            " -o PermitRootLogin=prohibit-password -o PidFile=none -o MaxStartups=50",
        ]
        script = own / "init.sh"
        script.write_text("\n".join(lines) + "\n")
        return script

    def _keys(self) -> list[str]:
        """Return the public keys accepted by every host: that of the lab, and those that AWS created for the first host."""
        created = (self.home(next(iter(self._addresses))) / ".ssh").glob("*.pem")
        commands = [["ssh-keygen", "-y", "-f", str(key)] for key in (self._folder / "id", *created)]
        return [subprocess.run(command, check=True, capture_output=True, text=True).stdout for command in commands]

    def run(
        self, name: str, command: str, *, timeout_s: float = 300, environment: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a command on a host; stdout and stderr are both in `stdout` of the result."""
        done = subprocess.run(
            self._inside(name, command),
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
            stdin=subprocess.DEVNULL,
            env=self._environment(environment or {}),
        )
        done.stdout += done.stderr
        return done

    def start(
        self, name: str, command: str, log: Path, environment: Mapping[str, str] | None = None
    ) -> subprocess.Popen[bytes]:
        """Start a command on a host; it ends at the latest with the lab."""
        return self._start(self._inside(name, command), name, log, self._environment(environment or {}))

    def start_server(self, command: Sequence[str], log: Path, environment: Mapping[str, str]) -> None:
        """Start a server on the address of the bridge, which every host can reach."""
        inside = ["nsenter", "--target", str(self._switch.pid), "--net", *command]
        self._start(inside, "server", log, {**os.environ, **environment})

    def home(self, name: str) -> Path:
        """Return the home folder of the only user of a host, as seen from outside."""
        return self._folder / name / "root"

    def disconnect(self, name: str) -> None:
        """Drop all packets from and to a host, without closing connections."""
        self._in_switch(f"ip link set v-{name} down")

    def reconnect(self, name: str) -> None:
        """Restore the network of a host."""
        self._in_switch(f"ip link set v-{name} up")

    def kill(self, name: str) -> None:
        """End a host as a power cut would."""
        process = self.hosts.pop(name).process
        process.send_signal(signal.SIGKILL)
        process.wait()

    def _inside(self, name: str, command: str) -> list[str]:
        target = str(self.hosts[name].init)
        return ["nsenter", "--target", target, "--all", "bash", "-c", f"cd /root && {command}"]

    def _environment(self, more: Mapping[str, str]) -> dict[str, str]:
        path = f"{self._python}/bin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        return {"PATH": path, "HOME": "/root", "LANG": "C.UTF-8", "RAY_USAGE_STATS_ENABLED": "0", **more}

    def _start(
        self,
        command: Sequence[str],
        name: str,
        log: Path | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> subprocess.Popen[bytes]:
        """Start a process that is also killed when this process is."""
        with (log or self._folder / f"{name}.log").open("ab") as file:
            process = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", *command],
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                env=environment,
                start_new_session=True,
            )
        self._started.append(process)
        return process

    def _in_switch(self, command: str) -> None:
        self._in_network(self._switch.pid, command)

    def _in_network(self, pid: int, command: str) -> None:
        self._call("nsenter", "--target", str(pid), "--net", "sh", "-c", command)

    def _answers(self, address: str) -> bool:
        probe = ["nsenter", "--target", str(self._switch.pid), "--net", "bash", "-c", f"</dev/tcp/{address}/22"]
        return subprocess.run(probe, check=False, capture_output=True).returncode == 0

    def _call(self, *command: str) -> None:
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip()}")

    def _wait(self, look: Callable[[], Any], what: str) -> Any:
        deadline = time.monotonic() + _TIMEOUT_S
        while time.monotonic() < deadline:
            if result := look():
                return result
            time.sleep(0.05)
        raise TimeoutError(f"waited {_TIMEOUT_S:g} s for {what}; see {self._folder}")


def _hidden(path: Path) -> bool:
    return path.parts[1] in _HIDDEN


def _child(pid: int) -> int | None:
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return int(children[0]) if children else None


def _other_network(pid: int) -> bool:
    return os.readlink(f"/proc/{pid}/ns/net") != os.readlink("/proc/self/ns/net")
