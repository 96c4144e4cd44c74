"""Write the pages that follow from the registry: a card for each entry, their list, the gallery.

    uv run python docs/generate.py                # every page; pictures that are missing or old
    uv run python docs/generate.py nade.mnist     # every page; the picture of this entry alone
    uv run python docs/generate.py made.mnist -- -n 16 --temperature 0.8

What follows `--` are the options of the `zoo run` that draws the picture. They are kept inside it,
so the card shows them, and a later drawing uses them again. A picture is old when its provenance
names other weights than the registry. The curve of a run comes along while `runs/ENTRY` holds the
weights of the registry.

Over 400 lines: cards, list and gallery say the same of an entry, by the same short functions.
"""

import html
import os
import shlex
import sys
import tempfile
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import chdir, redirect_stdout
from pathlib import Path
from statistics import fmean

import click

from zoo_core import plugins
from zoo_core.cli.show import commands, in_toml
from zoo_core.errors import InvalidInput, ZooError
from zoo_core.hookspecs import Task
from zoo_core.loading import open_source
from zoo_core.output import grid, read_provenance, save_image
from zoo_core.registry import Entry, Metric, Registry
from zoo_core.text import counted

__all__ = [
    "KINDS",
    "current",
    "curve",
    "draw",
    "entries",
    "has_picture",
    "keep_curve",
    "kind",
    "outside",
    "pages",
    "picture",
    "place",
]

DOCS = Path(__file__).parent
ROOT = DOCS.parent
MODELS = DOCS / "models"

HEAD = "<!-- Written by docs/generate.py from the registry: change that, and run it again. -->"

LARGEST = 60_000
"""Bytes of a picture; a larger one keeps 256 colours, or is drawn anew of fewer samples."""

_NUMBERS = ("parameters", "published")
"""Columns that are aligned to the right."""

_BINARIZED = (
    "In training, images are binarized afresh for each batch. `binarize = fixed` is of the test "
    "images: one draw, by zoo's own seed. Figures of models that were trained on one fixed draw "
    "are [1 to 2.5 nats above](../guides/evaluate.md)."
)
_TRAINING_ROWS = {
    "binary/dna": 1_600,
    "binary/nltcs": 16_181,
    "faces": 40_000,
    "faces-all": 44_000,
    "faces-styles": 16_000,
    "faces-hair": 40_000,
    "faces-unpaired": 16_000,
    "mnist": 50_000,
    "pixel-faces": 40_000,
}
"""Rows of the training splits of data whose recipes count in epochs."""

_BEST = (
    "dcgan.faces",
    "stargan.faces-hair",
    "gan-cls.faces",
    "keypatch.faces",
    "vae.faces",
    "diagonal-bilstm.mnist",
)
"""Entries whose pictures the gallery opens with."""

KINDS = {
    "explicit": "explicit: it gives the exact likelihood of any input",
    "bound": "explicit, by a bound: its likelihood is an integral that is only bounded",
    "implicit": "implicit: it can be sampled and gives no likelihood",
}


def entries() -> list[Entry]:
    """The entries of the repository's registries: the published one, and those of families."""
    return list(Registry.load(_registries()).entries.values())


def outside() -> list[Entry]:
    """The entries of the families in `examples/`, which have no card."""
    return list(Registry.load(_examples()).entries.values())


def kind(entry: Entry) -> str:
    """What an entry knows of its likelihood, one of `KINDS`."""
    known = "implicit" if "score" not in entry.tasks else "explicit"
    return next((name for name in ("implicit", "bound") if name in entry.tags), known)


def has_picture(entry: Entry) -> bool:
    """Whether an entry has something to draw; a classifier has not."""
    ours = plugins.own(Task)
    return any(name in ours and ours[name].for_images[0] == ".png" for name in entry.tasks)


def pages(every: Sequence[Entry]) -> dict[Path, str]:
    """The pages of these entries: path and text of each."""
    cards = {MODELS / f"{entry.name}.md": _text(_card(entry)) for entry in every}
    lists = {MODELS / "index.md": _index(every), DOCS / "gallery" / "index.md": _gallery(every)}
    return cards | {path: _text(blocks) for path, blocks in lists.items()} | _readmes()


