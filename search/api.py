"""Searches from Python: `from search import Search`. The options are those of the command line, through the same code."""

from __future__ import annotations

import io
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import yaml

from runtime import uris
from runtime.console import Console
from runtime.errors import InputError
from runtime.files import write_text_atomic
from runtime.machines.surroundings import prepare_surroundings
from search import launch
from search.experiment import Experiment
from search.launching import preflight
from search.launching.existing import describe_searches
from search.results import SearchFolder
from search.study.trials import Trial, choose_winner, rank_trials

if TYPE_CHECKING:
    import pandas as pd

    from search.saved_models import SavedModel

_POLL_S: Final = 1.0


class Search:
    """A search of a space of hyperparameters: planned, run, resumed and read from Python.

    Example:
        >>> search = Search("spaces/rg_rep.yaml", profile="laptop", trials=4)
        >>> print(search.plan())
        >>> results = search.run()
        >>> results.trials().sort_values("f1_1m")
        >>> results = search.with_options(trials=24).resume()

    Args:
        space: Path of a space file, or its content as nested dictionaries.
        profile: Profile of the space; `full` for none.
        overrides: Values by dotted name, as for `--set`: keys of the file, or fields of the Config to be fixed.
        storage: Folder or bucket of all results.
        options: Other options of `python -m search.launch` by name, such as `trials=24`, `hours=2.0`, `name="second"`,
            `audio="music"`, `study="postgresql://…"`, `address="auto"` or `warm_start=["first"]`.
    """

    def __init__(
        self,
        space: str | Path | Mapping[str, Any],
        *,
        profile: str | None = None,
        overrides: Mapping[str, Any] | None = None,
        storage: str | Path = "runs",
        **options: Any,
    ) -> None:
        self._space = space if isinstance(space, Mapping) else Path(space)
        self._overrides = dict(overrides or {})
        self._options = {"profile": profile, "storage": storage, **options}
        self._storage = str(storage)
        self._words = ["--storage", self._storage, *(["--profile", profile] if profile is not None else [])]
        for name, value in self._overrides.items():
            self._words += ["--set", f"{name}={_to_yaml(value)}"]
        for name, value in options.items():
            self._words += _option_words(name, value)

    def __repr__(self) -> str:
        space = "a mapping" if isinstance(self._space, Mapping) else str(self._space)
        return f"<Search of {space}: {' '.join(self._words)}>"

    def with_options(self, *, overrides: Mapping[str, Any] | None = None, **options: Any) -> Search:
        """Return a search of the same space with some options changed, such as `trials=24`, and further overrides."""
        return Search(self._space, overrides={**self._overrides, **(overrides or {})}, **{**self._options, **options})

    def plan(self) -> str:
        """Return the plan of the search, as `--dry-run` prints it, with what prevents a run on this machine.

        Raises:
            InputError: If the space or an option is invalid.
        """
        with self._space_file() as path:
            options, experiment = self._prepare([str(path), "--dry-run"])
            return "\n".join(launch.dry_run_lines(options, experiment))

    def run(
        self,
        *,
        resume: bool = False,
        fresh: bool = False,
        retry_failed: bool = False,
        quiet: bool = False,
        on_trial: Callable[[Trial], None] | None = None,
    ) -> SearchResults:
        """Run the search to its end, or until its budget is used up or it is interrupted.

        Args:
            resume: Whether to continue the existing search of this name.
            fresh: Whether to archive the existing search of this name, and start over.
            retry_failed: Whether to take up the failed trials of a resumed search.
            quiet: Whether to print nothing.
            on_trial: Called with the state of a trial when it starts, after each epoch, and when it ends. An exception
                ends the search, which can be resumed.

        Returns:
            The results; their `status` is the exit status of the command.

        Raises:
            InputError: If the space or an option is invalid, or the search exists and neither `resume` nor `fresh` is given.
        """
        from search.launching.run import run_search

        prepare_surroundings()
        modes = {"--resume": resume, "--fresh": fresh}
        words = [word for word, is_given in modes.items() if is_given]
        words += ["--retry", "failed"] if retry_failed else []
        with self._space_file() as path:
            _, experiment = self._prepare([str(path), *words])
        path = self._keep_space(experiment.space.name)
        status = run_search(
            experiment,
            fresh=fresh,
            command=[str(path), *self._words],
            retry=retry_failed,
            console=Console(io.StringIO() if quiet else sys.stdout),
            on_trial=on_trial,
        )
        return SearchResults(experiment.results, status)

    def resume(self, **options: Any) -> SearchResults:
        """Continue the existing search of this name; the options are those of `run`."""
        return self.run(resume=True, **options)

    @staticmethod
    def open(name: str, storage: str | Path = "runs") -> SearchResults:
        """Return the results of a search, which may be running; nothing of it is changed.

        Raises:
            InputError: If the storage holds no search of this name.
        """
        folder = SearchFolder.from_storage(uris.absolute_location(str(storage)), name)
        if not folder.is_started():
            raise InputError("name", "the search must have been started", value=name, remedy=describe_searches(folder))
        return SearchResults(folder)

    def _prepare(self, words: list[str]) -> tuple[Any, Experiment]:
        options = launch.build_parser().parse_args([*words, *self._words])
        try:
            return options, launch.prepare_experiment(options)
        except InputError as error:
            if isinstance(self._space, Path):
                raise
            place = error.place.replace(words[0], "space")  # the temporary file has no meaning to users
            raise type(error)(place, error.rule, value=error.value, remedy=error.remedy) from error

    @contextmanager
    def _space_file(self) -> Iterator[Path]:
        """Yield the path of the space file: as given, or a temporary one."""
        if isinstance(self._space, Path):
            yield self._space
            return
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "space.yaml"
            path.write_text(self._dump_space(), encoding="utf-8")
            yield path

    def _keep_space(self, name: str) -> Path:
        """Return the path of the space file; a mapping is written to the storage, for the command line."""
        if isinstance(self._space, Path):
            return self._space
        folder = Path(tempfile.gettempdir()) if uris.is_uri(self._storage) else uris.expand_home(self._storage)
        path = folder / "spaces" / f"{name}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text_atomic(path, self._dump_space())
        return path

    def _dump_space(self) -> str:
        assert isinstance(self._space, Mapping)
        return yaml.safe_dump(_plain_value(self._space, "space"), sort_keys=False, allow_unicode=True)


