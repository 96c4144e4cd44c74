"""Tensors become files and terminal pictures, each with its provenance.

Nothing here loads a model or names a task; matplotlib is imported only by what plots.
"""

from zoo_core.output.files import (
    check_free,
    free_name,
    free_names,
    read_provenance,
    save_free,
    save_gif,
    save_image,
    save_table,
    save_tensors,
    sidecar,
    write,
)
from zoo_core.output.grid import blank, grid, heat, layout, stacked
from zoo_core.output.plots import (
    Point,
    plot_bars,
    plot_curve,
    plot_histogram,
    plot_histograms,
    plot_points,
    plot_scatter,
)
from zoo_core.output.table import Table
from zoo_core.output.terminal import show

__all__ = [
    "Point",
    "Table",
    "blank",
    "check_free",
    "free_name",
    "free_names",
    "grid",
    "heat",
    "layout",
    "plot_bars",
    "plot_curve",
    "plot_histogram",
    "plot_histograms",
    "plot_points",
    "plot_scatter",
    "read_provenance",
    "save_free",
    "save_gif",
    "save_image",
    "save_table",
    "save_tensors",
    "show",
    "sidecar",
    "stacked",
    "write",
]
