"""What the core itself offers as a family, described without importing torch."""

from zoo_core.hookspecs import Architecture, Check, DataSet, Metric, hookimpl


@hookimpl
def zoo_architectures() -> list[Architecture]:
    """Describe the architectures of this family."""
    return [
        Architecture(
            name="features",
            path="zoo_core.features.net:FeatureNet",
            summary="Small residual classifier, in whose features samples are held against data",
            tasks=("features",),
            paper="He, Zhang, Ren & Sun 2015, Deep Residual Learning (arXiv 1512.03385)",
            trainer="zoo_core.features.trainer:CrossEntropy",
            check=Check(config={"heads": [2], "channels": [4, 4, 4, 8], "stem": 4}),
        )
    ]


@hookimpl
def zoo_datasets() -> list[DataSet]:
    """Describe the data sets of this family."""
    return [
        DataSet(
            "emoji-kinds",
            "zoo_core.features.data:emoji_kinds",
            "The emoji, labelled by style and group together",
        )
    ]


@hookimpl
def zoo_metrics() -> list[Metric]:
    """Describe the metrics of this family."""
    return [
        Metric(
            "head_error",
            "zoo_core.features.figures:head_error",
            "Share of rows whose class by one head is not the model's",
            "%",
            0.05,
            {"head": 0},
        )
    ]
