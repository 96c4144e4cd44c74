"""The one place where an entry, a run folder or a file becomes a model on a device.

`sources` finds what a name stands for, `weights` reads and writes a file of weights, `provenance`
keeps what is known about a model, `models` builds one and gives it its weights.
"""

from zoo_core.config import build
from zoo_core.loading.models import blank, create, load, loaded, save
from zoo_core.loading.provenance import (
    Info,
    as_module,
    class_names,
    info,
    ready,
    requirement,
    set_info,
)
from zoo_core.loading.sources import Source, entry_beside, entry_of_run, open_source, resolve
from zoo_core.loading.weights import WEIGHTS, fill

__all__ = [
    "WEIGHTS",
    "Info",
    "Source",
    "as_module",
    "blank",
    "build",
    "class_names",
    "create",
    "entry_beside",
    "entry_of_run",
    "fill",
    "info",
    "load",
    "loaded",
    "open_source",
    "ready",
    "requirement",
    "resolve",
    "save",
    "set_info",
]
