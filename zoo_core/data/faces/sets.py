"""The data sets of drawn faces, and the same person with one thing changed."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from importlib import resources
from pathlib import Path
from typing import cast

import torch
from torch import Tensor

from zoo_core.data.dataset import Dataset
from zoo_core.data.faces.captions import caption, mentions
from zoo_core.data.faces.drawing import check_packages, draw, load_or_make
from zoo_core.data.faces.people import matches, more_unseen, person_of, share_out
from zoo_core.data.faces.styles import PERSONAS, TOON_HEAD, Style
from zoo_core.errors import InvalidInput, UnknownName, did_you_mean

__all__ = [
    "SIZES",
    "UNSEEN",
    "counterfactual",
    "dicebear",
    "dicebear_name",
    "faces",
    "faces_all",
    "faces_domains",
    "faces_hair",
    "faces_joint",
    "faces_styles",
    "faces_unpaired",
    "named_attributes",
    "pixel_faces",
    "visible",
]

SIZES = {"train": 40_000, "validation": 4_000, "test": 4_000}
"""Rows of `faces` and `pixel-faces`."""
UNSEEN = 1_000
"""The last rows of the test split of `faces`: what they have together, no other row has."""
_DOMAINS = ("hair_colour", "skin", "beard", "eyebrows")
"""Attributes between whose values images are translated."""
_MORE = {"train": 4_000, "validation": 400}
"""Rows of that kind beside them in `faces-all`."""
_STYLES = {"train": 8_000, "validation": 1_000, "test": 1_000}
"""Rows of `faces-unpaired`, of each style."""
_DIGESTS = {
    "faces": "2a3024876446966ce579f0bcbe5213191c260fb761a4859d1d42d792097976fe",
    "faces-unpaired": "5064e4ab68469974acd7c5b99cb4ca57c01c976ec0d940b946bff14d753dc27b",
    "faces-unseen": "6a7740745ae866a74a06903390ff93a41a161b378172efba924ae70faa80134a",
    "pixel-faces": "82f975c1357a378ef7f2122dc7346f2c9ccb63a6a2cfeedd6b1601cdc860f0d7",
}
_OWN_TERMS = ("avataaars", "bottts")
_NAME = re.compile(r"dicebear-(?P<style>[a-z-]+?)-(?P<size>\d+)")


def faces(split: str, root: Path) -> Dataset:
    """One split of `faces`: toon heads of 64x64 pixels in colour, each with its attributes.

    A row's label is the number that its attributes make, and `column` takes them apart.
    """
    path, count = _path(root, "faces"), sum(SIZES.values())
    rows = load_or_make(path, split, _make_faces, _DIGESTS["faces"], count)
    texts = tuple(_captions(TOON_HEAD, rows["labels"]))
    return _dataset("faces", split, rows, attributes=TOON_HEAD.values, texts=texts)


def faces_all(split: str, root: Path) -> Dataset:
    """`faces` with the held-out combinations in training and validation too, for judges.

    A net that never saw red hair with a beard takes red beards for something else.
    """
    seen = faces(split, root)
    if split == "test":
        return replace(seen, name="faces-all")
    path, count = _path(root, "faces-unseen"), sum(_MORE.values())
    rows = load_or_make(path, split, _make_unseen, _DIGESTS["faces-unseen"], count)
    labels = torch.cat([cast("Tensor", seen.labels), rows["labels"]])
    texts = (*seen.texts, *_captions(TOON_HEAD, rows["labels"]))
    return replace(
        seen, name="faces-all", x=torch.cat([seen.x, rows["x"]]), labels=labels, texts=texts
    )


def faces_domains(split: str, root: Path) -> Dataset:
    """The rows of `faces`, labelled by colour of the hair, skin, beard and eyebrows together."""
    rows = faces(split, root)
    attributes = {name: rows.attributes[name] for name in _DOMAINS}
    labels = torch.zeros(len(rows), dtype=torch.int64)
    for name, values in attributes.items():
        labels = labels * len(values) + rows.column(name)
    return replace(rows, name="faces-domains", labels=labels, attributes=attributes)


def faces_hair(split: str, root: Path) -> Dataset:
    """The rows of `faces`, labelled by colour of the hair."""
    rows = faces(split, root)
    classes = rows.attributes["hair_colour"]
    labels = rows.column("hair_colour")
    return replace(rows, name="faces-hair", labels=labels, classes=classes, attributes={})


def faces_unpaired(split: str, root: Path) -> Dataset:
    """One split of two styles, labelled by style; no person is in both."""
    rows = _two_styles(split, root)
    return _dataset("faces-unpaired", split, rows, classes=(TOON_HEAD.name, PERSONAS.name))


def faces_styles(split: str, root: Path) -> Dataset:
    """The rows of `faces-unpaired`, labelled by style, colour of the hair and skin together."""
    rows, shared = _two_styles(split, root), ("hair_colour", "skin")
    values = {name: TOON_HEAD.values[name] for name in shared}
    labels = rows["labels"]
    for name in shared:
        labels = labels * len(values[name]) + rows[name]
    attributes = {"style": (TOON_HEAD.name, PERSONAS.name), **values}
    return _dataset("faces-styles", split, {"x": rows["x"], "labels": labels}, attributes)


def faces_joint(split: str, root: Path) -> Dataset:
    """Two data sets with different labels: toon heads by colour of the hair, personas by skin.

    They are the rows of `faces-unpaired`. Of each, the other attribute is "unknown".
    """
    rows = _two_styles(split, root)
    toon = rows["labels"] == 0
    attributes = {name: (*TOON_HEAD.values[name], "unknown") for name in ("hair_colour", "skin")}
    hair, skin = (len(values) - 1 for values in attributes.values())
    labels = torch.where(toon, rows["hair_colour"], hair) * (skin + 1)
    labels = labels + torch.where(toon, skin, rows["skin"])
    return _dataset("faces-joint", split, {"x": rows["x"], "labels": labels}, attributes)


def pixel_faces(split: str, root: Path) -> Dataset:
    """One split of `pixel-faces`: 16x16 pixels in colour, as crisp as they were drawn."""
    path = _path(root, "pixel-faces")
    digest = _DIGESTS["pixel-faces"]
    rows = load_or_make(path, split, lambda: _distinct("pixel-art", 16), digest, _tried())
    return _dataset("pixel-faces", split, rows)


def dicebear_name(name: str) -> tuple[str, int] | None:
    """Style and size of `dicebear-<style>-<size>`, or None for another data set's name.

    Raises UnknownName for an unknown style, and InvalidInput for one whose terms of its
    own do not allow it, or a size that is not offered.
    """
    match = _NAME.fullmatch(name)
    if match is None:
        return None
    style, size = match["style"], int(match["size"])
    if style.removesuffix("-neutral") in _OWN_TERMS:
        raise InvalidInput(
            f"{name}: the style {style} has terms of its own, under which no data set is offered. "
            "Take another, such as dicebear-personas-64."
        )
    if not 8 <= size <= 512:
        raise InvalidInput(f"{name}: the size is {size}; expected 8 to 512 pixels.")
    check_packages()
    known = [
        file.name.removesuffix(".json")
        for file in resources.files("dicebear_styles").iterdir()
        if file.name.endswith(".json") and not file.name.startswith(_OWN_TERMS)
    ]
    if style not in known:
        raise UnknownName(
            f"{name}: the style {style!r} is unknown.{did_you_mean(style, known)} There are "
            f"{', '.join(sorted(known))}."
        )
    return style, size


def dicebear(name: str, split: str, root: Path) -> Dataset:
    """One split of any other style, by `dicebear-<style>-<size>`: of what 48,000 seeds draw."""
    parsed = dicebear_name(name)
    assert parsed is not None  # the caller has asked
    path = root / "drawn" / f"{name}.safetensors"
    rows = load_or_make(path, split, lambda: _distinct(*parsed), faces=_tried())
    return _dataset(name, split, rows)


def counterfactual(dataset: Dataset, **changes: str) -> Dataset:
    """The same people with something changed, drawn anew.

    Args:
        dataset: rows of `faces`; take few, as in `faces[:16]`: each takes some milliseconds.
        changes: attribute to its new value, as in `hair_colour="red"`.

    Raises UnknownName for an unknown attribute or value.
    """
    if dataset.labels is None or dict(dataset.attributes) != TOON_HEAD.values:
        raise InvalidInput(f"{dataset.name} has no counterfactuals: only rows of faces have.")
    labels = dataset.labels
    for name, value in changes.items():
        labels = _change(labels, name, value)
    people = [person_of(TOON_HEAD, number) for number in labels.tolist()]
    x = draw([(TOON_HEAD.name, TOON_HEAD.options(person)) for person in people], 64)
    texts = tuple(_captions(TOON_HEAD, labels))
    return replace(dataset, x=x, labels=labels, texts=texts)


def visible(dataset: Dataset, **changes: str) -> Tensor:
    """Of which rows a counterfactual shows all attributes, (N,), bool: nothing hides another."""
    assert dataset.labels is not None  # rows of faces have
    people = [person_of(TOON_HEAD, number) for number in dataset.labels.tolist()]
    return torch.tensor([not matches({**person, **changes}, TOON_HEAD.hidden) for person in people])


def named_attributes(dataset: Dataset) -> Tensor:
    """Which attributes the caption of each row names, (N, attributes), bool.

    Raises InvalidInput for other rows than those of `faces`.
    """
    if dataset.labels is None or dict(dataset.attributes) != TOON_HEAD.values:
        raise InvalidInput(f"{dataset.name} has no captions by a grammar: only rows of faces have.")
    found = [mentions(person_of(TOON_HEAD, number), number) for number in dataset.labels.tolist()]
    return torch.tensor([[name in names for name in TOON_HEAD.values] for names in found])


def _change(labels: Tensor, name: str, value: str) -> Tensor:
    """The numbers of people of whom one attribute has another value."""
    values = TOON_HEAD.values
    for key, known in ((name, values), (value, values.get(name, ()))):
        if key not in known:
            what = "an attribute" if known is values else f"a value of {name}"
            raise UnknownName(
                f"{key!r} is not {what} of faces.{did_you_mean(key, known)} "
                f"There are {', '.join(known)}."
            )
    sizes = [len(known) for known in values.values()]
    columns = list(torch.unravel_index(labels, sizes))
    columns[list(values).index(name)] = torch.full_like(labels, values[name].index(value))
    number = torch.zeros_like(labels)
    for column, size in zip(columns, sizes, strict=True):
        number = number * size + column
    return number


def _dataset(
    name: str,
    split: str,
    rows: dict[str, Tensor],
    attributes: dict[str, tuple[str, ...]] | None = None,
    classes: tuple[str, ...] = (),
    texts: tuple[str, ...] = (),
) -> Dataset:
    labels = rows.get("labels")
    return Dataset(name, split, rows["x"], 256, labels, classes, texts, attributes or {})


def _path(root: Path, name: str) -> Path:
    """Where a set is kept: a file of another version has another name, and is left alone."""
    return root / "drawn" / f"{name}-{_DIGESTS[name][:8]}.safetensors"


def _captions(style: Style, labels: Tensor) -> list[str]:
    return [caption(person_of(style, number), number) for number in labels.tolist()]


def _make_faces() -> dict[str, Tensor]:
    labels = share_out(TOON_HEAD, SIZES, UNSEEN, "faces")
    x = draw([_job(TOON_HEAD, n) for n in torch.cat([*labels.values()]).tolist()], 64, "faces")
    return _by_split(labels, x)


def _make_unseen() -> dict[str, Tensor]:
    """More people with held-out combinations, none of them in the test split."""
    numbers = more_unseen(TOON_HEAD, sum(_MORE.values()), "faces", after=UNSEEN)
    labels = dict(zip(_MORE, numbers.split([*_MORE.values()]), strict=True))
    x = draw([_job(TOON_HEAD, n) for n in numbers.tolist()], 64, "faces-unseen")
    return _by_split(labels, x)


def _make_two_styles() -> dict[str, Tensor]:
    """Rows of both styles, mixed, so that each part of a split holds both."""
    tensors: dict[str, Tensor] = {}
    toon = share_out(TOON_HEAD, _STYLES, 0, "faces-unpaired")
    other = share_out(PERSONAS, _STYLES, 0, "faces-unpaired")
    for split in _STYLES:
        pairs = zip(toon[split].tolist(), other[split].tolist(), strict=True)
        jobs = [job for a, b in pairs for job in (_job(TOON_HEAD, a), _job(PERSONAS, b))]
        tensors[f"{split}.x"] = draw(jobs, 64, f"faces-unpaired:{split}")
        tensors[f"{split}.labels"] = torch.arange(len(jobs)) % 2
        for name in ("hair_colour", "skin"):
            both = [_column(TOON_HEAD, toon[split], name), _column(PERSONAS, other[split], name)]
            tensors[f"{split}.{name}"] = torch.stack(both, 1).flatten()
    return tensors


def _two_styles(split: str, root: Path) -> dict[str, Tensor]:
    path = _path(root, "faces-unpaired")
    count = 2 * sum(_STYLES.values())
    return load_or_make(path, split, _make_two_styles, _DIGESTS["faces-unpaired"], count)


def _distinct(style: str, size: int) -> dict[str, Tensor]:
    """Pictures of a style by seeds, each once; fewer where a style has not so many."""
    n = sum(SIZES.values())
    x = draw([(style, {"seed": str(seed)}) for seed in range(_tried())], size, style)
    first = {image.numpy().tobytes(): place for place, image in reversed(list(enumerate(x)))}
    x = x[sorted(first.values())][:n]
    held_out = min(SIZES["test"], len(x) // 12)
    sizes = [len(x) - 2 * held_out, held_out, held_out]
    return {f"{k}.x": part.clone() for k, part in zip(SIZES, x.split(sizes), strict=True)}


def _tried() -> int:
    """Seeds of which the first different pictures are kept."""
    n = sum(SIZES.values())
    return n + n // 20


def _job(style: Style, number: int) -> tuple[str, dict[str, object]]:
    return style.name, style.options(person_of(style, number))


def _column(style: Style, labels: Tensor, name: str) -> Tensor:
    sizes = [len(values) for values in style.values.values()]
    return torch.unravel_index(labels, sizes)[list(style.values).index(name)]


def _by_split(labels: dict[str, Tensor], x: Tensor) -> dict[str, Tensor]:
    parts: Sequence[Tensor] = x.split([len(part) for part in labels.values()])
    tensors = {f"{split}.x": part.clone() for split, part in zip(labels, parts, strict=True)}
    return tensors | {f"{split}.labels": part for split, part in labels.items()}
