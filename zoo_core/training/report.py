"""What a run shows and writes as it trains: a bar, metrics as JSON lines, curves and pictures."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Report"]

_DRAW_SECONDS = 30.0
"""Between drawings of the curve: one takes most of a second, as long as a short epoch."""
_TILE = 64
"""Smaller images of a preview are enlarged a whole number of times, up to this side."""


class Report:
    """Collects the rows of a run folder's `metrics.jsonl` and shows where training stands.

    Args:
        folder: the run folder.
        steps: number of steps of the whole run.
        step: the step that training goes on from; later rows of an earlier attempt are dropped.
        quiet: whether to show nothing.
    """

    def __init__(self, folder: Path, steps: int, step: int = 0, *, quiet: bool = False) -> None:
        self.folder = folder
        self.path = folder / "metrics.jsonl"
        self.rows = [row for row in _read(self.path) if row["step"] <= step]
        self._file = self._rewrite()
        self._board = _tensorboard(folder)
        self._quiet = quiet
        # on a terminal a bar; elsewhere a line for each validation
        self._bar = tqdm(
            total=steps, initial=step, unit="step", disable=True if quiet else None, leave=False
        )
        self._started = (time.perf_counter(), step)
        self._drawn = time.monotonic()

    def step(self, values: dict[str, float], **where: int) -> None:
        """Record the mean losses since the last call."""
        seconds = time.perf_counter() - self._started[0]
        done = where["step"] - self._started[1]
        self._bar.set_postfix({key: f"{value:.4g}" for key, value in values.items()})
        self._row({**where, **values, "steps_per_s": round(done / seconds, 3)})

    def advance(self) -> None:
        """Move the bar by one step."""
        self._bar.update()

    def validation(self, values: dict[str, float], *, best: bool, **where: int) -> None:
        """Record a validation, and draw the curve where the last one is no longer fresh."""
        self._row({**where, **{f"val_{key}": value for key, value in values.items()}})
        self.say(
            f"epoch {where['epoch']}, step {where['step']}: "
            + ", ".join(f"validation {key} {value:.4f}" for key, value in values.items())
            + (" (best so far)" if best else "")
        )
        if time.monotonic() - self._drawn > _DRAW_SECONDS:
            self._draw()

    def preview(self, images: Tensor, step: int) -> None:
        """Keep the pictures of a step, (n, C, H, W), in [0, 1]; `close` makes a film of all."""
        from zoo_core.output import grid, save_image

        folder = self.folder / "samples"
        folder.mkdir(exist_ok=True)
        picture = grid(images, scale=max(1, _TILE // images.shape[-1]))
        save_image(folder / f"{step:08}.png", picture, {"step": step}, force=True)

    def say(self, line: str) -> None:
        """Show a line above the bar."""
        if not self._quiet:
            self._bar.write(line, file=sys.stderr)

    def close(self) -> None:
        """Draw the curve a last time, and let go of the terminal and the files."""
        if any("val_" in key for row in self.rows for key in row):
            self._draw()
        self._film()
        self._bar.close()
        self._file.close()
        if self._board:
            self._board.close()

    def _draw(self) -> None:
        from zoo_core.output import plot_curve

        plot_curve(self.rows, self.folder / "curve.png")
        self._drawn = time.monotonic()

    def _film(self) -> None:
        """All previews, one after the other, in `samples.gif`."""
        from PIL import Image

        from zoo_core.output import save_gif

        paths = sorted((self.folder / "samples").glob("*.png"))
        if paths:
            steps = [int(path.stem) for path in paths]
            frames = [Image.open(path).convert("RGB") for path in paths]
            save_gif(self.folder / "samples.gif", frames, {"steps": steps}, force=True)

    def _row(self, row: dict[str, Any]) -> None:
        self.rows.append(row)
        self._file.write(json.dumps(row) + "\n")
        self._file.flush()
        if self._board:
            for key in row.keys() - {"step", "epoch"}:
                self._board.add_scalar(key, row[key], row["step"])

    def _rewrite(self) -> Any:
        partial = self.path.with_suffix(".partial")
        partial.write_text("".join(json.dumps(row) + "\n" for row in self.rows), "utf-8")
        partial.replace(self.path)
        return self.path.open("a", encoding="utf-8")


def _read(path: Path) -> list[dict[str, Any]]:
    """The rows that were written whole: a killed run may leave half a line."""
    rows = []
    for line in path.read_text("utf-8").splitlines() if path.is_file() else []:
        try:
            rows.append(json.loads(line))
        except json.JSONDecodeError:
            break
    return rows


def _tensorboard(folder: Path) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return None
    return SummaryWriter(str(folder / "tensorboard"))
