"""What this family offers, described without importing torch or zuko."""

from zoo_core.hookspecs import Architecture, Check, DataSet, Metric, hookimpl


@hookimpl
def zoo_architectures() -> list[Architecture]:
    """Describe the architectures of this family."""
    return [
        Architecture(
            name="spline-flow",
            path="zoo_flows.model:SplineFlow",
            summary="Neural spline flow: exact densities of real variables",
            tasks=("sample", "score", "detect"),
            paper="Durkan, Bekasov, Murray & Papamakarios 2019, Neural Spline Flows",
            trainer="zoo_flows.trainer:Dequantized",
            check=Check(
                config={"shape": [2], "transforms": 1, "hidden": [8], "bins": 4},
                data="two-moons",
            ),
        )
    ]


@hookimpl
def zoo_datasets() -> list[DataSet]:
    """Describe the data sets of this family: points in the unit square."""
    return [
        DataSet("two-moons", "zoo_flows.toys:two_moons", "Two half circles that interlock"),
        DataSet("pinwheel", "zoo_flows.toys:pinwheel", "Five arms of a spiral"),
    ]


@hookimpl
def zoo_metrics() -> list[Metric]:
    """Describe the metric of this family."""
    return [
        Metric(
            "dequantized_bits",
            "zoo_flows.metrics:dequantized_bits",
            "Bits for each grey level, bounded by noise",
            unit="bits",
            tolerance=0.001,
        )
    ]
