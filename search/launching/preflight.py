"""Checks of a search before it starts: options, services, existing results, resources, data and free disk."""

from __future__ import annotations

import argparse
import fcntl
import http.client
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from pydantic import BaseModel, ValidationError

from datasets.building.provider import DatasetProvider
from runtime import uris
from runtime.console import format_bytes
from runtime.errors import InputError
from runtime.files import require_writable
from runtime.machines import machine, nodes
from runtime.storage import storage_at
from search.experiment import Experiment
from search.launching import edits, existing, plan
from search.launching.lease import held_error, read_holder
from search.launching.storage_options import SERVER_SCHEMES
from search.reporting.mlflow.files import check_database
from search.results import SearchFolder
from search.study import storage as study_storage
from spaces.configs import build_config
from spaces.schema import Space
from trainables import hooks, registry

_CHECKPOINTS_BYTES: Final = 2 * 10**9
"""Free disk for checkpoints and models."""
_TIMEOUT_S: Final = 10


def check_retry(options: argparse.Namespace) -> None:
    """Check that failed trials are retried in an existing search only.

    Raises:
        InputError: If `--retry` is given without `--resume`.
    """
    if options.retry is not None and not (options.resume or options.resume_or_start):
        raise InputError("--retry", "only an existing search has failed trials", remedy="add --resume")


def check_cluster_options(options: argparse.Namespace) -> None:
    """Check the options that name a Ray cluster.

    Raises:
        InputError: If the address is malformed, or `--at-once` is used without a cluster.
    """
    if options.address is not None:
        nodes.check_address(options.address)
    elif options.at_once is not None:
        raise InputError(
            "--at-once",
            "only a cluster can add nodes",
            remedy="add --address auto, or omit --at-once: as many trials run as fit",
        )


def check_services(options: argparse.Namespace) -> None:
    """Check the URIs of the study and of MLflow; a dry run does not connect to them.

    Raises:
        InputError: If a URI is malformed, or its server does not answer.
    """
    connect = not options.dry_run
    if options.tracking_uri is not None:
        _check_tracking_uri(options.tracking_uri, connect=connect)
    elif not uris.is_uri(options.storage):
        check_database(Path(options.storage))
    if options.study is not None:
        study_storage.check_study_uri(options.study, connect=connect)


def list_refusals(options: argparse.Namespace, space: Space, results: SearchFolder) -> list[InputError]:
    """Return why a launch on this machine would be refused, for a dry run, which may precede a launch on another machine.

    The resources of this machine, the servers and the bucket that the options name, and whether another launch runs the
    search are checked.
    """
    checks = [
        lambda: check_not_running(results),
        *([lambda: check_resources(space)] if options.address is None else []),
        *([lambda: _check_tracking_uri(options.tracking_uri, connect=True)] if options.tracking_uri else []),
        *([lambda: study_storage.check_study_uri(options.study)] if options.study else []),
        *([storage_at(options.storage).require_open] if uris.is_uri(options.storage) else []),
    ]
    refusals = []
    for check in checks:
        try:
            check()
        except InputError as error:
            refusals.append(error)
    return refusals


def check_not_running(results: SearchFolder) -> None:
    """Check that no other launch on this machine runs the search.

    Raises:
        InputError: If one does.
    """
    with suppress(FileNotFoundError), results.lock_path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)  # released when the file is closed
        except BlockingIOError:
            raise held_error(results.display_path(results.root_path), read_holder(results)) from None
        except OSError:  # the file system has no locks
            pass


def _check_tracking_uri(uri: str, *, connect: bool) -> None:
    schemes = ("sqlite:///", "postgresql://", "mysql://", *SERVER_SCHEMES)
    if not uri.startswith(schemes):
        raise InputError(
            "--tracking-uri",
            "the MLflow store is a database or a server",
            value=uris.redact_argument(uri),
            remedy="use one of " + ", ".join(schemes),
        )
    if uri.startswith("sqlite:///"):
        require_writable(str(Path(uri.removeprefix("sqlite:///")).absolute().parent), "--tracking-uri")
    elif uri.startswith(SERVER_SCHEMES) and connect:
        _require_server(uri)


def _require_server(uri: str) -> None:
    try:
        status = _server_status(uri)
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise _no_server_error(uri, uris.redact_text(str(error), uri) or type(error).__name__) from None
    if status >= 500:
        raise _no_server_error(uri, f"HTTP status {status}")


def _server_status(uri: str) -> int:
    """Return the HTTP status of a tracking server's health page; a server that requires a password answers as well."""
    parts = urlsplit(uri)
    connect = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = connect(parts.hostname or "", parts.port, timeout=_TIMEOUT_S)
    try:
        connection.request("GET", f"{parts.path.rstrip('/')}/health")
        return connection.getresponse().status
    finally:
        connection.close()


