"""Worker processes of a multi-GPU trial: one per GPU, except for the first GPU, which the trial's own process uses."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context, parent_process
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Final

import torch
from torch import distributed

from trainables.contract import DivergedError, Metrics, Trainable

_EXIT_GRACE_S: Final = 20.0
"""Time after which a process that still waits for the gradients of a lost process is ended."""
_ERROR_TIMEOUT_S: Final = 5.0
_SECONDARY_ERROR: Final = "RuntimeError"
"""Error that torch raises in a process when another process of the group is lost."""


@dataclass(frozen=True)
class _Rendezvous:
    """Membership of one process in the process group.

    Attributes:
        file: File through which the processes find each other.
        device: Torch device of this process.
        rank: Rank of this process.
        world_size: Number of processes.
    """

    file: Path
    device: str
    rank: int
    world_size: int


class DdpWorkers:
    """Worker processes that form a process group with this one (see `trainables.distributed`).

    Args:
        devices: Torch devices of all processes, this one's first.
        build: Builds the trainable on a device in a worker process; picklable, since the processes are spawned.

    Raises:
        Exception: If a worker fails to start and this process notices; otherwise this process ends, and its trial is retried.
    """

    def __init__(self, devices: Sequence[str], build: Callable[[str], Trainable]) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="soundsweep-"))
        self._closed = threading.Event()
        context = get_context("spawn")
        self._connections: list[Connection] = []
        self._processes = []
        members = [
            _Rendezvous(self._folder / "meet", device, rank, len(devices)) for rank, device in enumerate(devices)
        ]
        for member in members[1:]:
            connection, worker_end = context.Pipe()
            process = context.Process(target=_train_on_request, args=(worker_end, build, member), daemon=True)
            process.start()
            worker_end.close()
            self._connections.append(connection)
            self._processes.append(process)
        threading.Thread(target=self._watch_processes, daemon=True).start()
        try:
            with self._explain_failures():
                _init_process_group(members[0])
        except BaseException:
            self.close()
            raise

    def run_on_all(self, train: Callable[[], Metrics]) -> Metrics:
        """Train an epoch in all processes and return the result of `train`, which this process calls.

        Raises:
            Exception: An exception that one of the processes raises.
        """
        with self._explain_failures():
            for connection in self._connections:
                connection.send("an epoch")
            return train()

    def close(self) -> None:
        """End the worker processes and the process group."""
        self._closed.set()
        for connection in self._connections:
            connection.close()
        if distributed.is_initialized():
            distributed.destroy_process_group()
        for process in self._processes:
            process.kill()
            process.join()
        shutil.rmtree(self._folder, ignore_errors=True)

    @contextmanager
    def _explain_failures(self) -> Iterator[None]:
        """Replace an error that a worker has caused in this process by the worker's own."""
        try:
            yield
        except DivergedError:  # all processes detect it at the same time
            raise
        except Exception as error:
            reason = self._collect_errors()
            if reason is None:
                raise
            raise RuntimeError(reason) from error

    def _collect_errors(self) -> str | None:
        """Return the error of a worker, preferably one that did not merely lose another process."""
        wait(self._connections, _ERROR_TIMEOUT_S)
        errors = [_receive_error(connection) for connection in self._connections if connection.poll()]
        if "" in errors:
            _exit_process("it was killed")  # this process is then restarted, as if it had been killed itself
        return min(errors, key=lambda error: _SECONDARY_ERROR in error, default=None)

    def _watch_processes(self) -> None:
        wait([process.sentinel for process in self._processes])
        if not self._closed.wait(_EXIT_GRACE_S):  # NCCL would wait forever for a lost process
            _exit_process("; ".join(_receive_error(link) for link in self._connections if link.poll()))


def _receive_error(connection: Connection) -> str:
    """Return the error that a worker has sent; empty if it was killed."""
    try:
        return str(connection.recv())
    except (EOFError, OSError):
        return ""


def _exit_process(reason: str) -> None:
    print(f"a process of this trial is gone: {reason}", file=sys.stderr, flush=True)
    os._exit(1)


def _init_process_group(member: _Rendezvous) -> None:
    if member.device.startswith("cuda"):
        torch.cuda.set_device(member.device)
    if sys.platform == "linux":
        os.environ |= {"GLOO_SOCKET_IFNAME": "lo", "NCCL_SOCKET_IFNAME": "lo"}  # all processes are on this machine
    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
    distributed.init_process_group(
        backend, init_method=member.file.as_uri(), rank=member.rank, world_size=member.world_size
    )


def _train_on_request(connection: Connection, build: Callable[[str], Trainable], member: _Rendezvous) -> None:
    """Train an epoch per request of the trial's process, until that closes the connection or ends."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        _init_process_group(member)
        trainable = build(member.device)
        while connection.recv():
            trainable.train_epoch()
    except EOFError:
        return
    except Exception as error:  # noqa: BLE001  # any exception of a trainable; the trial's process reports it
        traceback.print_exc()
        first_line = str(error).partition("\n")[0]
        connection.send(f"{type(error).__name__} in process {member.rank} of the trial: {first_line}")


def _end_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)