def _readmes() -> dict[Path, str]:
    """The readmes of the families, in which the table of architectures follows from the records."""
    found = {}
    for path in (ROOT / "plugins").glob("*/README.md"):
        head = ("architecture", "what it is", "paper", "tasks")
        table = _rows(
            head,
            (
                (f"`{name}`", record.summary, record.paper, ", ".join(record.tasks))
                for name, record in plugins.load(path.parent.name).architectures.items()
            ),
        )
        before, _, rest = path.read_text("utf-8").partition("| architecture |")
        found[path] = before + table + "\n\n" + rest.partition("\n\n")[2]
    return found


# Pictures


def picture(entry: Entry) -> Path:
    """Where the picture of an entry is."""
    return MODELS / "pictures" / f"{entry.name}.png"


def curve(entry: Entry) -> Path:
    """Where the curve of an entry's training is, for those that kept it."""
    return MODELS / "curves" / f"{entry.name}.png"


def keep_curve(entry: Entry, runs: Path) -> None:
    """Take over the curve of the run that made an entry's weights, if it is still there."""
    from PIL import Image

    run = runs / entry.name
    if not (run / "curve.png").is_file() or open_source(run).sha256 != entry.weights.sha256:
        return
    curve(entry).parent.mkdir(parents=True, exist_ok=True)
    with Image.open(run / "curve.png") as drawing:
        drawing.convert("RGB").quantize(32).save(curve(entry), optimize=True)


def current(entry: Entry) -> bool:
    """Whether there is a picture by the weights in the registry."""
    path = picture(entry)
    return path.is_file() and read_provenance(path).get("sha256") == entry.weights.sha256


def draw(entry: Entry, options: Sequence[str] = ()) -> None:
    """Draw the picture of an entry by `zoo run`; without options by those of its old picture.

    Raises InvalidInput for an entry that does not sample, when there are neither.
    """
    path = picture(entry)
    path.parent.mkdir(parents=True, exist_ok=True)
    if not options and path.is_file():
        options = shlex.split(read_provenance(path)["command"])[3:]
    if not options and "sample" not in entry.tasks:
        raise InvalidInput(
            f"{entry.name} does not sample, so how to draw it? Say it after --, such as "
            f"docs/generate.py {entry.name} -- --task {(*entry.tasks, 'TASK')[0]} --input FOLDER"
        )
    for tried in [options] if options else [("-n", str(n)) for n in (64, 36, 16, 4)]:
        _run(entry, tried, path)
        if path.stat().st_size > LARGEST:
            _reduce(path)
        if path.stat().st_size <= LARGEST:
            return


def _run(entry: Entry, options: Sequence[str], path: Path) -> None:
    from zoo_core.cli.run import command

    seeded = options if "--seed" in options else (*options, "--seed", "0")
    with tempfile.TemporaryDirectory() as folder:
        with chdir(folder), redirect_stdout(sys.stderr):
            command.main([entry.name, *seeded], standalone_mode=False)
        found = {made.suffix: made for made in Path(folder).iterdir()}
        if ".png" in found:
            path.write_bytes(found[".png"].read_bytes())
        else:
            _paint(found[".csv"], path)


def _reduce(path: Path) -> None:
    """Keep 256 colours of a picture."""
    from PIL import Image

    with Image.open(path) as picture:
        save_image(path, picture.quantize(), read_provenance(path), force=True)


