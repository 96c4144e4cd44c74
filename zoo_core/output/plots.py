"""Histograms, bars, scatters and training curves, drawn by matplotlib without a display.

Over 400 lines: all kinds of picture share one frame, its colours and its limits.
"""

from __future__ import annotations

import io
import math
from collections.abc import Iterable, Mapping, Sequence
from itertools import cycle, product
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any, NamedTuple, TypedDict

from zoo_core.errors import InvalidInput

if TYPE_CHECKING:
    from typing import Unpack

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from zoo_core.output.files import Provenance

    Lines = dict[str, tuple[list[float], list[float]]]
    """Steps and values of losses, by name."""

__all__ = [
    "Frame",
    "Point",
    "plot_bars",
    "plot_curve",
    "plot_histogram",
    "plot_histograms",
    "plot_points",
    "plot_scatter",
]

_COLOURS = ("#1f6fb4", "#e07b1a", "#3a923a", "#b33a3a", "#7a5ba6", "#7f5a4f")
_INK = "#333333"

_MOST_BARS = 30
"""Bars that one picture has room for."""

_SIDES = (
    (8, 0, "left", "center"),
    (-8, 0, "right", "center"),
    (0, 9, "center", "bottom"),
    (0, -9, "center", "top"),
    (7, 9, "left", "bottom"),
    (7, -9, "left", "top"),
    (-7, 9, "right", "bottom"),
    (-7, -9, "right", "top"),
    (8, 0, "left", "center"),
)
"""Where a point's name may stand, tried in turn: offset in points, alignment."""
_BOOKKEEPING = ("step", "epoch", "lr", "steps_per_s")
"""What a row of metrics.jsonl holds besides losses."""


class Frame(TypedDict, total=False):
    """What every picture takes."""

    title: str
    """A line above the picture."""
    provenance: Provenance | None
    """Put into the PNG."""
    force: bool
    """Overwrite."""


def plot_histogram(
    groups: Mapping[str, Sequence[float]],
    path: Path,
    *,
    label: str,
    **frame: Unpack[Frame],
) -> None:
    """Draw one histogram over the other for each group of values.

    Args:
        groups: values by name; what is not finite is left out.
        path: the PNG to write.
        label: what the values are, with their unit.
        frame: the title above it, its provenance, and whether to overwrite.
    """
    figure, axes = _figure(frame)
    _draw_histogram(axes, groups, label, path)
    _finish(figure, axes, path, frame)


def plot_histograms(
    panels: Mapping[str, Mapping[str, Sequence[float]]],
    path: Path,
    **frame: Unpack[Frame],
) -> None:
    """Draw histograms of the same groups one below the other, as `plot_histogram` does.

    The bars at both ends hold what lies beyond them: half a percent of the values each.

    Args:
        panels: groups by what their values are.
        path: the PNG to write.
        frame: the title above it, its provenance, and whether to overwrite.
    """
    figure, first = _figure(frame, size=(7.2, 1 + 2.4 * len(panels)), rows=len(panels))
    for axes, (label, groups) in zip(figure.axes, panels.items(), strict=True):
        _draw_histogram(axes, _clip(groups), label, path)
    _finish(figure, first, path, frame)


def _clip(groups: Mapping[str, Sequence[float]]) -> dict[str, list[float]]:
    """The groups with the half percent of all values at each end moved to where that begins."""
    import numpy as np

    every = [value for values in groups.values() for value in values if math.isfinite(value)]
    low, high = np.quantile(every, [0.005, 0.995]) if every else (0, 0)
    return {name: np.clip(values, low, high).tolist() for name, values in groups.items()}


def _draw_histogram(
    axes: Axes, groups: Mapping[str, Sequence[float]], label: str, path: Path
) -> None:
    import numpy as np

    finite = {name: [v for v in values if math.isfinite(v)] for name, values in groups.items()}
    every = np.concatenate([np.asarray(values, float) for values in finite.values()])
    if not every.size:
        raise InvalidInput(f"cannot draw {path}: there are no finite values.")
    edges = np.histogram_bin_edges(every, _bins(every.size)).tolist()
    for (name, values), colour in zip(finite.items(), cycle(_COLOURS), strict=False):
        if not values:
            continue
        text = f"{name} ({len(values):,})"
        # shares: groups of different sizes are compared
        share = np.full(len(values), 100 / len(values))
        axes.hist(values, edges, weights=share, color=colour, alpha=0.3)
        axes.hist(values, edges, weights=share, color=colour, histtype="step", lw=1.4, label=text)
        axes.axvline(float(np.mean(values)), color=colour, lw=1.2, ls="--")
    axes.set_xlabel(f"{label} (dashed: mean)")
    axes.set_ylabel("% of inputs")


