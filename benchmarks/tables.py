"""The ladder on eight binary tables: the figures and the plot of docs/eight-tables.md.

A table whose ladder stands in the folder is not climbed again, so what was stopped goes on with the
next table.

uv run python benchmarks/tables.py --data-root data [--budget 5m] [--seeds 3] [-o runs/ladder]
"""

import argparse
import io
import json
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from matplotlib.figure import Figure
from PIL import Image

from zoo_core.output import save_image

PUBLISHED = {
    "nltcs": (6.759, 6.02),
    "plants": (16.52, 12.54),
    "audio": (44.37, 39.79),
    "jester": (58.23, 52.86),
    "netflix": (60.25, 56.36),
    "accidents": (33.19, 26.98),
    "pumsb_star": (30.81, 22.41),
    "dna": (87.70, 81.21),
}
"""Nats on the test split that others reached: a Chow-Liu tree, and ID-SPN."""

DOCS = Path(__file__).parents[1] / "docs"
PAGE, PLOT = DOCS / "eight-tables.md", DOCS / "assets" / "eight-tables.png"
BEGIN, END = "<!-- Written by benchmarks/tables.py -->", "<!-- to here -->"

Rungs = Sequence[Mapping[str, Any]]
"""What `zoo ladder --json` says of each."""


def main() -> None:
    """Climb the tables, and write their figures into the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-root", type=Path, required=True)
    parser.add_argument("--budget", default="5m")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("-o", "--output", type=Path, default=Path("runs/ladder"))
    options = parser.parse_args()
    for table in PUBLISHED:
        climb(table, options)
    found = {table: json.loads(_result(options.output, table).read_text()) for table in PUBLISHED}
    rungs: dict[str, Rungs] = {table: result["rungs"] for table, result in found.items()}
    before, _, rest = PAGE.read_text("utf-8").partition(BEGIN)
    text = "\n\n".join([BEGIN, "\n".join(_best(rungs)), "\n".join(_all(rungs)), _settings(rungs)])
    PAGE.write_text(f"{before}{text}\n\n{END}{rest.partition(END)[2]}", "utf-8")
    draw(rungs, {"budget": options.budget, "seeds": options.seeds})


def climb(table: str, options: argparse.Namespace) -> None:
    """Climb one table, unless its ladder stands."""
    result = _result(options.output, table)
    if result.is_file():
        return
    words = [
        "ladder",
        f"binary/{table}",
        "--data-root",
        str(options.data_root),
        "--json",
        "--force",
    ]
    words += ["--budget", options.budget, "--seeds", str(options.seeds), "-o", str(result.parent)]
    made = subprocess.run(
        [sys.executable, "-m", "zoo_core", *words], stdout=subprocess.PIPE, check=True
    )
    result.write_bytes(made.stdout)


def _result(folder: Path, table: str) -> Path:
    return folder / table / "ladder.json"


def _best(rungs: Mapping[str, Rungs]) -> Iterator[str]:
    """For each table the rung that is best on validation, beside what others reached."""
    yield "| table | tree | published | best rung | parameters | nats | worst seed | ID-SPN |"
    yield "| --- | ---: | ---: | --- | ---: | ---: | ---: | ---: |"
    for table, found in rungs.items():
        tree = next(rung for rung in found if rung["name"] == "chow-liu")
        best = min(found, key=lambda rung: rung["validation_nats"])
        published, circuit = PUBLISHED[table]
        yield (
            f"| {table} | {tree['nats']:.3f} | {published:.{3 if table == 'nltcs' else 2}f} "
            f"| `{best['name']}` | {best['parameters']:,} | {_mean(best)} "
            f"| {max(best['nats_of_seeds']):.3f} | {circuit:.2f} |"
        )


def _all(rungs: Mapping[str, Rungs]) -> Iterator[str]:
    """Each rung on each table."""
    names = [rung["name"] for rung in next(iter(rungs.values()))]
    yield f"| table | {' | '.join(f'`{name}`' for name in names)} |"
    yield f"| --- |{' ---: |' * len(names)}"
    for table, found in rungs.items():
        by_name = {rung["name"]: _mean(rung) for rung in found}
        yield f"| {table} | {' | '.join(by_name.get(name, '-') for name in names)} |"


def _settings(rungs: Mapping[str, Rungs]) -> str:
    """What was chosen on validation, where there was something to choose."""
    lines = ["| table | minutes | settings chosen on validation |", "| --- | ---: | --- |"]
    for table, found in rungs.items():
        minutes = sum(rung["seconds"] for rung in found) / 60
        chosen = (f"`{rung['name']}` {_choice(rung, rungs)}" for rung in found)
        lines.append(f"| {table} | {minutes:.1f} | {', '.join(chosen)} |")
    return "\n".join(lines)


def _choice(rung: Mapping[str, Any], rungs: Mapping[str, Rungs]) -> str:
    """The settings of a rung that differ from one table to the next."""
    every = [other for found in rungs.values() for other in found if other["name"] == rung["name"]]
    return " ".join(
        f"{value:g}"
        for key, value in rung["settings"].items()
        if any(other["settings"].get(key) != value for other in every)
    )


def _mean(rung: Mapping[str, Any]) -> str:
    """The mean over seeds and its deviation, where the seeds differ."""
    figures = rung["nats_of_seeds"]
    deviation = stdev(figures) if len(figures) > 1 else 0.0
    return f"{fmean(figures):.3f}" + (f" ± {deviation:.3f}" if deviation > 5e-4 else "")


def draw(rungs: Mapping[str, Rungs], of: Mapping[str, Any]) -> None:
    """Draw nats over parameters, a panel for each table."""
    figure = Figure(figsize=(10, 5), layout="constrained")
    names = [rung["name"] for rung in next(iter(rungs.values()))]
    for axes, (table, found) in zip(figure.subplots(2, 4).flat, rungs.items(), strict=True):
        for rung in found:
            figures = rung["nats_of_seeds"]
            at = [rung["parameters"]] * len(figures)
            axes.plot(
                at, figures, "o", ms=5, color=f"C{names.index(rung['name'])}", label=rung["name"]
            )
        axes.axhline(PUBLISHED[table][1], color="0.6", lw=1, ls="--", label="ID-SPN")
        axes.set_xscale("log")
        axes.set_title(table, fontsize=10)
        axes.tick_params(labelsize=8)
    figure.supxlabel("parameters", fontsize=9)
    figure.supylabel("nats on the test split", fontsize=9)
    figure.legend(
        *axes.get_legend_handles_labels(), loc="outside upper center", ncols=8, fontsize=8
    )
    written = io.BytesIO()
    figure.savefig(written, format="png", dpi=100)
    image = Image.open(written).convert("RGB").quantize(64)
    save_image(PLOT, image, {"command": "uv run python benchmarks/tables.py", **of}, force=True)


if __name__ == "__main__":
    main()
