"""Imports run one way, and each outside system is known to one file."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
LAYERS = ["runtime", "datasets", "trainables", "spaces", "search"]
ONE_FILE = {
    "ray.data": "datasets/building/ray_data.py",
    "ray.tune": "search/execution/tune.py",
    "optuna_dashboard": "search/dashboard.py",
    "pyroomacoustics": "datasets/acoustics/pyroom.py",
    "sofar": "datasets/acoustics/sofa.py",
}
KNOW_MLFLOW = {"search/reporting/mlflow/api.py", "search/reporting/mlflow/models.py"}
KNOW_RAY = {
    "runtime/machines/ray_cluster.py",
    "datasets/building/ray_data.py",
    "search/execution/tune.py",
    "search/execution/spot.py",
}
DATASET_LAYERS: dict[str, set[str]] = {
    "acoustics": set(),
    "audio": {"acoustics"},
    "building": {"acoustics", "audio"},
    "rooms": {"acoustics", "audio", "building"},
    "recordings": {"acoustics", "audio", "building", "rooms"},
    "tau2020": {"acoustics", "audio", "building"},
    "scenes": {"acoustics", "audio", "building", "tau2020"},
    "matrices": {"building"},
    "custom": {"building"},
    "arrays": {"building"},
    "none": {"building"},
    "mixed": {"building", "rooms", "recordings"},
    "registry": {
        "building",
        "rooms",
        "recordings",
        "mixed",
        "tau2020",
        "scenes",
        "matrices",
        "custom",
        "none",
        "arrays",
    },
    "config_file": {"building", "rooms", "registry"},
    "cli_options": {"building", "registry", "config_file"},
}
"""Modules of `datasets` that a module may import besides itself; modules not listed are commands, which may import all."""
LIGHT = [
    "search.launch",
    "search.table",
    "search.predict",
    "search.package",
    "search.stress",
    "spaces.load",
    "datasets.building.parts",
    "datasets.building.manifest",
    "datasets.registry",
    "datasets.preview.__main__",
    "trainables.hnet.config",
    "trainables.localizer.config",
    "trainables.doanet.config",
]


def imports_of(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def sources() -> list[Path]:
    return [path for layer in LAYERS for path in sorted((ROOT / layer).rglob("*.py"))]


def test_there_are_sources_in_every_layer() -> None:
    assert {path.relative_to(ROOT).parts[0] for path in sources()} == set(LAYERS)


@pytest.mark.parametrize("path", sources(), ids=lambda path: str(path.relative_to(ROOT)))
def test_a_layer_imports_only_itself_and_those_below(path: Path) -> None:
    layer = LAYERS.index(path.relative_to(ROOT).parts[0])
    above = {name for name in imports_of(path) if name.partition(".")[0] in LAYERS[layer + 1 :]}
    assert not above


@pytest.mark.parametrize(
    "path", sorted((ROOT / "datasets").rglob("*.py")), ids=lambda path: str(path.relative_to(ROOT))
)
def test_datasets_import_in_one_direction(path: Path) -> None:
    layer = path.relative_to(ROOT).with_suffix("").parts[1]
    allowed = DATASET_LAYERS.get(layer, set(DATASET_LAYERS)) | {layer}
    imported = {name.split(".")[1] for name in imports_of(path) if name.startswith("datasets.")}
    assert imported <= allowed


def importers(package: str) -> set[str]:
    """Files that import a package or something of it."""
    return {
        str(path.relative_to(ROOT))
        for path in sources()
        if any(name == package or name.startswith(package + ".") for name in imports_of(path))
    }


@pytest.mark.parametrize(("package", "only"), ONE_FILE.items())
def test_an_outside_system_is_imported_in_one_file(package: str, only: str) -> None:
    assert importers(package) == {only}


def test_mlflow_is_known_to_its_adapter_and_to_the_registration_of_models() -> None:
    assert importers("mlflow") == KNOW_MLFLOW


def test_ray_is_started_in_one_file_and_used_in_three() -> None:
    assert importers("ray") == KNOW_RAY


@pytest.mark.parametrize("path", sorted((ROOT / "trainables").rglob("*.py")), ids=lambda path: path.name)
def test_a_trainable_knows_neither_ray_nor_optuna_nor_mlflow(path: Path) -> None:
    roots = {name.partition(".")[0] for name in imports_of(path)}
    assert not roots & {"ray", "optuna", "mlflow"}


@pytest.mark.parametrize("module", LIGHT)
def test_what_answers_mistakes_loads_nothing_heavy(module: str) -> None:
    import subprocess
    import sys

    heavy = {"torch", "ray", "mlflow", "optuna", "scipy", "matplotlib"}
    program = f"import sys, {module}; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


SEARCH_LEVELS = [
    {"results", "experiment"},
    {"study"},
    {"execution"},
    {"reporting"},
    {"launching", "saved_models", "prediction", "robustness"},
    {"catalog"},
    {
        "api",
        "launch",
        "table",
        "predict",
        "ui",
        "doctor",
        "list",
        "status",
        "show",
        "compare",
        "delete",
        "export",
        "package",
        "rerun",
        "record",
        "report",
        "stress",
        "dashboard",
    },
]
"""Modules and packages of `search`, from the bottom to the top; each one imports its own level and those below."""


def search_level(module: str) -> int:
    """Level of a module of `search` by its dotted name."""
    part = module.split(".")[1]
    return next(level for level, parts in enumerate(SEARCH_LEVELS) if part in parts)


@pytest.mark.parametrize("path", sorted((ROOT / "search").rglob("*.py")), ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_of_search_run_from_commands_down_to_results(path: Path) -> None:
    if path == ROOT / "search" / "__init__.py":
        return
    own = search_level(".".join(path.relative_to(ROOT).with_suffix("").parts))
    imported = {name for name in imports_of(path) if name.startswith("search.")}
    assert {name for name in imported if search_level(name) > own} == set()


@pytest.mark.parametrize("path", sorted((ROOT / "search" / "study").rglob("*.py")), ids=lambda path: path.name)
def test_the_study_knows_neither_ray_nor_mlflow(path: Path) -> None:
    assert not {name.partition(".")[0] for name in imports_of(path)} & {"ray", "mlflow"}