def plot_bars(
    values: Mapping[str, float],
    path: Path,
    *,
    label: str,
    **frame: Unpack[Frame],
) -> None:
    """Draw a bar for each of the greatest values, the greatest on top.

    Args:
        values: by name.
        path: the PNG to write.
        label: what the values are, with their unit.
        frame: the title above it, its provenance, and whether to overwrite.
    """
    shown = sorted(values.items(), key=lambda item: item[1])[-_MOST_BARS:]
    figure, axes = _figure(frame, size=(7.2, 1.2 + 0.22 * len(shown)))
    bars = axes.barh([name for name, _ in shown], [value for _, value in shown], color=_COLOURS[0])
    axes.bar_label(bars, fmt="%.2f", padding=3, fontsize=8, color=_INK)
    axes.margins(x=0.1, y=0.01)
    axes.grid(visible=False)
    rest = f"the {len(shown)} greatest of {len(values)}; " if len(values) > len(shown) else ""
    axes.set_xlabel(rest + label)
    _finish(figure, axes, path, frame)


def plot_scatter(
    groups: Mapping[str, Sequence[tuple[float, float]]],
    path: Path,
    *,
    x_label: str,
    y_label: str,
    **frame: Unpack[Frame],
) -> None:
    """Draw points of the plane, those of each group in a colour; one unit is as long on both axes.

    Args:
        groups: points by name.
        path: the PNG to write.
        x_label: what the first coordinate is.
        y_label: what the second one is.
        frame: the title above it, its provenance, and whether to overwrite.
    """
    figure, axes = _figure(frame, size=(7.2, 6.4))
    axes.set_aspect("equal", adjustable="datalim")
    for (name, points), colour in zip(groups.items(), _hues(len(groups)), strict=True):
        x, y = zip(*points, strict=True)
        axes.scatter(x, y, s=4, alpha=0.6, color=colour, lw=0, label=name)
    axes.set_xlabel(x_label)
    axes.set_ylabel(y_label)
    beside: dict[str, Any] = {"loc": "center left", "bbox_to_anchor": (1, 0.5), "markerscale": 3}
    _finish(figure, axes, path, frame, **beside)


def plot_curve(
    rows: Iterable[Mapping[str, object]],
    path: Path,
    **frame: Unpack[Frame],
) -> None:
    """Draw the losses of a training run; an older picture at the path is replaced.

    Those that end near the first one of validation share its axes; others have axes below.

    Args:
        rows: records of a metrics.jsonl: training rows with `step` and losses, validation
            rows with `step` and values whose names begin with `val_`.
        path: the PNG to write.
        frame: the title above it, its provenance, and whether to overwrite.
    """
    lines = _lines(rows)
    panels, chosen = _panels(lines), _first_of_validation(lines)
    figure, axes = _figure(frame, (8.6, 2.6 + 1.6 * len(panels)), rows=len(panels))
    looks = cycle(product(("-", "--", ":"), _COLOURS))
    beside: dict[str, Any] = {"loc": "center left", "bbox_to_anchor": (1, 0.5)}
    for below in figure.axes[1:]:
        below.sharex(figure.axes[0])
    for axes, panel in zip(figure.axes, panels, strict=True):
        for name, (x, y) in panel.items():
            style, colour = next(looks)
            look: dict[str, Any] = {"color": colour, "ls": style, "lw": 1.6}
            if name.startswith("val_"):
                best = f"best {min(y):.4g}, " if name == chosen else ""
                label = f"{name} ({best}last {y[-1]:.4g})"
                axes.plot(x, y, marker="o", ms=3.5, label=label, **look)
            else:
                axes.plot(x, y, color=colour, lw=0.6, alpha=0.3)
                axes.plot(x, _smooth(y), label=name, **look)
        _limit(axes, [y for _, y in panel.values()])
        axes.locator_params("x", nbins=6)
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
        axes.set_ylabel("loss")
        if axes is not figure.axes[-1]:  # which `_finish` gives its legend
            axes.legend(frameon=False, fontsize=9, **beside)
    axes.set_xlabel("step")
    _finish(figure, axes, path, {**frame, "force": True}, **beside)


class Point(NamedTuple):
    """A named value of `plot_points`, with its standard error."""

    name: str
    x: float
    y: float
    error: float = 0.0
    hollow: bool = False
    """Whether y is only a bound, drawn as a triangle that points to where the truth lies."""


def plot_points(
    points: Sequence[Point],
    path: Path,
    *,
    x_label: str,
    y_label: str,
    **frame: Unpack[Frame],
) -> None:
    """Draw named points over a logarithmic axis.

    Args:
        points: what to draw; x is above 0.
        path: the PNG to write.
        x_label: what x is.
        y_label: what y is, with its unit.
        frame: the title above it, its provenance, and whether to overwrite.
    """
    if not points:
        raise InvalidInput(f"cannot draw {path}: there are no values.")
    figure, axes = _figure(frame)
    axes.set_xscale("log")
    axes.margins(x=0.16, y=0.12)
    for point, colour in zip(points, cycle(_COLOURS), strict=False):
        axes.errorbar(
            point.x,
            point.y,
            yerr=point.error,
            color=colour,
            marker="v" if point.hollow else "o",
            mfc="white" if point.hollow else colour,
            ms=6,
            capsize=3,
            lw=1.2,
        )
    axes.set_xlabel(x_label)
    axes.set_ylabel(y_label)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    _name_points(figure, axes, points)
    _finish(figure, axes, path, frame)


