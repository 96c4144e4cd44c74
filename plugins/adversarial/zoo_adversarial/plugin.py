"""What this family offers, described without importing torch."""

from zoo_core.hookspecs import Architecture, hookimpl


@hookimpl
def zoo_architectures() -> list[Architecture]:
    """Describe the architectures of this family."""
    return []
