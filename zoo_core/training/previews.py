"""What the networks make by then: pictures at each validation, a film of them, and remarks."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from zoo_core.text import printable
from zoo_core.training.callbacks import Callback, Validation
from zoo_core.training.protocols import Preview
from zoo_core.training.report import say
from zoo_core.training.seeds import stream

if TYPE_CHECKING:
    from torch import Tensor

    from zoo_core.training.loop import Loop

__all__ = ["Previews"]

_SHOWN = 64
"""Inputs that a preview is handed."""
_TILE = 64
"""Smaller images are enlarged a whole number of times, up to this side."""


class Previews(Callback):
    """Asks a trainer that implements Preview for pictures, which go to the run's `samples/`.

    Args:
        quiet: whether to leave out what it remarks.
    """

    def __init__(self, *, quiet: bool = False) -> None:
        self.quiet = quiet

    def after_validation(self, loop: Loop, validation: Validation) -> None:
        """Keep the pictures of a step, and say what there is to say of the values."""
        trainer = loop.trainer
        if not (loop.fabric.is_global_zero and isinstance(trainer, Preview)):
            return
        x, labels = loop.batches.held_out(_SHOWN)
        random = stream(loop.recipe.seed, "preview", 0, loop.fabric.device)
        with loop.evaluated():
            _keep(trainer.preview(x, random, labels), loop.folder, loop.progress.step)
        if (remark := trainer.remark(validation.values)) and not self.quiet:
            say(remark)

    def end(self, loop: Loop) -> None:
        """Make a film of all pictures."""
        if loop.fabric.is_global_zero:
            _film(loop.folder)


def _keep(images: Tensor, folder: Path, step: int) -> None:
    """Write pictures (n, C, H, W), in [0, 1], as one."""
    from zoo_core.output import grid, save_image

    (folder / "samples").mkdir(exist_ok=True)
    picture = grid(images, scale=max(1, _TILE // images.shape[-1]))
    save_image(folder / "samples" / f"{step:08}.png", picture, {"step": step}, force=True)


def _film(folder: Path) -> None:
    """All previews, one after the other, in `samples.gif`."""
    from PIL import Image

    from zoo_core.output import save_gif

    frames = {}
    for path in sorted((folder / "samples").glob("[0-9]*.png")):
        try:
            frames[int(path.stem)] = Image.open(path).convert("RGB")
        except (OSError, SyntaxError, ValueError) as error:  # as Pillow and int say it
            say(f"warning: {printable(path)} is left out of the film: {printable(error)}")
    if frames:
        steps = list(frames)
        save_gif(folder / "samples.gif", list(frames.values()), {"steps": steps}, force=True)
