"""What limits a training step of each architecture on 8, 64 and 512 devices, by arithmetic.

    uv run python benchmarks/limits.py [--rate 20e12] [--link 25e9] [--write PAGE]

The table of docs/guides/machines.md is written by --write.

Of each published recipe one step is done with few rows. Counted are the bytes of the gradients that
a step sums over the devices, and the floating-point operations of a row, products and convolutions
alone, forward and backward. Assumed are the operations that a device does in a second, and the
bytes that leave it in one (--rate, --link). A ring sums in 2 (W - 1)/W times the bytes. Nothing is
overlapped, so that a share is the least that is to be expected.
"""

import argparse
import math
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from zoo_core import loading, plugins
from zoo_core.protocols import Trainer
from zoo_core.registry import Entry, Registry
from zoo_core.training import recipe as recipes
from zoo_core.training.protocols import CaptionReader, step_of

DEVICES = (8, 64, 512)
ROWS = 4
MARKS = "<!-- limits: benchmarks/limits.py writes this table -->", "<!-- end of limits -->"


class Step(NamedTuple):
    """What a step takes."""

    entry: str
    batch: int
    summed: int
    """Bytes of gradients."""
    work: float
    """Floating-point operations of a row."""

    def limit(self, devices: int, rate: float, link: float) -> str:
        """What a step on so many devices waits for most, and the share of time that is computing.

        rate: operations a second. link: bytes a second.
        """
        if self.batch < devices:
            return f"batch ({self.batch:,} rows)"
        computing = self.work * math.ceil(self.batch / devices) / rate
        summing = 2 * (devices - 1) / devices * self.summed / link
        share = computing / (computing + summing)
        return f"{'computing' if share >= 0.5 else 'sum'} ({share:.0%})"


def bytes_of(network: nn.Module) -> int:
    """Bytes of a network's gradients."""
    return sum(p.numel() * p.element_size() for p in network.parameters() if p.requires_grad)


def labels_for(trainer: Trainer, model: Any) -> Tensor | None:
    """Labels of random rows, or what a trainer makes of captions."""
    if isinstance(trainer, CaptionReader):
        return trainer.read_captions(["red apple"] * ROWS)
    classes = getattr(model, "classes", 0) or len(getattr(model, "domains", ()))
    return torch.zeros(ROWS, dtype=torch.int64) if classes else None


def measure(entry: Entry) -> Step:
    """Do one step of an entry's recipe, and count."""
    torch.manual_seed(0)
    _, architecture = plugins.find(entry.architecture, entry.family)
    recipe = recipes.read(Path(entry.recipe_file))
    model: Any = loading.build(plugins.import_class(architecture.path), dict(entry.config))
    trainer: Trainer = plugins.import_class(architecture.trainer)(model, **recipe.trainer)
    summed = 0

    def update(network: nn.Module) -> Any:
        def run(loss: Tensor) -> None:
            nonlocal summed
            loss.backward()  # type: ignore[no-untyped-call]
            summed += bytes_of(network)

        return run

    updates: Mapping[str, Any] = {name: update(net) for name, net in trainer.networks.items()}
    x = torch.rand(ROWS, *model.event_shape)
    x = x.round() if getattr(model, "levels", None) == 2 else x.mul(255).round().div(255)
    counter = FlopCounterMode(display=False)
    with counter:
        step_of(trainer)(
            x, updates, torch.Generator().manual_seed(0), labels_for(trainer, model), 1
        )
    work = counter.get_total_flops() / ROWS
    return Step(entry.name, recipe.batch_size, summed, work)


def measured() -> Iterator[Step]:
    """A step of the first entry of each architecture that is trained by steps."""
    seen: set[str] = set()
    for entry in Registry.load().entries.values():
        if entry.architecture in seen:
            continue
        seen.add(entry.architecture)
        try:
            step = measure(entry)
        except Exception as error:  # whatever a trainer needs beside rows and labels
            print(f"{entry.name}: {type(error).__name__}: {error}", file=sys.stderr)
        else:
            if step.summed:  # others are trained by counting
                yield step


def table(rate: float, link: float) -> list[str]:
    """The lines of the table."""
    heads = [f"{devices} devices" for devices in DEVICES]
    lines = [
        " | ".join(["| entry", "rows of a batch", "MB summed", "MFLOP of a row", *heads]) + " |",
        "| --- | ---: | ---: | ---: | --- | --- | --- |",
    ]
    for step in measured():
        cells = [step.limit(devices, rate, link) for devices in DEVICES]
        sizes = [f"{step.batch:,}", f"{step.summed / 1e6:.2f}", f"{step.work / 1e6:,.1f}"]
        lines.append("| " + " | ".join([f"`{step.entry}`", *sizes, *cells]) + " |")
        print(lines[-1], flush=True)
    return lines


def main() -> None:
    """Print the table, and write it into a page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rate", type=float, default=20e12, help="operations a second of a device")
    parser.add_argument("--link", type=float, default=25e9, help="bytes a second between devices")
    parser.add_argument("--write", type=Path, help="page whose table is replaced")
    options = parser.parse_args()
    lines = table(options.rate, options.link)
    if options.write:
        page = options.write.read_text()
        before, rest = page.split(MARKS[0])
        _, after = rest.split(MARKS[1])
        text = "\n".join([MARKS[0], "", *lines, "", MARKS[1]])
        options.write.write_text(before + text + after)


if __name__ == "__main__":
    main()
