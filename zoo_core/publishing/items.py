"""The published files of an entry: its record, weights, recipe, card and picture."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from zoo_core import loading
from zoo_core.errors import InvalidInput, InvalidWeights, ZooError
from zoo_core.registry import Entry, Metric
from zoo_core.sources import SourceError, read
from zoo_core.text import hidden, printable

__all__ = ["Item"]


@dataclass(frozen=True)
class Item:
    """An entry that can be published, with its files here."""

    table: Mapping[str, Any]
    """As in a registry."""
    weights: Path
    recipe: bytes | None

    @classmethod
    def of(cls, name: str) -> Item:
        """The item of a run folder or of an entry, whose weights are fetched.

        Raises InvalidInput for a run that has not ended, and what `zoo_core.load` raises.
        """
        origin = loading.resolve(name)
        if isinstance(origin, Entry):
            source = loading.Source.of(origin, loading.open_source(name).path)
            table = _table(origin)
        else:
            source, entry = origin, loading.entry_of_run(origin)
            text = (source.path.parent / "entry.toml").read_text("utf-8")
            (table,) = tomllib.loads(_without_folder(text, entry.data))["entry"]
            return cls(table, source.path, _recipe(entry))
        return cls(table, source.path, _recipe(origin))

    @property
    def name(self) -> str:
        """The entry's."""
        return str(self.table["name"])

    @property
    def sha256(self) -> str:
        """Of the weights."""
        return str(self.table["weights"]["sha256"])

    @property
    def stem(self) -> str:
        """The name of its files: other weights have others, so that none is ever overwritten."""
        return f"{self.name}-{self.sha256[:12]}"

    @property
    def missing_licences(self) -> list[str]:
        """Which of `code` and `weights` have no licence."""
        return [key for key, value in self.table["licence"].items() if value == "unknown"]

    def licensed(self, licences: Mapping[str, str]) -> Item:
        """The item under licences, where it had none."""
        given = {key: licences[key] for key in self.missing_licences if licences.get(key)}
        return replace(self, table={**self.table, "licence": {**self.table["licence"], **given}})

    def published(self) -> dict[str, Any]:
        """The record as a published registry has it, with the addresses of its files."""
        table = {**self.table, "weights": {**self.table["weights"], "url": self._weights_name}}
        table.pop("recipe", None)
        if self.recipe is not None:
            table["recipe"] = f"recipes/{self.stem}.toml"
        return table

    def files(self, *, pictured: bool) -> Iterator[tuple[str, bytes | Path]]:
        """Its files by name, but for the picture.

        pictured: whether there is one, which the card then shows.
        """
        yield self._weights_name, self.weights
        if self.recipe is not None:
            yield f"recipes/{self.stem}.toml", self.recipe
        yield f"cards/{self.stem}.md", self._card(pictured).encode()

    @property
    def picture_name(self) -> str:
        """Where its picture belongs."""
        return f"pictures/{self.stem}.png"

    def picture(self, folder: Path) -> Path | None:
        """Save a picture of samples into a folder; None for a model whose samples are no images."""
        if "sample" not in self.table["tasks"]:
            return None
        from zoo_core.tasks.running import run

        path = folder / "picture.png"
        try:
            result = run(self.weights_as_file(folder), "sample", seed=0, n=16)
            if result.images is None:
                return None
            result.save(path)
        except (InvalidInput, InvalidWeights):  # it takes a prompt, or the file tells no family
            return None
        return path

    def weights_as_file(self, folder: Path) -> Path:
        """The weights under a name that says what they are: a blob's has no suffix."""
        if self.weights.suffix == ".safetensors":
            return self.weights
        link = folder / f"{self.stem}.safetensors"
        link.symlink_to(self.weights.absolute())
        return link

    @property
    def _weights_name(self) -> str:
        return f"weights/{self.stem}.safetensors"

    def _card(self, pictured: bool) -> str:
        table, weights = self.table, self.table["weights"]
        seen = weights.get("seen")
        rows = {
            "architecture": f"`{table['architecture']}`, of the family {table['family']}",
            "needs": f"`{table['requires']}`",
            "data": table["data"] + (f", {seen:,} rows seen in training" if seen else ""),
            "parameters": f"{weights['parameters']:,}",
            "weights": f"{weights['bytes']:,} bytes, sha256 `{weights['sha256']}`",
            "licence": f"code {table['licence']['code']}, weights {table['licence']['weights']}",
        }
        lines = ["---", f"license: {table['licence']['weights'].lower()}", "library_name: zoo"]
        lines += ["---", "", f"# {self.name}", "", printable(table["summary"], None), ""]
        if pictured:
            lines += [f"![samples](../{self.picture_name})", ""]
        lines += ["| | |", "| --- | --- |", *(f"| {key} | {text} |" for key, text in rows.items())]
        for metric in (Metric(**metric) for metric in table.get("metrics", ())):
            seeds = f"; by {len(metric.training_seeds)} training seeds {metric.spread}"
            lines.append(f"| {metric.name} | {metric.figure}{seeds if metric.spread else ''} |")
        return "\n".join([*lines, "", f"    zoo run {self.name}", ""])


def _recipe(entry: Entry) -> bytes | None:
    if not entry.recipe:
        return None
    try:
        with read(entry.recipe_file) as answer:
            text = b"".join(answer.chunks).decode("utf-8", "surrogateescape")
    except SourceError as error:
        raise ZooError(
            f"the recipe of {entry.name}, {printable(entry.recipe_file)}, cannot be read: {error}."
        ) from error
    return _without_folder(text, entry.data).encode("utf-8", "surrogateescape")


def _without_folder(text: str, data: str) -> str:
    """A text with the data by name alone: its folder on this machine, or a password, is private."""
    path = Path(data)
    if not path.is_absolute():
        return text.replace(data, hidden(data))
    text = text.replace(data, path.name)
    # at the root there is no folder to be left out
    return text if path.parent == path.parent.parent else text.replace(f"{path.parent}/", "")


def _table(entry: Entry) -> dict[str, Any]:
    """The record of an entry that was read: what was not given is left out again."""
    table = _given(asdict(entry))
    for key in ("origin", "shipped", "mirrors"):
        table.pop(key, None)
    deprecated = {key: table.pop(key) for key in ("successor", "reason") if key in table}
    return {**table, "config": dict(entry.config)} | (
        {"deprecated": deprecated} if deprecated else {}
    )


def _given(value: object) -> Any:
    if isinstance(value, dict):
        return {
            key: value[key] if key in ("config", "protocol") else _given(value[key])
            for key in value
            if value[key] not in (None, "", ()) or key in ("tasks", "summary")
        }
    return [_given(each) for each in value] if isinstance(value, list | tuple) else value