def _name_points(figure: Figure, axes: Axes, points: Sequence[Point]) -> None:
    """Write each name beside its point, where it covers no other name or point."""
    from matplotlib.transforms import Bbox

    figure.draw_without_rendering()  # the layout decides how many pixels a unit has
    frame = axes.get_window_extent()
    centres = [axes.transData.transform((point.x, point.y)) for point in points]
    taken = [Bbox.from_bounds(x - 12, y - 12, 24, 24) for x, y in centres]
    for i, point in enumerate(points):
        for side, (dx, dy, across, up) in enumerate(_SIDES):
            label = axes.annotate(
                point.name,
                (point.x, point.y),
                (dx, dy),
                textcoords="offset points",
                ha=across,
                va=up,
                fontsize=9,
                color=_INK,
            )
            box = label.get_window_extent()
            others = taken[:i] + taken[i + 1 :]
            inside = frame.x0 <= box.x0 and box.x1 <= frame.x1
            if (inside and not box.count_overlaps(others)) or side == len(_SIDES) - 1:
                taken.append(box)
                break
            label.remove()


def _lines(rows: Iterable[Mapping[str, Any]]) -> Lines:
    """Finite losses by name: their steps and values."""
    lines: Lines = {}
    for row in rows:
        for name, value in row.items():
            if name not in _BOOKKEEPING and isinstance(value, int | float):
                x, y = lines.setdefault(name, ([], []))
                if math.isfinite(value):
                    x.append(row["step"])
                    y.append(value)
    return {name: line for name, line in lines.items() if line[0]}


def _panels(lines: Lines) -> list[Lines]:
    """The losses that end within a quarter of the first one of validation, and the others."""
    ends = {name: median(y[-max(1, len(y) // 10) :]) for name, (_, y) in lines.items()}
    main = _first_of_validation(lines) or next(iter(lines), "")
    near = {name for name, end in ends.items() if abs(end - ends[main]) <= abs(ends[main]) / 4}
    parts = (
        {n: line for n, line in lines.items() if (n in near) == together} for together in (1, 0)
    )
    return [part for part in parts if part] or [{}]


def _first_of_validation(lines: Lines) -> str:
    """The value of validation that is listed first, of which less is better; or nothing."""
    return next((name for name in lines if name.startswith("val_")), "")


def _smooth(y: Sequence[float]) -> list[float]:
    """A moving mean over about a twentieth of the run; shorter at its start, where losses dive."""
    mean, smooth = 0.0, []
    for i, value in enumerate(y):
        mean += (value - mean) / min(1 + i / 4, 1 + len(y) / 20)
        smooth.append(mean)
    return smooth


def _limit(axes: Axes, lines: Sequence[Sequence[float]]) -> None:
    """Leave the first steps' great losses out of the picture when they flatten all the rest."""
    if not lines:
        return
    low = min(min(y) for y in lines)
    later = max(max(y[len(y) // 10 :]) for y in lines)
    if max(max(y) for y in lines) - low > 2 * (later - low) > 0:
        axes.set_ylim(low - 0.06 * (later - low), later + 0.25 * (later - low))


def _bins(n: int) -> int:
    return min(60, max(10, round(2 * math.sqrt(n))))


def _hues(n: int) -> Iterable[Any]:
    """n colours that differ, as far as n allows."""
    from matplotlib import colormaps

    if n <= len(_COLOURS):
        return _COLOURS[:n]
    named = "tab10" if n <= 10 else "tab20" if n <= 20 else "turbo"
    return [colormaps[named].resampled(n)(i) for i in range(n)]


def _figure(
    frame: Frame, size: tuple[float, float] = (7.2, 4.2), rows: int = 1
) -> tuple[Figure, Axes]:
    """A figure of as many axes, one below the other, and the first of them, which has the title."""
    # a Figure without pyplot: no display, no global state
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, dpi=140, layout="constrained")
    for axes in figure.subplots(rows, squeeze=False).flat:
        axes.grid(axis="y", color="#dddddd", lw=0.8)
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
        axes.spines[["left", "bottom"]].set_color("#999999")
        axes.tick_params(colors=_INK)
    first = figure.axes[0]
    first.set_title(frame.get("title", ""), loc="left", fontsize=11, color=_INK)
    return figure, first


def _finish(
    figure: Figure,
    axes: Axes,
    path: Path,
    frame: Frame,
    **legend: Any,
) -> None:
    from PIL import Image

    from zoo_core.output.files import save_image

    if axes.get_legend_handles_labels()[0]:
        axes.legend(frameon=False, fontsize=9, **legend)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    with Image.open(buffer) as picture:
        provenance, force = frame.get("provenance") or {}, frame.get("force", False)
        save_image(path, picture.convert("RGB"), provenance, force=force)
