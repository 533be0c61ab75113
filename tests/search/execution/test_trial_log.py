"""Log of a trial: redirection of all output, its length, and the cause of the end of a process."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from search.execution.trial_log import append_to_log, read_process_end, trim_log
from search.results import SearchFolder

ROOT = Path(__file__).resolve().parents[3]


def run_in_process(folder: Path, code: str) -> subprocess.CompletedProcess[str]:
    """Run code in a process whose output goes to the log of trial 7."""
    script = folder / "toy.py"
    script.write_text(
        "import ctypes, os, signal, subprocess, sys\n"
        "from pathlib import Path\n"
        "from search.execution.trial_log import TrialLog, prepare_process\n"
        "from search.results import SearchFolder\n"
        f"prepare_process(); log = TrialLog(SearchFolder(Path({str(folder)!r}), 'toy'), 7)\n" + textwrap.dedent(code)
    )
    return subprocess.run(
        [sys.executable, str(script)],
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )


def log_of(folder: Path) -> Path:
    return SearchFolder(folder, "toy").log_path(7)


def test_all_that_a_process_and_its_children_print_is_in_the_log_attempt_by_attempt(tmp_path: Path) -> None:
    code = """
        print("from print")
        print("an error", file=sys.stderr)
        sys.stdout.write("no line end")
        subprocess.run(["echo", "from a child"])
        os.write(1, b"from native code\\n")
        log.close()
        print("after the trial")
    """
    done = [run_in_process(tmp_path, code) for _ in range(2)]
    text = log_of(tmp_path).read_text()
    for words in ("from print\n", "an error\n", "no line end", "from a child\n", "from native code\n"):
        assert text.count(words) == 2
    assert text.count("── attempt started ") == 2
    assert [process.stdout for process in done] == ["after the trial\n"] * 2


@pytest.mark.parametrize(
    ("code", "cause"),
    [
        ("os._exit(7)", "os._exit(7) at toy.py:6"),
        ("os.kill(os.getpid(), signal.SIGKILL)", "SIGKILL at toy.py:6"),
        ("os.kill(os.getpid(), 9)", "SIGKILL at toy.py:6"),
        ("signal.raise_signal(signal.SIGTERM)", "SIGTERM at toy.py:6"),
        ("os.abort()", "os.abort() at toy.py:6"),
        ("ctypes.string_at(0)", "Segmentation fault (SIGSEGV) at toy.py:6"),
        ("ctypes.CDLL(None).abort()", "Aborted (SIGABRT) at toy.py:6"),
        ("ctypes.CDLL(None).raise_(signal.SIGFPE)", None),  # no such function: an ordinary exception
        ("ctypes.CDLL(None)['raise'](int(signal.SIGFPE))", "Floating point exception (SIGFPE) at toy.py:6"),
        ("ctypes.CDLL(None)['raise'](int(signal.SIGBUS))", "Bus error (SIGBUS) at toy.py:6"),
        ("ctypes.CDLL(None)['raise'](int(signal.SIGILL))", "Illegal instruction (SIGILL) at toy.py:6"),
        ("ctypes.CDLL(None)['raise'](9)", None),
        ("if os.fork() == 0: os._exit(0)", None),  # of a child
        ("os.kill(os.getpid(), 0)", None),
    ],
)
def test_the_log_names_how_a_process_ended_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str, cause: str | None
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))  # paths are relative to the folders that modules are imported from
    run_in_process(tmp_path, code)
    end = read_process_end(log_of(tmp_path))
    assert end is not None
    assert end.cause == cause


def test_every_attempt_differs_from_the_one_before(tmp_path: Path) -> None:
    assert read_process_end(log_of(tmp_path)) is None
    ends = []
    for _ in range(2):
        run_in_process(tmp_path, "")
        ends.append(read_process_end(log_of(tmp_path)))
    assert ends[0] != ends[1]


def test_only_the_end_of_a_long_log_is_kept_for_processes_that_have_it_open(tmp_path: Path) -> None:
    path = tmp_path / "log.txt"
    with path.open("a") as writer:
        writer.writelines(f"line {number:06d}\n" for number in range(1000))
        writer.flush()
        trim_log(path, max_bytes=2000)
        writer.write("the last line\n")
    lines = path.read_text().splitlines()
    assert lines[0] == "(earlier output was removed)"
    assert lines[-2:] == ["line 000999", "the last line"]
    assert path.stat().st_size < 2000
    before = path.read_bytes()
    trim_log(path, max_bytes=2000)
    assert path.read_bytes() == before


def test_a_log_that_cannot_be_written_is_no_error(tmp_path: Path) -> None:
    results = SearchFolder(tmp_path, "toy")
    results.trial_path(7).parent.mkdir(parents=True)
    results.trial_path(7).write_text("a file in the place of the folder")
    append_to_log(results, 7, "text")
    done = run_in_process(tmp_path, 'print("goes on")')
    assert done.stdout == "goes on\n"
    assert done.returncode == 0


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_full_disk_costs_the_output_and_not_the_trial(tmp_path: Path) -> None:
    results = SearchFolder(tmp_path, "toy")
    results.trial_path(7).mkdir(parents=True)
    results.log_path(7).symlink_to("/dev/full")
    done = run_in_process(tmp_path, 'print("lost"); print("lost", file=sys.stderr); os._exit(5)')
    assert done.returncode == 5
