"""Invalid command lines and space files, each with the words that the error must contain.

Used by the tests, and by `benchmarks.wrong_inputs`, which measures the time until the error.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
import yaml
from pydantic_core._pydantic_core import list_all_errors

ROOT = Path(__file__).resolve().parent.parent.parent
GOOD = (ROOT / "spaces" / "rg_rep.yaml").read_text()


@dataclass(frozen=True)
class Case:
    """Wrong input.

    Attributes:
        name: Description of the mistake.
        says: Words that the error must contain: the place, and the remedy or the rule.
        space: Function from the text of the valid space file to that of the wrong one; None for the valid one.
        options: Further arguments; `{tmp}` stands for the folder of the test.
        prepare: Function that writes files to the folder of the test.
        file: Path given as the space file, relative to the folder of the test.
    """

    name: str
    says: tuple[str, ...]
    space: Callable[[str], str] | None = None
    options: tuple[str, ...] = ()
    prepare: Callable[[Path], None] | None = None
    file: str = "space.yaml"

    def command(self, folder: Path) -> list[str]:
        """Write the files, and return the arguments of `python -m search.launch`."""
        path = folder / "space.yaml"
        path.write_text(GOOD if self.space is None else self.space(GOOD))
        if self.prepare is not None:
            self.prepare(folder)
        options = [option.replace("{tmp}", str(folder)) for option in self.options]
        storage = [] if "--storage" in options else ["--storage", str(folder / "runs")]
        return [str(folder / self.file), *options, *storage]


def sub(pattern: str, replacement: str) -> Callable[[str], str]:
    """Return a function that replaces the first match, and fails if there is none."""

    def change(text: str) -> str:
        changed, count = re.subn(pattern, replacement, text, count=1)
        assert count == 1, f"{pattern!r} is not in the space file"
        return changed

    return change


def search(entry: str) -> Callable[[str], str]:
    """Return a function that adds a dimension."""
    return sub(r"search:\n", f"search:\n  {entry}\n")


def batch_size(dimension: str) -> Callable[[str], str]:
    """Return a function that replaces the dimension of the batch size."""
    return sub(r"batch_size: \{choice.*\}", f"batch_size: {dimension}")


def music(
    make: Callable[[Path], object] | None, genres: tuple[str, ...] = ("classical", "funk", "jazz")
) -> Callable[[Path], None]:
    """Return a function that writes a valid folder of music and then damages it."""

    def prepare(folder: Path) -> None:
        for number, genre in enumerate(genres):
            (folder / "audio" / genre).mkdir(parents=True)
            noise = np.random.default_rng(number).normal(0, 0.1, 16000 * 60)
            soundfile.write(folder / "audio" / genre / "piece.flac", noise, 16000)
        if make is not None:
            make(folder / "audio")

    return prepare


def read_only_folder(folder: Path) -> None:
    (folder / "locked").mkdir()
    (folder / "locked").chmod(0o500)


def started_before(change: Callable[[dict[str, object]], None] | None = None) -> Callable[[Path], None]:
    def prepare(folder: Path) -> None:
        from search.results import SearchFolder
        from spaces.load import load_space

        identity = load_space(folder / "space.yaml", has_gpu=False).identity()
        if change is not None:
            change(identity)
        SearchFolder(folder / "runs", "rg_rep").write_identity(identity)

    return prepare


def pydantic_phrases() -> list[str]:
    """Return the beginnings of all messages of pydantic, in lower case, and the names of classes and types inside them."""
    beginnings = [error["message_template_python"].partition("{")[0].strip().lower() for error in list_all_errors()]
    return [*(words for words in beginnings if len(words) > 8), "instance of", "literal[", "union[", "valid dictionary"]


AUDIO = ("--audio", "{tmp}/audio")

CASES = [
    Case("a misspelt top-level key", ("objektives", "did you mean 'objectives'"), sub("objectives:", "objektives:")),
    Case(
        "a misspelt key inside",
        ("budget.trails", "did you mean 'trials'"),
        sub(r"\{trials: 64", "{trails: 64"),
        ("--profile", "full"),
    ),
    Case("a misspelt dataset key", ("dataset.layuot", "did you mean 'layout'"), sub("layout:", "layuot:")),
    Case(
        "a misspelt searched field",
        ("search.loss.inactive_wieght", "loss.inactive_weight"),
        sub("loss.inactive_weight:", "loss.inactive_wieght:"),
    ),
    Case("a misspelt fixed field", ("fixed.network.widht", "network.width"), sub("network.width:", "network.widht:")),
    Case("a word where a number belongs", ("budget.trials", "integer"), sub("trials: 12", "trials: many")),
    Case(
        "a negative budget",
        ("budget.trials", "an integer above 0", "number of trials"),
        sub("trials: 12", "trials: -4"),
    ),
    Case("zero epochs", ("budget.epochs", "an integer above 0"), sub("epochs: 12", "epochs: 0")),
    Case("bounds reversed", ("search.grid.margin_m", "[0, 1]"), search("grid.margin_m: {uniform: [1, 0]}")),
    Case(
        "a logarithmic range from zero",
        ("search.target.sigma_m", "above zero"),
        search("target.sigma_m: {log_uniform: [0, 1]}"),
    ),
    Case(
        "a bound outside the field's own",
        ("search.network.leak", "at most 0.5", "a number from 0 to 0.5"),
        search("network.leak: {uniform: [0, 2]}"),
    ),
    Case(
        "a choice the field does not know",
        ("search.network.merge", "'concat' or 'sum'"),
        search("network.merge: {choice: [concat, product]}"),
    ),
    Case(
        "another word for a field of the right group",
        ("search.optimizer.learning_rate", "did you mean 'optimizer.lr'"),
        search("optimizer.learning_rate: {log_uniform: [0.001, 0.1]}"),
    ),
    Case(
        "another word for a field, without its group",
        ("--set learning_rate", "did you mean 'optimizer.lr'"),
        None,
        ("--set", "learning_rate=0.1"),
    ),
    Case(
        "an unknown field of a known group",
        ("--set augment.reverse", "name a field of augment:", "augment.channel_gain_db  each microphone's"),
        None,
        ("--set", "augment.reverse=true"),
    ),
    Case(
        "a group in place of a field",
        ("--set optimizer", "name a field of optimizer:", "optimizer.lr "),
        None,
        ("--set", "optimizer=adam"),
    ),
    Case(
        "a baseline of a wrong type",
        ("baseline", "'paper' or a mapping"),
        sub("baseline: paper", "baseline: 3"),
    ),
    Case(
        "a list in the baseline",
        ("baseline.optimizer.lr", "a number above 0"),
        sub("baseline: paper", "baseline: {optimizer.lr: [1]}"),
    ),
    Case(
        "a baseline that the Config refuses",
        ("baseline.optimizer.lr", "at most 1"),
        sub("baseline: paper", "baseline: {optimizer.lr: 2}"),
    ),
    Case(
        "a continuous range of an integer",
        ("search.optimizer.batch_size", "integer field", "{log_int: [16, 128]}"),
        batch_size("{log_uniform: [16, 128]}"),
    ),
    Case(
        "a range of true and false",
        ("search.retrieval.peaks", "true or false", "{choice: [false, true]}"),
        search("retrieval.peaks: {int: [0, 1]}"),
    ),
    Case(
        "a range of names",
        ("search.network.merge", "one of its values", "{choice: ['concat', 'sum']}"),
        search("network.merge: {uniform: [0, 1]}"),
    ),
    Case(
        "a continuous range of a number of samples",
        ("search.dataset.train.samples", "integer field", "{int: [100, 2000]}"),
        search("dataset.train.samples: {uniform: [100, 2000]}"),
    ),
    Case(
        "a step that does not reach the bound",
        ("search.optimizer.batch_size.step", "whole number of steps", "{int: [16, 96], step: 16}"),
        batch_size("{int: [16, 100], step: 16}"),
    ),
    Case(
        "a step of a logarithmic range",
        ("search.optimizer.batch_size.step", "not to log_int"),
        batch_size("{log_int: [16, 128], step: 16}"),
    ),
    Case(
        "a step of a choice",
        ("search.network.merge.step", "not to a choice"),
        search("network.merge: {choice: [concat, sum], step: 1}"),
    ),
    Case(
        "a step of zero",
        ("search.network.leak.step", "above zero"),
        search("network.leak: {uniform: [0, 0.5], step: 0}"),
    ),
    Case(
        "a fraction as a step of integers",
        ("search.optimizer.batch_size.step", "whole number"),
        batch_size("{int: [16, 64], step: 1.5}"),
    ),
    Case("an infinite bound", ("search.optimizer.batch_size", "finite"), batch_size("{int: [16, .inf]}")),
    Case(
        "a group as a choice",
        ("search.network.merge", "single value", "by dotted name"),
        search("network.merge: {choice: [{kind: sum}]}"),
    ),
    Case(
        "a choice that is not finite", ("search.network.leak", "finite"), search("network.leak: {choice: [0.1, .nan]}")
    ),
    Case(
        "one choice in two forms",
        ("search.network.leak", "must differ"),
        search("network.leak: {choice: [0, 0.0]}"),
    ),
    Case(
        "null where the Config takes none",
        ("search.network.leak", "a number"),
        search("network.leak: {choice: [null, 0.1]}"),
    ),
    Case(
        "points that are nearly all impossible",
        ("search", "100 of 100 random points", "a multiple of 8"),
        search("network.decoder_width: {int: [17, 23]}"),
        ("--profile", "full"),
    ),
    Case("an unknown sampler", ("sampler", "'random'"), None, ("--set", "sampler=bayes")),
    Case(
        "a sampler with options",
        ("sampler", "write  sampler: gp"),
        sub("stopping:", "sampler: {type: gp, seed: 1}\nstopping:"),
    ),
    Case(
        "a grid of a range without a step",
        ("sampler", "loss.inactive_weight has neither", "{choice: [0.02, 0.07368, 0.2714, 1]}", "sampler: qmc"),
        sub("stopping:", "sampler: grid\nstopping:"),
    ),
    Case(
        "CMA-ES with choices",
        ("sampler", "cma requires ranges only", "grid.cells", "sampler: gp"),
        sub("stopping:", "sampler: cma\nstopping:"),
    ),
    Case(
        "a prior outside of its range",
        ("search.network.leak.prior", "0.1 to 0.3", "write  prior: 0.3"),
        search("network.leak: {uniform: [0.1, 0.3], prior: 0.4}"),
    ),
    Case(
        "a prior between two steps",
        ("search.optimizer.batch_size.prior", "in steps of 16", "write  prior: 48"),
        batch_size("{int: [16, 64], step: 16, prior: 50}"),
    ),
    Case(
        "a prior that is no choice",
        ("search.network.merge.prior", "'concat', 'sum'"),
        search("network.merge: {choice: [concat, sum], prior: product}"),
    ),
    Case(
        "a prior of an unknown width",
        ("search.network.leak.width", "narrow, medium or wide"),
        search("network.leak: {uniform: [0.1, 0.3], prior: 0.2, width: 0.05}"),
    ),
    Case(
        "a width without a prior",
        ("search.network.leak.width", "belongs to a prior"),
        search("network.leak: {uniform: [0.1, 0.3], width: narrow}"),
    ),
    Case(
        "the standard deviation of a prior",
        ("search.network.leak", "width: narrow, medium or wide"),
        search("network.leak: {uniform: [0.1, 0.3], prior: 0.2, sigma: 0.1}"),
    ),
    Case(
        "a grid with a prior",
        ("sampler", "priors have no effect", "network.leak"),
        lambda text: search("network.leak: {uniform: [0.1, 0.3], step: 0.1, prior: 0.2}")(
            sub("stopping:", "sampler: grid\nstopping:")(text)
        ),
    ),
    Case("text in a sweep", ("inner.threshold.range.0", "a number"), sub(r"range: \[0.1", "range: [low")),
    Case("a number for a mapping", ("stopping", "a mapping of keys"), None, ("--set", "stopping=3")),
    Case("a list with one number", ("dataset.size_m", "a list of 2 values"), None, ("--set", "dataset.size_m=[6]")),
    Case("no objective", ("objectives", "at least 1 entries"), None, ("--set", "objectives=[]")),
    Case("a fraction of an epoch", ("budget.epochs", "without a fraction"), None, ("--set", "budget.epochs=1.5")),
    Case("money that is no number", ("budget.money", "a finite number"), None, ("--set", "budget.money=.nan")),
    Case("negative GPU-hours", ("budget.gpu_hours", "above 0"), None, ("--set", "budget.gpu_hours=-2")),
    Case(
        "a fraction of an epoch in all", ("budget.epochs_total", "integer"), None, ("--set", "budget.epochs_total=2.5")
    ),
    Case("money without a price", ("budget.money", "price_per_hour"), None, ("--set", "budget.money=20")),
    Case(
        "GPU-hours without a GPU",
        ("budget.gpu_hours", "trials that use a GPU"),
        None,
        ("--set", "budget.gpu_hours=20", "--set", "resources.gpu=0"),
    ),
    Case("a budget of another name", ("budget.cost", "write  money: …"), None, ("--set", "budget.cost=20")),
    Case("an infinite duration", ("budget.hours", "a finite number"), None, ("--set", "budget.hours=.inf")),
    Case(
        "a missing key",
        ("budget.epochs", "required", "epochs of a full training"),
        None,
        ("--set", "budget={trials: 4}"),
    ),
    Case(
        "a key and its synonym",
        ("inference", "two names of the same key"),
        sub("inner:\n", "inference: {threshold: {choice: [0.5]}}\ninner:\n"),
    ),
    Case("a range with one number", ("search.network.leak", "two numbers"), search("network.leak: {uniform: [0.1]}")),
    Case(
        "an unknown kind of range",
        ("search.network.leak", "did you mean 'log_uniform'"),
        search("network.leak: {loguniform: [0.1, 0.2]}"),
    ),
    Case(
        "fractions as integers",
        ("search.optimizer.clip_norm", "whole numbers"),
        search("optimizer.clip_norm: {int: [0.5, 3]}"),
    ),
    Case("an empty choice", ("search.network.merge", "list of values"), search("network.merge: {choice: []}")),
    Case(
        "a condition on a missing name",
        ("loss.huber_delta.when", "loss.regression"),
        sub("when: {loss.regression:", "when: {loss.regresion:"),
    ),
    Case(
        "a condition on an impossible value",
        ("loss.huber_delta.when", "'mse', 'smooth_l1'"),
        sub("loss.regression: smooth_l1}", "loss.regression: l1}"),
    ),
    Case(
        "fixed and searched at once",
        ("fixed.optimizer.lr", "not both"),
        sub("fixed: {rep", "fixed: {optimizer.lr: 0.1, rep"),
    ),
    Case(
        "a point of start outside the search",
        ("start.0.grid.cells", "4, 6, 8, 12", "widen search.grid.cells"),
        sub("grid.cells: 6, loss.regression", "grid.cells: 7, loss.regression"),
    ),
    Case(
        "an unknown objective",
        ("objectives.0.metric", "did you mean 'f1_0.3m'"),
        sub("metric: f1_mean", "metric: f1_03m"),
    ),
    Case(
        "an unknown trainable",
        ("trainable", "did you mean 'localizer'"),
        sub("trainable: localizer", "trainable: locatizer"),
    ),
    Case(
        "a trainable that cannot be imported",
        ("trainable", "no_such_package"),
        sub("trainable: localizer", "trainable: no_such_package.x:Y"),
    ),
    Case("an unknown inner parameter", ("inner.treshold", "did you mean 'threshold'"), sub("threshold:", "treshold:")),
    Case("an inner value out of range", ("inner.threshold", "[0, 1]"), sub(r"\[0.1, 0.9, 0.05\]", "[0.1, 1.9, 0.05]")),
    Case("an unknown layout", ("dataset", "kinect_corners"), sub("kinect_corners", "kinect_korners")),
    Case(
        "a genre the band does not play", ("dataset", "classical, funk, jazz"), None, ("--set", "dataset.held_out=rock")
    ),
    Case("a room too small", ("dataset", "min_distance_m", "larger"), None, ("--set", "dataset.min_distance_m=7")),
    Case(
        "a test set named like a path", ("dataset.tests", "letters, digits"), None, ("--set", "dataset.tests={a/b: 4}")
    ),
    Case("sources reversed", ("dataset", "reversed"), sub("sources: 1-2", "sources: 2-1")),
    Case(
        "an unknown test set",
        ("dataset", "S0, S1, S2"),
        sub(r"\[S0, S1, S2\]", "[S0, S9]"),
        ("--profile", "full", "--dry-run"),
    ),
    Case(
        "a constraint on an unknown metric",
        ("constraints.0", "did you mean 'precision_1m'", "parameters"),
        None,
        ("--set", "constraints=[precision_lm >= 0.8]"),
    ),
    Case(
        "a constraint with another operator",
        ("constraints.0", "write  parameters <= 2e6"),
        None,
        ("--set", "constraints=[parameters < 2e6]"),
    ),
    Case(
        "constraints that contradict each other",
        ("constraints.1", "contradict"),
        None,
        ("--set", "constraints=[recall_1m >= 0.8, recall_1m <= 0.7]"),
    ),
    Case("an unknown stopping rule", ("stopping.rule", "'median'"), sub("rule: asha", "rule: halving")),
    Case("a name that is a path", ("name", "letters, digits"), sub("name: rg_rep", "name: ../elsewhere")),
    Case("an empty file", ("space.yaml", "must not be empty"), lambda _: ""),
    Case("a list instead of a mapping", ("space.yaml", "mapping"), lambda _: "- a\n- b\n"),
    Case("broken YAML", ("line 4", "valid YAML"), lambda _: "name: x\nsearch:\n  a: [1, 2\n"),
    Case("no such file", ("rg_rap.yaml", "must exist"), None, (), None, "rg_rap.yaml"),
    Case("a folder", ("a space must be a file",), None, (), None, "."),
    Case("an unknown profile", ("profiles", "did you mean 'laptop'"), None, ("--profile", "laptob")),
    Case("a misspelt option", ("--trails", "did you mean '--trials'"), None, ("--trails", "3")),
    Case("no trials", ("--trials", "above zero"), None, ("--trials", "0")),
    Case("negative hours", ("--hours", "above zero"), None, ("--hours", "-1")),
    Case("a seed that is no number", ("--seed", "0 … 2147483647", "see --help"), None, ("--seed", "lucky")),
    Case("an override without a value", ("--set", "dotted.name=value"), None, ("--set", "budget.trials")),
    Case("an override of nothing", ("optimzer.lr", "did you mean 'optimizer.lr'"), None, ("--set", "optimzer.lr=0.1")),
    Case("an override of the wrong type", ("dataset.train", "integer"), None, ("--set", "dataset.train=lots")),
    Case("a retry of a new search", ("--retry", "add --resume"), None, ("--retry", "failed")),
    Case("a retry of what is not known", ("--retry", "invalid choice"), None, ("--retry", "all", "--resume")),
    Case("resume and fresh at once", ("not allowed with",), None, ("--resume", "--fresh")),
    Case("a store of an unknown form", ("--tracking-uri", "sqlite:///"), None, ("--tracking-uri", "mlruns")),
    Case("storage that is a file", ("--storage", "folder"), None, ("--storage", "{tmp}/space.yaml")),
    Case("storage below a file", ("--storage", "folder"), None, ("--storage", "{tmp}/space.yaml/runs")),
    Case("storage that cannot be written", ("--storage", "writable"), None, ("--storage", "/proc/runs")),
    Case("a bucket without a study", ("--storage", "add --study postgresql"), None, ("--storage", "s3://bucket/runs")),
    Case(
        "a bucket without a server for MLflow",
        ("--storage", "add --tracking-uri http"),
        None,
        ("--storage", "s3://bucket/runs", "--study", "grpc://host:13000"),
    ),
    Case(
        "a bucket and MLflow in a file",
        ("--storage", "add --tracking-uri http"),
        None,
        ("--storage", "s3://bucket/runs", "--study", "grpc://host:13000", "--tracking-uri", "sqlite:////tmp/x.db"),
    ),
    Case("a study in SQLite", ("--study", "postgresql://user@host"), None, ("--study", "sqlite:///study.db")),
    Case("a proxy without a port", ("--study", "grpc://host:port"), None, ("--study", "grpc://host")),
    Case(
        "a tracking server that is away",
        ("--tracking-uri", "must answer at http://127.0.0.1:9", "refused"),
        None,
        ("--tracking-uri", "http://127.0.0.1:9"),
    ),
    Case(
        "a tracking server's port that is none",
        ("--tracking-uri", "out of range"),
        None,
        ("--tracking-uri", "http://h:99999"),
    ),
    Case("more cores than there are", ("resources.cpu", "--set resources.cpu="), None, ("--set", "resources.cpu=4096")),
    Case("a GPU that is not there", ("resources.gpu", "--profile laptop"), None, ("--set", "resources.gpu=1")),
    Case("two GPUs that are not there", ("resources.gpu", "--profile laptop"), None, ("--set", "resources.gpu=2")),
    Case("a GPU and a half for a trial", ("resources.gpu", "on several"), None, ("--set", "resources.gpu=1.5")),
    Case("a word for a GPU", ("resources.gpu", "'auto'"), None, ("--set", "resources.gpu=many")),
    Case("trials that wait for nodes without a cluster", ("--at-once", "--address auto"), None, ("--at-once", "4")),
    Case("a cluster by its dashboard", ("--address", "ray job submit"), None, ("--address", "http://10.0.0.2:8265")),
    Case("a cluster through Ray's client", ("--address", "ray exec"), None, ("--address", "ray://10.0.0.2:10001")),
    Case("a cluster without a port", ("--address", "HOST:PORT"), None, ("--address", "10.0.0.2")),
    Case("a disk too small", ("--storage", "GB"), None, ("--set", "dataset.train=900000000")),
    Case("no music folder", ("--audio", "must exist"), None, AUDIO),
    Case(
        "music without genres",
        ("--audio", "sub-folder per genre"),
        None,
        AUDIO,
        lambda folder: (folder / "audio").mkdir(),
    ),
    Case("no held-out genre", ("--audio", "jazz"), None, AUDIO, music(None, ("classical", "funk"))),
    Case(
        "an empty audio file",
        ("empty.wav", "must not be empty"),
        None,
        AUDIO,
        music(lambda a: (a / "funk" / "empty.wav").touch()),
    ),
    Case(
        "a corrupt audio file",
        ("bad.flac", "readable"),
        None,
        AUDIO,
        music(lambda a: bool((a / "funk" / "bad.flac").write_bytes(os.urandom(5000))) or None),
    ),
    Case(
        "too little music",
        ("funk", "at least"),
        None,
        AUDIO,
        music(lambda a: soundfile.write(a / "funk" / "piece.flac", np.ones(16000), 16000)),
    ),
    Case(
        "a warm start as text", ("warm_start", "warm_start: [other]"), sub(r"\nbudget:", "\nwarm_start: other\nbudget:")
    ),
    Case(
        "a warm start from no search", ("--warm-start", "the storage holds no search"), None, ("--warm-start", "other")
    ),
    Case("a search started before", ("started before", "--resume"), None, (), started_before()),
    Case(
        "a resumed search that changed",
        ("space.yaml: budget.epochs", "3 → 12", "learning-rate schedules", "--fresh"),
        None,
        ("--resume",),
        started_before(lambda i: i.update(epochs=3)),
    ),
]


def checked(cases: list[Case]) -> list[Case]:
    """Return the cases, after checking that the valid file is the expected one and that names are unique."""
    assert yaml.safe_load(GOOD)["name"] == "rg_rep"
    assert len({case.name for case in cases}) == len(cases)
    return cases
