"""What the core itself offers as a family, described without importing torch."""

from zoo_core.hookspecs import Architecture, Check, hookimpl


@hookimpl
def zoo_architectures() -> list[Architecture]:
    """Describe the architectures of this family."""
    return [
        Architecture(
            name="features",
            path="zoo_core.features.net:FeatureNet",
            summary="Small residual classifier, in whose features samples are held against data",
            tasks=(),
            paper="He, Zhang, Ren & Sun 2015, Deep Residual Learning (arXiv 1512.03385)",
            trainer="zoo_core.features.trainer:CrossEntropy",
            check=Check(config={"heads": [2], "channels": [4, 4, 4, 8], "stem": 4}),
        )
    ]
