"""`deploy/kuberay.yaml` against a schema of the fields it uses.

The schema follows KubeRay's published types but is stricter: it allows only the fields named here. It does not replace
`kubectl apply --dry-run=server` on a cluster with the operator.
"""

from __future__ import annotations

import copy
import re
import shlex
from typing import Any

import jsonschema
import pytest
import yaml

from search import launch
from tests.cluster.lab import ROOT

Schema = dict[str, Any]


def struct(required: str = "", **fields: Schema) -> Schema:
    return {"type": "object", "properties": fields, "required": required.split(), "additionalProperties": False}


TEXT: Schema = {"type": "string"}
COUNT: Schema = {"type": "integer", "minimum": 0, "maximum": 2**31 - 1}
TEXTS: Schema = {"type": "object", "additionalProperties": TEXT}
QUANTITIES: Schema = {
    "type": "object",
    "additionalProperties": {"type": "string", "pattern": r"^[0-9]+(\.[0-9]+)?(m|[KMGT]i?)?$"},
}


def array_of(item: Schema) -> Schema:
    return {"type": "array", "items": item}


CONTAINER = struct(
    "name image",
    name=TEXT,
    image=TEXT,
    workingDir=TEXT,
    env=array_of(struct("name value", name=TEXT, value=TEXT)),
    envFrom=array_of(struct(secretRef=struct("name", name=TEXT))),
    resources=struct(requests=QUANTITIES, limits=QUANTITIES),
    volumeMounts=array_of(struct("name mountPath", name=TEXT, mountPath=TEXT)),
)
POD = struct(
    "spec",
    spec=struct(
        "containers",
        containers={**array_of(CONTAINER), "minItems": 1},
        nodeSelector=TEXTS,
        tolerations=array_of(struct(key=TEXT, operator={"enum": ["Exists", "Equal"]}, effect=TEXT, value=TEXT)),
        volumes=array_of(struct("name", name=TEXT, emptyDir=struct(medium=TEXT, sizeLimit=TEXT))),
    ),
)
CLUSTER = struct(
    "rayVersion headGroupSpec",
    rayVersion=TEXT,
    authOptions=struct("mode", mode={"enum": ["disabled", "token"]}),
    enableInTreeAutoscaling={"type": "boolean"},
    autoscalerOptions=struct(
        idleTimeoutSeconds=COUNT, upscalingMode={"enum": ["Default", "Aggressive", "Conservative"]}
    ),
    headGroupSpec=struct("template", rayStartParams=TEXTS, template=POD),
    workerGroupSpecs=array_of(
        struct(
            "groupName minReplicas maxReplicas template",
            groupName=TEXT,
            replicas=COUNT,
            minReplicas=COUNT,
            maxReplicas=COUNT,
            rayStartParams=TEXTS,
            template=POD,
        )
    ),
)
JOB = struct(
    "apiVersion kind metadata spec",
    apiVersion={"const": "ray.io/v1"},
    kind={"const": "RayJob"},
    metadata=struct("name", name={"type": "string", "pattern": "^[a-z0-9-]{1,47}$"}),
    spec=struct(
        "entrypoint rayClusterSpec",
        entrypoint=TEXT,
        backoffLimit=COUNT,
        shutdownAfterJobFinishes={"type": "boolean"},
        ttlSecondsAfterFinished=COUNT,
        rayClusterSpec=CLUSTER,
    ),
)


@pytest.fixture
def manifest() -> Any:
    return yaml.safe_load((ROOT / "deploy" / "kuberay.yaml").read_text(encoding="utf-8"))


def test_it_has_the_fields_of_a_ray_job_and_no_others(manifest: Any) -> None:
    jsonschema.Draft202012Validator.check_schema(JOB)
    jsonschema.validate(manifest, JOB)


def test_a_misspelt_field_is_found(manifest: Any) -> None:
    broken = copy.deepcopy(manifest)
    broken["spec"]["rayClusterSpec"]["workerGroupSpecs"][0]["maxReplica"] = 3
    with pytest.raises(jsonschema.ValidationError, match="maxReplica"):
        jsonschema.validate(broken, JOB)


def test_its_workers_are_within_bounds(manifest: Any) -> None:
    for group in manifest["spec"]["rayClusterSpec"]["workerGroupSpecs"]:
        assert group["minReplicas"] <= group["replicas"] <= group["maxReplicas"]


def test_it_runs_the_pinned_ray(manifest: Any) -> None:
    pinned = re.search(r"^ray==(.+)$", (ROOT / "constraints.txt").read_text(), re.MULTILINE)
    assert pinned is not None
    assert manifest["spec"]["rayClusterSpec"]["rayVersion"] == pinned[1]


def test_its_health_checks_are_those_of_cluster_yaml(manifest: Any) -> None:
    node_env = (ROOT / "deploy" / "node.env").read_text()
    cluster = manifest["spec"]["rayClusterSpec"]
    for group in (cluster["headGroupSpec"], *cluster["workerGroupSpecs"]):
        for variable in group["template"]["spec"]["containers"][0]["env"]:
            assert f"{variable['name']}={variable['value']}" in node_env


def test_launch_accepts_its_search(manifest: Any) -> None:
    words = shlex.split(manifest["spec"]["entrypoint"])
    assert words[:3] == ["python", "-m", "search.launch"]
    options = launch.build_parser().parse_args(words[3:])
    assert options.resume_or_start  # also when the head is replaced and the job starts again
    assert options.at_once == manifest["spec"]["rayClusterSpec"]["workerGroupSpecs"][0]["maxReplicas"]
