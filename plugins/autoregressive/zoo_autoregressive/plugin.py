"""What this family offers, described without importing torch."""

from zoo_core.hookspecs import Architecture, hookimpl


@hookimpl
def zoo_architectures() -> list[Architecture]:
    """Describe the architectures of this family."""
    return [
        Architecture(
            name="fvsbn",
            path="zoo_autoregressive.fvsbn:FVSBN",
            summary="Fully visible sigmoid belief network: logistic regression on all predecessors",
            tasks=("sample", "score", "detect", "complete"),
            paper="Frey, Hinton & Dayan 1995, Does the Wake-Sleep Algorithm Produce Good "
            "Density Estimators?",
        ),
        Architecture(
            name="made",
            path="zoo_autoregressive.made:MADE",
            summary="Masked autoencoder: all conditionals in one pass of a masked network",
            tasks=("sample", "score", "detect", "complete"),
            paper="Germain et al. 2015, MADE: Masked Autoencoder for Distribution Estimation",
        ),
        Architecture(
            name="nade",
            path="zoo_autoregressive.nade:NADE",
            summary="Neural autoregressive distribution estimator: one hidden layer, tied weights",
            tasks=("sample", "score", "detect", "complete"),
            paper="Larochelle & Murray 2011, The Neural Autoregressive Distribution Estimator",
        ),
    ]
