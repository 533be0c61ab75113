"""Views of MLflow's table of runs: the trials of a search by objective, with their hyperparameters as columns.

MLflow stores a view that was shared as a tag of the experiment, and opens it from a link (`viewStateShareKey`). A link without
one shows neither metrics nor parameters.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from search.reporting.mlflow.names import encode_metric, encode_name

_TAG: Final = "mlflow.sharedViewState."
_MAX_LENGTH: Final = 4900
"""Length of the tag of an experiment at most, in characters; MLflow accepts 5000."""


@dataclass(frozen=True)
class TableView:
    """Table of the trials of a search.

    Attributes:
        order: Metric by which trials are ordered.
        ascending: Whether small values come first.
        metrics: Metrics with a column.
        parameters: Hyperparameters with a column, as far as there is space for them.
    """

    order: str
    ascending: bool
    metrics: Sequence[str]
    parameters: Sequence[str]

    @classmethod
    def of_search(
        cls, objectives: Sequence[tuple[str, str]], tests: Sequence[str], parameters: Sequence[str]
    ) -> TableView:
        """Return the view of a search: its objectives on validation and on the test splits, and its dimensions."""
        names = [name for name, _ in objectives]
        metrics = [*names, *(f"test.{split}.{name}" for split in tests for name in names)]
        return cls(names[0], objectives[0][1] == "minimize", metrics, parameters)

    def to_json(self, parent: str) -> str:
        """Return the view in MLflow's form.

        Args:
            parent: MLflow run of the search.
        """
        columns = ["attributes.`Created`", "attributes.`Duration`", "tags.`role`", "tags.`outcome`"]
        columns += [f"metrics.`{encode_metric(name)}`" for name in self.metrics]
        state: dict[str, Any] = {
            "searchFilter": f"tags.`mlflow.parentRunId` = '{parent}'",
            "orderByKey": f"metrics.`{encode_metric(self.order)}`",
            "orderByAsc": self.ascending,
            "startTime": "ALL",
            "lifecycleFilter": "Active",
            "datasetsFilter": [],
            "modelVersionFilter": "All Runs",
            "selectedColumns": columns,
        }
        for name in self.parameters:
            column = f"params.`{encode_name(name)}`"
            if len(json.dumps(state)) + len(json.dumps(column)) + 2 > _MAX_LENGTH:
                break
            columns.append(column)
        return json.dumps(state)


def view_tag(parent: str) -> str:
    """Return the tag of the experiment that holds the view of a search."""
    return f"{_TAG}{parent}"


def view_link(experiment_id: str, parent: str) -> str:
    """Return the URL fragment that opens the view of a search."""
    return f"#/experiments/{experiment_id}/runs?workflowType=machine_learning&viewStateShareKey={parent}"


def experiment_link(experiment_id: str) -> str:
    """Return the URL fragment of all runs of an experiment."""
    return f"#/experiments/{experiment_id}/runs?workflowType=machine_learning"
