"""Families: found by their entry points, each loaded alone, looked up by what they offer.

`discovery` finds them in metadata and imports nothing, `loading` imports one and remembers what
came of it, `lookup` searches their records.
"""

from zoo_core.plugins.discovery import (
    Family,
    commands,
    folder,
    installed,
    missing,
    registries,
    require,
)
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
