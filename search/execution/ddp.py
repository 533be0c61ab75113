"""The other processes of a trial that has several GPUs: one for each but the first, which is the trial's own."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from multiprocessing import get_context, parent_process
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Final

import torch
from torch import distributed

from trainables.contract import DivergedError, Metrics, Trainable

_GRACE_S: Final = 20.0
"""How long a lost peer may go unnoticed by those that wait for its gradients, before they are ended."""
_LAST_WORDS_S: Final = 5.0
_IN_PASSING: Final = "RuntimeError"
"""How torch says that another process is gone."""


class DdpWorkers:
    """Starts the processes; from then on, this one and they are one process group (see `trainables.distributed`).

    Args:
        devices: Of all processes, this one's first.
        build: Makes the trainable for a device, in the other processes; they start anew, so it has to be picklable.

    Raises:
        Exception: If one of them does not come up, as far as this process notices; else it ends, and its trial is tried again.
    """

    def __init__(self, devices: Sequence[str], build: Callable[[str], Trainable]) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="soundsweep-"))
        self._over = threading.Event()
        context = get_context("spawn")
        self._links: list[Connection] = []
        self._processes = []
        for rank, device in enumerate(devices[1:], 1):
            here, there = context.Pipe()
            place = (self._folder / "meet", device, rank, len(devices))
            process = context.Process(target=_train_on_request, args=(there, build, place), daemon=True)
            process.start()
            there.close()
            self._links.append(here)
            self._processes.append(process)
        threading.Thread(target=self._watch_processes, daemon=True).start()
        try:
            with self._explain_failures():
                _init_process_group(self._folder / "meet", devices[0], 0, len(devices))
        except BaseException:
            self.close()
            raise

    def run_on_all(self, train: Callable[[], Metrics]) -> Metrics:
        """Let all processes train for an epoch; returns what this one's training does.

        Raises:
            Exception: Whatever any of them raises.
        """
        with self._explain_failures():
            for link in self._links:
                link.send("an epoch")
            return train()

    def close(self) -> None:
        """End them."""
        self._over.set()
        for link in self._links:
            link.close()
        if distributed.is_initialized():
            distributed.destroy_process_group()
        for process in self._processes:
            process.kill()
            process.join()
        shutil.rmtree(self._folder, ignore_errors=True)

    @contextmanager
    def _explain_failures(self) -> Iterator[None]:
        """Where this process fails since another one did, tell the other's reason."""
        try:
            yield
        except DivergedError:  # which they all see at once
            raise
        except Exception as error:
            reason = self._collect_errors()
            if reason is None:
                raise
            raise RuntimeError(reason) from error

    def _collect_errors(self) -> str | None:
        """What the others said before they ended; those that only lost another one have the least to say."""
        wait(self._links, _LAST_WORDS_S)
        said = [_receive_error(link) for link in self._links if link.poll()]
        if "" in said:
            _exit_process("it was killed")  # the trial's process is to be started again, as if it had been itself
        return min(said, key=lambda words: _IN_PASSING in words, default=None)

    def _watch_processes(self) -> None:
        wait([process.sentinel for process in self._processes])
        if not self._over.wait(_GRACE_S):  # NCCL goes on waiting for a process that is gone
            _exit_process("; ".join(_receive_error(link) for link in self._links if link.poll()))


def _receive_error(link: Connection) -> str:
    """What a process said, or nothing if it was killed."""
    try:
        return str(link.recv())
    except (EOFError, OSError):
        return ""


def _exit_process(why: str) -> None:
    print(f"a process of this trial is gone: {why}", file=sys.stderr, flush=True)
    os._exit(1)


def _init_process_group(meet: Path, device: str, rank: int, count: int) -> None:
    if device.startswith("cuda"):
        torch.cuda.set_device(device)
    if sys.platform == "linux":
        os.environ |= {"GLOO_SOCKET_IFNAME": "lo", "NCCL_SOCKET_IFNAME": "lo"}  # all are on this machine
    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
    distributed.init_process_group(backend, init_method=meet.as_uri(), rank=rank, world_size=count)


def _train_on_request(link: Connection, build: Callable[[str], Trainable], place: tuple[Path, str, int, int]) -> None:
    """Train whenever the first process says so, until it closes the link or is gone."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _, device, rank, _ = place
    try:
        _init_process_group(*place)
        trainable = build(device)
        while link.recv():
            trainable.train_epoch()
    except EOFError:
        return
    except Exception as error:  # noqa: BLE001  # whatever a trainable raises; the first process tells it on
        traceback.print_exc()
        link.send(f"{type(error).__name__} in process {rank} of the trial: {str(error).partition(chr(10))[0]}")


def _end_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)