def _paint(table: Path, path: Path) -> None:
    """Draw rows of values in [0, 1], one row of squares each."""
    import numpy as np
    import torch

    values = torch.from_numpy(np.loadtxt(table, delimiter=",", skiprows=1, ndmin=2))
    image = grid(values[None, None], scale=max(1, 720 // max(values.shape)))
    save_image(path, image, read_provenance(table), force=True)


# Cards


def _card(entry: Entry) -> Iterator[str]:
    yield f"# {entry.name}"
    yield f"{_escape(entry.summary)}."
    if picture(entry).is_file():
        yield f"![{_alt(entry)}](pictures/{entry.name}.png)"
        yield _block("sh", read_provenance(picture(entry))["command"])
    yield _rows(("Entry", f"`{entry.name}`"), _facts(entry))
    if entry.metrics:
        yield "## Figures"
        real = ("real data",) if any(metric.real is not None for metric in entry.metrics) else ()
        head = ("metric", "measured", *real, "published", "how it is measured")
        yield _rows(head, _figures(entry, bool(real)))
        yield from (_source(metric) for metric in entry.metrics if metric.source)
        yield from (_spread(metric) for metric in entry.metrics if metric.spread)
        if _is_binarized_anew(entry):
            yield _BINARIZED
    yield "## Run it"
    yield _block("sh", "\n".join(f"# {what}\n{line}" for line, what in commands(entry)))
    if recipe := _recipe(entry):
        yield "## Recipe"
        yield _block("toml", recipe)
    if curve(entry).is_file():
        yield f"![The losses of {entry.name} at each step of its training](curves/{entry.name}.png)"
    if entry.paper:
        yield "## Cite"
        yield _block("bibtex", _bibtex(entry))


def _facts(entry: Entry) -> Iterator[tuple[str, str]]:
    yield "Family", _link(entry.family, f"plugins/{entry.family}/README.md")
    yield "Architecture", _link(f"`{entry.architecture}`", _source_file(entry))
    if has_picture(entry):
        yield "Kind", KINDS[kind(entry)]
    if paper := entry.paper:
        title = f"[{paper.title}]({paper.url})" if paper.url else paper.title
        yield "Paper", f"{paper.authors} ({paper.year}). {title}"
    yield "Data", f"`{entry.data}`"
    yield "Tasks", ", ".join(entry.tasks) or "none"
    if seen := _seen(entry):
        yield "Training", seen
    yield "Parameters", f"{entry.weights.parameters:,}"
    yield "Config", ", ".join(f"`{key} = {in_toml(value)}`" for key, value in entry.config.items())
    yield "Weights", f"{entry.weights.bytes:,} bytes, sha256 `{entry.weights.sha256}`"
    yield "Licence", f"code {entry.licence.code}, weights {entry.licence.weights}"
    if entry.successor:
        yield "Deprecated", f"for [{entry.successor}]({entry.successor}.md). {entry.reason}"


def _seen(entry: Entry) -> str:
    """How many images or rows a training sees, where its data's number is known."""
    settings = tomllib.loads(_recipe(entry))
    epochs = settings.get("epochs")
    rows = _TRAINING_ROWS.get(entry.data)
    if epochs is None or rows is None:
        return ""
    most = "" if entry.weights.seen or settings.get("keep") == "last" else "at most "
    seen = entry.weights.seen or epochs * rows
    said = f"{counted(epochs, 'epoch')} of {rows:,} rows, {most}{seen:,} seen by these weights"
    published = [metric for metric in entry.metrics if metric.published is not None]
    known = [metric for metric in published if metric.seen]
    for metric in known:
        said += f"; {metric.seen:,} by those of the published `{metric.name}`"
    if published and not known:
        name = published[0].name
        said += f"; how many by those of the published `{name}` its source does not say"
    return said


def _figures(entry: Entry, real: bool) -> Iterator[tuple[str, ...]]:
    """A row for each metric, with a cell for its figure of real data where that is wanted."""
    for metric in entry.metrics:
        measured = f"{metric.figure} (a check allows {metric.tolerance:g})"
        others = (metric.real, metric.published) if real else (metric.published,)
        cells = ("" if value is None else f"{value:g} {metric.unit}" for value in others)
        how = ", ".join(f"`{key} = {in_toml(value)}`" for key, value in metric.protocol.items())
        yield f"`{metric.name}`", measured, *cells, how


def _is_binarized_anew(entry: Entry) -> bool:
    """Whether training and test binarize images in two ways."""
    once = any(metric.protocol.get("binarize") == "fixed" for metric in entry.metrics)
    return once and tomllib.loads(_recipe(entry)).get("binarize") == "dynamic"


def _source_file(entry: Entry) -> str:
    """Where the class of an entry's architecture is, if it is in a folder of plugins."""
    described = plugins.load(entry.family).architectures.get(entry.architecture)
    module = described.path.partition(":")[0] if described else ""
    return f"plugins/{entry.family}/{module.replace('.', '/')}.py"


def _spread(metric: Metric) -> str:
    return f"`{metric.name}` by {len(metric.training_seeds)} training seeds: {metric.spread}."


def _source(metric: Metric) -> str:
    return f"Published `{metric.name}`: {_escape(metric.source)}."


def _recipe(entry: Entry) -> str:
    path = Path(entry.origin).parent / entry.recipe
    return path.read_text("utf-8").rstrip() if entry.recipe and path.is_file() else ""


def _bibtex(entry: Entry) -> str:
    paper = entry.paper
    assert paper is not None
    authors = paper.authors.replace("et al.", "& others").replace(" & ", ", ").split(", ")
    names = [
        f"{{{name}}}" if " " in name else name for name in filter(None, map(str.strip, authors))
    ]
    fields = {"title": f"{{{paper.title}}}", "author": " and ".join(names), "year": paper.year}
    key = "".join(filter(str.isalpha, names[0].lower())) + str(paper.year)
    lines = [f"  {name} = {{{value}}}," for name, value in fields.items()]
    lines += [f"  url = {{{paper.url}}},"] if paper.url else []
    return "\n".join([f"@misc{{{key},", *lines, "}"])


# Lists


def _index(every: Sequence[Entry]) -> Iterator[str]:
    yield "# Models"
    yield (
        "A card for each entry of the registry: its samples, how good it is beside the paper, "
        "how to run it and how it was made. [The gallery](../gallery/index.md) shows all pictures "
        "at once."
    )
    for family in dict.fromkeys(entry.family for entry in every):
        yield f"## {family.capitalize()}"
        if (ROOT / "plugins" / family / "README.md").is_file():
            yield f"[What they are, and what they know](../../plugins/{family}/README.md)."
        rows = (_row(entry) for entry in every if entry.family == family)
        yield _rows(("entry", "data", "parameters", "figure", "published"), rows)
    yield '<script src="models.js"></script>'


def _row(entry: Entry) -> tuple[str, ...]:
    link = f"[{entry.name}]({entry.name}.md)"
    parameters = f"{entry.weights.parameters:,}"
    if not entry.metrics:
        return link, entry.data, parameters, "", ""
    first = entry.metrics[0]
    published = "" if first.published is None else f"{first.published:g}"
    figure = f"`{first.name}` {first.figure}"
    if len(seeds := first.training_seeds) > 1:
        figure += (
            f"; {min(seeds):g} to {max(seeds):g} by {len(seeds)} training seeds, "
            f"mean {round(fmean(seeds), 3):g}"
        )
    return link, entry.data, parameters, figure, published


def _gallery(every: Sequence[Entry]) -> Iterator[str]:
    yield "---\nhide: [toc]\n---\n\n# Gallery"
    yield (
        "Samples of each entry, from seed 0 and with nothing picked by hand. Tables are shown as "
        "one row of squares for each sample, white for 1. A picture leads to its card, which has "
        "the command that made it."
    )
    yield '<link rel="stylesheet" href="gallery.css">'
    yield '<div class="gallery" id="gallery" markdown>'
    for entry in sorted(every, key=place):
        if picture(entry).is_file():
            yield _figure(entry)
    yield "</div>"
    yield "## Families from outside"
    yield (
        "What a family looks like that is no part of the zoo: its package brings architectures, "
        "weights and a registry of its own. [How these two were made](../plugins/outside.md)."
    )
    yield '<div class="gallery" markdown>'
    for entry in outside():
        if picture(entry).is_file():
            yield _framed(entry, "../plugins/outside.md")
    yield "</div>"
    yield '<script src="gallery.js"></script>'


def place(entry: Entry) -> tuple[int, int]:
    """The best pictures first, then those of images, and tables of bits last."""
    best = _BEST.index(entry.name) if entry.name in _BEST else len(_BEST)
    return int(len(entry.config.get("shape", ())) != 3), best


def _figure(entry: Entry) -> str:
    facets = {"family": entry.family, "data": entry.data, "kind": kind(entry)}
    marks = "".join(f' data-{name}="{html.escape(value)}"' for name, value in facets.items())
    return _framed(entry, f"../models/{entry.name}.md", marks)


def _framed(entry: Entry, page: str, marks: str = "") -> str:
    """The picture of an entry, which leads to a page."""
    image = f"![{_alt(entry)}](../models/pictures/{entry.name}.png){{ loading=lazy }}"
    caption = f"<figcaption markdown>[{entry.name}]({page})</figcaption>"
    return f"<figure markdown{marks}>\n[{image}]({page})\n{caption}\n</figure>"


# Markdown


def _text(blocks: Iterable[str]) -> str:
    title, *rest = blocks  # first, or mkdocs does not see that it is the title
    return "\n\n".join([title, HEAD, *rest]) + "\n"


def _block(language: str, text: str) -> str:
    return f"```{language}\n{text}\n```"


def _rows(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---:" if name in _NUMBERS else "---" for name in head], *rows]
    return "\n".join(
        f"| {' | '.join(cell.replace('|', '&#124;') for cell in line)} |" for line in lines
    )


def _link(text: str, path: str) -> str:
    """A link to a file of the repository, if there is one; docs/hooks.py says what shows it."""
    return f"[{text}](../../{path})" if (ROOT / path).is_file() else text


def _escape(text: str) -> str:
    return html.escape(text, quote=False).replace("*", r"\*").replace("_", r"\_")


def _alt(entry: Entry) -> str:
    words = shlex.split(read_provenance(picture(entry))["command"])
    task = words[words.index("--task") + 1] if "--task" in words else "sample"
    n = f"{words[words.index('-n') + 1]} " if "-n" in words else ""
    what = f"{n}samples" if task == "sample" else f"The task {task}"
    return f"{what} of {entry.name}. {entry.summary}".replace("[", "(").replace("]", ")")


# Writing


def _examples() -> tuple[Path, ...]:
    return tuple(sorted(ROOT.glob("examples/*/*/registry.toml")))


def _registries() -> tuple[Path, ...]:
    return (ROOT / "registry.toml", *sorted(ROOT.glob("plugins/*/*/registry.toml")))


def _write(wanted: Mapping[Path, str]) -> None:
    """Write the pages, and remove those of entries that are gone."""
    kept = {place(entry) for entry in (*entries(), *outside()) for place in (picture, curve)}
    for path in [*MODELS.glob("*.md"), *MODELS.glob("*/*.png")]:
        if path not in wanted and path not in kept:
            path.unlink()
    for path, text in wanted.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")


def main(arguments: Sequence[str]) -> int:
    """Draw what has to be drawn, then write every page; return the exit code."""
    cut = arguments.index("--") if "--" in arguments else len(arguments)
    names, options = arguments[:cut], arguments[cut + 1 :]
    os.environ["ZOO_REGISTRY"] = ",".join(map(str, (*_registries(), *_examples())))
    every = {entry.name: entry for entry in entries()}
    known = {**every, **{entry.name: entry for entry in outside()}}  # drawn where it is installed
    named = [entry.name for entry in Registry.load().select(names)]
    missing = [name for name, entry in every.items() if has_picture(entry) and not current(entry)]
    failed = 0
    for name in named if names else missing:
        try:
            draw(known[name], options)
        except (ZooError, click.ClickException) as error:
            failed = 1
            sys.stderr.write(f"error: no picture of {name}: {error}\n")
    for entry in every.values():
        keep_curve(entry, ROOT / "runs")
    _write(pages(list(every.values())))
    return failed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
