"""What this family offers, described without importing torch."""

from zoo_core.hookspecs import Architecture, hookimpl


@hookimpl
def zoo_architectures() -> list[Architecture]:
    """Describe the architectures of this family."""
    return [
        Architecture(
            name="my-family",
            path="zoo_my_family.model:MyFamily",
            summary="A chain of logistic regressions over binary variables",
            tasks=("sample", "score", "detect"),
        )
    ]
