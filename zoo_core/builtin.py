"""What the core itself offers, through the hooks that every family uses; torch is not imported."""

from zoo_core.hookspecs import DataSet, Metric, Task, hookimpl


@hookimpl
def zoo_tasks() -> list[Task]:
    """Describe the core's tasks; the first that a model can do is what `zoo run` does."""
    return []


@hookimpl
def zoo_metrics() -> list[Metric]:
    """Describe the core's metrics."""
    return []


@hookimpl
def zoo_datasets() -> list[DataSet]:
    """Describe the data sets that are drawn by code or downloaded."""
    return []