def _no_server_error(uri: str, reason: str) -> InputError:
    return InputError(
        "--tracking-uri",
        f"an MLflow server must answer at {uris.redact_uri(uri)}",
        value=reason,
        remedy="start it (docs/cluster.md), correct the address, or omit --tracking-uri",
    )


def check_existing_search(
    folder: SearchFolder,
    space: Space,
    *,
    resume: bool,
    fresh: bool,
    in_database: bool = False,
    path: str | None = None,
) -> None:
    """Check that an existing search of this name is resumed with a space that continues it, or archived.

    Args:
        folder: Files of the search.
        space: Space of this launch.
        resume: Whether to continue an existing search.
        fresh: Whether to archive an existing search.
        in_database: Whether the study is in a database instead of a journal.
        path: Space file, for errors about its changes.

    Raises:
        InputError: If neither `--resume` nor `--fresh` is given, there is no search to resume, its files are damaged, or
            the space has been edited in a way that is not sound.
    """
    if fresh:
        return
    if not folder.is_started():
        existing.require_new_folder(folder)
        if resume:
            raise existing.unknown_search_error(folder)
        return
    if not resume:
        raise InputError(
            folder.display_path(folder.root_path),
            f"a search called {space.name!r} was started before",
            remedy="add --resume to continue it, --fresh to archive it and start over, or --name for another name",
        )
    existing.check_study(folder, in_database=in_database)
    edits.plan_edit(folder, space, path)


def check_resources(space: Space) -> None:
    """Check that this machine has the resources of a trial.

    Raises:
        InputError: If not.
    """
    share = space.resources.gpu_share
    if share and not machine.has_gpu():
        raise InputError(
            "resources.gpu",
            "a trial that requests a GPU needs a machine with one",
            value=space.resources.gpu,
            remedy="add --profile laptop, or --set resources.gpu=0",
        )
    if share > 1 and (gpus := len(machine.list_gpus())) < share:
        raise InputError(
            "resources.gpu",
            "a trial cannot request more GPUs than the machine has",
            value=f"{share:g} of {gpus}",
            remedy="--set resources.gpu=1",
        )
    cores = machine.count_cores()
    if space.resources.cpu > cores:
        raise InputError(
            "resources.cpu",
            "a trial cannot request more cores than the machine has",
            value=f"{space.resources.cpu:g} of {cores}",
            remedy=f"--set resources.cpu={cores}",
        )


def check_data(space: Space, dataset: DatasetProvider) -> None:
    """Check that the trainable can learn from the dataset, at every boundary of the space.

    Raises:
        InputError: If it cannot.
    """
    for config in boundary_configs(space):
        hooks.check_data(config, dataset)


def check_several_gpus(space: Space) -> None:
    """Check that trials with several GPUs can use them, at every boundary of the space.

    Raises:
        InputError: If the trainable uses one GPU, or a batch is smaller than the number of GPUs.
    """
    gpus = int(space.resources.gpu_share)
    if gpus <= 1:
        return
    for config in boundary_configs(space):
        batch_size = hooks.ddp_batch_size(config)
        if batch_size is None:
            raise InputError(
                "resources.gpu",
                f"{space.trainable} trains on one GPU",
                value=gpus,
                remedy="--set resources.gpu=1, or a fraction of one",
            )
        if batch_size < gpus:
            raise InputError(
                "optimizer.batch_size",
                "every GPU of a trial takes a share of each batch",
                value=f"{batch_size}, with resources.gpu={gpus}",
                remedy=f"a batch_size of {gpus} or more, or fewer GPUs",
            )


def boundary_configs(space: Space) -> Iterator[BaseModel]:
    """Yield the Configs of the baseline, of the named points and at the boundary values of the dimensions."""
    config = registry.describe_trainable(space.trainable, "trainable").config
    for values in space.boundary_points():
        try:
            yield build_config(config, values)
        except (ValidationError, InputError):  # no trial has this combination of boundary values
            continue


def check_disk(experiment: Experiment) -> None:
    """Check that the disk has room for the dataset and the checkpoints.

    Raises:
        InputError: If it has not.
    """
    needed = _CHECKPOINTS_BYTES + sum(experiment.dataset.missing_bytes(experiment.dataset_storage).values())
    needed += plan.confirmation_bytes(experiment)
    free = machine.free_bytes(experiment.results.root_path)
    if free < needed:
        raise InputError(
            "--storage",
            f"the search needs {format_bytes(needed)} of free disk",
            value=f"{format_bytes(free)} free at {experiment.results.storage}",
            remedy="free some space, name another --storage, or make dataset.train smaller",
        )
