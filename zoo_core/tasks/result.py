"""The result of a task, and how it is saved."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo_core.errors import InvalidInput, did_you_mean
from zoo_core.text import html_table

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL import Image
    from torch import Tensor

    from zoo_core.output.plots import Frame

__all__ = ["SUFFIXES", "Result", "check_suffix"]


SUFFIXES = (".png", ".gif", ".csv", ".json", ".parquet", ".npz", ".safetensors")
"""Of all files that a result can be saved as."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """The parts that a task has; each suffix saves one of them."""

    summary: str
    """What was done, as `16 samples from nade.mnist`."""
    figures: tuple[str, ...] = ()
    """What to say of it, as `mean 86.1 nats`."""
    notes: tuple[str, ...] = ()
    """What was done to the inputs."""
    failed: tuple[str, ...] = ()
    """Inputs that could not be read, while the others are done."""
    images: Tensor | None = None
    """(n, C, H, W), in [0, 1]."""
    columns: int | None = None
    """Images per row, where they belong together."""
    names: Sequence[str] = ()
    """What stands beside each row of images, where that is to be said."""
    headings: Sequence[str] = ()
    """What stands above each column of images, where that is to be said."""
    frames: Sequence[Tensor] = ()
    """Each a set of images, laid out like `images`."""
    rows: Sequence[Mapping[str, Any]] = ()
    """A table: the cells of each row, by column."""
    tensors: Mapping[str, Tensor] = field(default_factory=dict)
    """What `.npz` and `.safetensors` hold, by name."""
    texts: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Strings that lie beside the tensors, as the names of inputs."""
    groups: Mapping[str, Sequence[float]] = field(default_factory=dict)
    """Values to draw as histograms, by name."""
    panels: Mapping[str, Mapping[str, Sequence[float]]] = field(default_factory=dict)
    """Groups of values by what they are: histograms to draw one below the other."""
    bars: Mapping[str, float] = field(default_factory=dict)
    """Nats to draw as bars, by what costs them."""
    types: Mapping[str, type] = field(default_factory=dict)
    """Types of the table's columns, where its own cells need not tell them: str, int or float."""
    points: Mapping[str, Sequence[tuple[float, float]]] = field(default_factory=dict)
    """Latents in the plane to draw as dots, by name."""

    suffixes: tuple[str, ...] = ()
    """Those of the files that it can be saved as; empty where that is not known."""
    provenance: Mapping[str, Any] = field(default_factory=dict)
    """What it takes to make it again, which its files hold: seed, entry, digest, versions and the
    command."""

    def save(self, path: str | Path, *, force: bool = False) -> None:
        """Write what the path's suffix stands for, with the provenance.

        Raises OutputExists for a file that is there, unless force is given, and InvalidInput for
        a suffix of nothing that it holds.
        """
        from zoo_core import output

        path, provenance = Path(path), self.provenance
        check_suffix(path, self.suffixes or SUFFIXES)
        frame: Frame = {"title": self.summary, "provenance": provenance, "force": force}
        match path.suffix.lower():
            case ".png" if self.images is not None:
                output.save_image(path, self._picture(self.images), provenance, force=force)
            case ".png" if self.points:
                output.plot_scatter(self.points, path, x_label="z0", y_label="z1", **frame)
            case ".png" if self.panels:
                output.plot_histograms(self.panels, path, **frame)
            case ".png" if self.bars:
                output.plot_bars(self.bars, path, label="mean nats", **frame)
            case ".png":
                frame["title"] = ", ".join((self.summary, *self.figures))
                output.plot_histogram(self.groups, path, label="−log p, nats", **frame)
            case ".gif":
                pictures = [output.grid(frame, self.columns) for frame in self.frames]
                output.save_gif(path, pictures, provenance, force=force)
            case ".csv" | ".json" | ".parquet":
                output.save_table(path, self.rows, provenance, force=force, types=self.types)
            case _:
                output.save_tensors(path, self.tensors, provenance, texts=self.texts, force=force)

    def without_rows(self) -> Result:
        """The same columns and tensors, of no rows: a file of it is read beside others."""
        import numpy as np

        from zoo_core.output.table import Table, columns_of

        columns: dict[str, Any] = {
            name: np.array(values)[:0] for name, values in columns_of(self.rows).items()
        }
        tensors = {name: tensor[:0] for name, tensor in self.tensors.items()}
        texts = dict[str, Sequence[str]].fromkeys(self.texts, ())
        return Result(summary="", rows=Table(columns), tensors=tensors, texts=texts)

    def _picture(self, images: Tensor) -> Image.Image | NDArray[Any]:
        """The images in rows, with what stands beside and above them."""
        from zoo_core import output

        if not (self.names or self.headings):  # without Pillow, which takes its time to be imported
            return output.layout(images, self.columns)
        return output.grid(images, self.columns, names=self.names, headings=self.headings)

    def _repr_png_(self) -> bytes | None:
        """Its picture, for a notebook; None where it has none, or rows that say more."""
        pictured = self.images is not None or self.points or self.panels or self.bars or self.groups
        if not pictured or (self.images is None and self.rows):
            return None
        from tempfile import TemporaryDirectory

        with TemporaryDirectory() as folder:
            path = Path(folder, "result.png")
            self.save(path)
            return path.read_bytes()

    def _repr_html_(self) -> str | None:
        """Its rows, for a notebook; None where it shows a picture."""
        if self.images is not None or not self.rows:
            return None
        from html import escape

        head = list(self.rows[0])
        said = ", ".join((self.summary, *self.figures))
        first = [self.rows[i] for i in range(min(20, len(self.rows)))]  # of what may be millions
        cells = [[_cell(row.get(name)) for name in head] for row in first]
        return f"<p>{escape(said)}</p>{html_table(head, cells, len(self.rows) - len(cells))}"


def _cell(value: object) -> object:
    return f"{value:.5g}" if isinstance(value, float) else value


def check_suffix(path: Path, known: Sequence[str]) -> None:
    """Refuse the path of a file of an unknown format.

    Raises InvalidInput that lists them.
    """
    if path.suffix.lower() in known:
        return
    given = f"suffix '{path.suffix}'" if path.suffix else "a name without a suffix"
    near = did_you_mean(path.suffix, known)
    raise InvalidInput(
        f"{path}: {given} names no format that can be written here.{near} "
        f"Known are {', '.join(known)}."
    )
