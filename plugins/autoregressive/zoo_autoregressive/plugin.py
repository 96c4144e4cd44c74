"""What this family offers, described without importing torch."""

from zoo_core.hookspecs import Architecture, hookimpl


@hookimpl
def zoo_architectures() -> list[Architecture]:
    """Describe the architectures of this family."""
    return [
        Architecture(
            name="nade",
            path="zoo_autoregressive.nade:NADE",
            summary="Neural autoregressive distribution estimator: one hidden layer, tied weights",
            tasks=("sample", "score", "detect", "complete"),
            paper="Larochelle & Murray 2011, The Neural Autoregressive Distribution Estimator",
        )
    ]
