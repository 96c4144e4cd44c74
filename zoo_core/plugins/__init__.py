"""Families: found by their entry points, each loaded alone, looked up by what they offer.

`discovery` finds them in metadata and imports nothing, `loading` imports one and remembers what
came of it, `lookup` searches their records.
"""

from typing import TYPE_CHECKING

from zoo_core.plugins.discovery import (
    Family,
    commands,
    folder,
    installed,
    missing,
    registries,
    require,
)

if TYPE_CHECKING:
    from zoo_core.plugins.loading import (
        SLOW,
        Loaded,
        forget,
        import_class,
        import_object,
        load,
        load_all,
    )
    from zoo_core.plugins.lookup import architecture, find, offer, offers, own

__all__ = [
    "SLOW",
    "Family",
    "Loaded",
    "architecture",
    "commands",
    "find",
    "folder",
    "forget",
    "import_class",
    "import_object",
    "installed",
    "load",
    "load_all",
    "missing",
    "offer",
    "offers",
    "own",
    "registries",
    "require",
]


def __getattr__(name: str) -> object:
    """Import what loads or looks up when it is first used: to find families, pluggy is not."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from zoo_core.plugins import loading, lookup

    return getattr(loading if hasattr(loading, name) else lookup, name)