@dataclass(frozen=True)
class SearchResults:
    """Results of a search, read anew at every access.

    Attributes:
        folder: Files of the search.
        status: Exit status of the launch: 0, 1 if no trial has a result, 130 if it was interrupted; None if it was not
            launched from here.
    """

    folder: SearchFolder
    status: int | None = None

    @property
    def objectives(self) -> list[tuple[str, str]]:
        """Metrics that the search optimizes, with `maximize` or `minimize`."""
        return [(name, direction) for name, direction in self.folder.read_identity()["objectives"]]

    def list_trials(self) -> list[Trial]:
        """Return all trials by number, with their parameters, epochs and test scores.

        Raises:
            InputError: If the study cannot be read.
        """
        from search.study.study import read_trials

        if not self.folder.journal_path.is_file():
            raise InputError(
                self.folder.display_path(self.folder.journal_path),
                "the study must be in the folder of the search to be read from Python",
                value="the study is in a database, or the search has no trial yet",
                remedy="read it with optuna.load_study, or wait for the first trial",
            )
        return read_trials(self.folder.journal_path, constraints=self.folder.read_constraints())

    @property
    def best(self) -> Trial:
        """Trial with the best result on validation; the first by Pareto rank if there are several objectives.

        A trial that violates constraints is the best only if all do; its `violated` lists them.

        Raises:
            InputError: If no trial has a result.
        """
        return self._rank_trials()[0]

    @property
    def winner(self) -> Trial:
        """Trial that the last verdict of the search prefers, or else the best one on validation.

        Raises:
            InputError: If no trial has a result.
        """
        return choose_winner(self._rank_trials(), self.folder.read_winner())

    def _rank_trials(self) -> list[Trial]:
        """Return the trials that have a result and did not fail, best first; raise `InputError` if there are none."""
        ranked = rank_trials(self.list_trials(), self.folder.read_identity()["objectives"])
        if not ranked:
            raise InputError(
                self.folder.display_path(self.folder.root_path),
                "a trial must have a result",
                value="none",
                remedy="wait for the first epoch, or see the reasons of failed trials in .trials()",
            )
        return ranked

    def trials(self) -> pd.DataFrame:
        """Return one row per trial: outcome, metrics of its best epoch, parameters, inference parameters, and test scores."""
        from search.reporting import data_frames

        return data_frames.tabulate_trials(self.list_trials(), self.folder.read_identity()["objectives"])

    def epochs(self) -> pd.DataFrame:
        """Return one row per trial and epoch: metrics, inference parameters, and duration in seconds."""
        from search.reporting import data_frames

        return data_frames.tabulate_epochs(self.list_trials())

    def load_model(self, number: int | None = None) -> SavedModel:
        """Load the model of a trial.

        Args:
            number: Number of the trial; None for the winner.

        Raises:
            InputError: If the search has no such model, or it is corrupt.
        """
        from search import saved_models

        number = self.winner.number if number is None else number
        path = self.folder.fetch_file(self.folder.model_path(number))
        return saved_models.read_model(saved_models.find_model(path.parent))

    def is_running(self) -> bool:
        """Return whether a launch on this machine runs the search."""
        try:
            preflight.check_not_running(self.folder)
        except InputError:
            return True
        return False

    def watch(self) -> Iterator[Trial]:
        """Yield the state of a trial whenever it has started, completed an epoch or ended, until the search does not run.

        The search may run in another process on this machine. The first states are those of all trials so far.
        """
        seen: dict[int, tuple[int, str]] = {}
        is_running = True
        while is_running:
            is_running = self.is_running()
            for trial in self.list_trials() if self.folder.journal_path.is_file() else []:
                state = (len(trial.epochs), trial.outcome)
                if seen.get(trial.number) != state:
                    seen[trial.number] = state
                    yield trial
            if is_running:
                time.sleep(_POLL_S)


def _option_words(name: str, value: Any) -> list[str]:
    """Return the words of an option of the command line; None and False leave it out, and a list repeats it."""
    option = f"--{name.replace('_', '-')}"
    if isinstance(value, list | tuple):
        return [word for each in value for word in (option, str(each))]
    if value is None or value is False:
        return []
    return [option] if value is True else [option, str(value)]


def _to_yaml(value: Any) -> str:
    return json.dumps(_plain_value(value, "overrides"))


def _plain_value(value: Any, place: str) -> Any:
    """Return a value of a space in plain types of YAML: NumPy numbers as numbers, tuples as lists, paths as text.

    Raises:
        InputError: If the value has another type.
    """
    if isinstance(value, Mapping):
        return {str(key): _plain_value(entry, f"{place}.{key}") for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_plain_value(entry, f"{place}.{index}") for index, entry in enumerate(value)]
    if isinstance(value, Path):
        return str(value)
    if hasattr(value, "item") and getattr(value, "ndim", 0) == 0:
        value = value.item()
    if value is None or isinstance(value, str | bool | int | float):
        return value
    raise InputError(
        place, "a value of a space must be a number, text, list or mapping", value=value, remedy="convert it"
    )
