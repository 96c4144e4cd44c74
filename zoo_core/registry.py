"""Registries: `registry.toml` files become entries that can be looked up and filtered.

Over 400 lines: the records of an entry, which say all that a registry holds, stand before the class
that finds them.
"""

import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo_core import environment
from zoo_core.errors import InvalidRegistry, NetworkError, UnknownName, ZooError, did_you_mean
from zoo_core.registry_files import origin_of, read_document
from zoo_core.rules import Rule, check_value
from zoo_core.text import hidden, html_table, printable, quoted
from zoo_core.urls import join, local_path

if TYPE_CHECKING:
    from zoo_core.store import Blob

__all__ = [
    "Entry",
    "Licence",
    "Metric",
    "Paper",
    "Registry",
    "Weights",
    "Withdrawn",
    "is_path",
    "list_entries",
    "own_registry",
    "pull",
]

_SOURCES = Rule("a path, a folder or a URL, or a list of them", lambda v: isinstance(v, Iterable))


@dataclass(frozen=True, slots=True)
class Weights:
    """The weights file of an entry."""

    url: str
    sha256: str
    bytes: int
    parameters: int
    """Of the model (see `zoo_core.metrics.comparison.parameters`); older entries count the
    floating-point buffers of the file too."""
    checksums: tuple[str, ...] = ()
    """STEP:CHECKSUM of the networks while they were trained."""
    seen: int | None = None
    """How many rows of its data they had seen in training, each pass counted."""


@dataclass(frozen=True, slots=True)
class Paper:
    """The paper that an entry's architecture comes from."""

    title: str
    authors: str
    year: int
    url: str = ""


@dataclass(frozen=True, slots=True)
class Metric:
    """A measured figure, with what `zoo eval` needs to recompute it."""

    name: str
    value: float
    unit: str
    tolerance: float
    protocol: Mapping[str, Any]
    published: float | None = None
    source: str = ""
    seen: int | None = None
    """How many images the weights behind the published figure had seen, each pass counted."""
    real: float | None = None
    """The same of training rows in the place of the model's samples, where these are measured."""
    standard_error: float | None = None
    """Of the value, where it is the mean of rows' or samples' values."""
    training_seeds: Sequence[float] = ()
    """The same of weights by several training seeds, the entry's own first."""

    @property
    def figure(self) -> str:
        """The value with its standard error and unit, as `84.52 ± 0.21 nats`."""
        error = "" if self.standard_error is None else f" ± {_rough(self.standard_error)}"
        return f"{self.value:g}{error} {self.unit}"

    @property
    def spread(self) -> str:
        """Of training seeds: `4.9, 4.2, 5.1; 4.2 to 5.1, mean 4.73, deviation 0.47`.

        Two have a mean alone, and one nothing.
        """
        if len(self.training_seeds) < 2:
            return ""
        from statistics import mean, stdev  # takes its time to be imported

        values = ", ".join(f"{value:g}" for value in self.training_seeds)
        middle = f"mean {round(mean(self.training_seeds), 3):g}"
        if len(self.training_seeds) == 2:
            return f"{values}; {middle}"
        least, most = min(self.training_seeds), max(self.training_seeds)
        deviation = _rough(stdev(self.training_seeds))
        return f"{values}; {least:g} to {most:g}, {middle}, deviation {deviation}"


def _rough(spread: float) -> str:
    """A spread in two digits, or as a whole number."""
    return f"{spread:#.2g}".rstrip(".") if spread < 100 else f"{spread:.0f}"


@dataclass(frozen=True, slots=True)
class Licence:
    """SPDX identifiers of the code and of the weights."""

    code: str
    weights: str


@dataclass(frozen=True, slots=True)
class Entry:
    """One record of a registry: an architecture with a config and weights."""

    name: str
    summary: str
    family: str
    requires: str
    architecture: str
    tasks: tuple[str, ...]
    tags: tuple[str, ...]
    data: str
    recipe: str
    licence: Licence
    config: Mapping[str, Any]
    weights: Weights
    paper: Paper | None
    metrics: tuple[Metric, ...]
    origin: str
    """Path or URL of the registry that holds the entry."""
    shipped: bool = False
    """Whether the registry came with the code, and its files lie beside it."""
    mirrors: tuple[str, ...] = ()
    """Folders to take the weights from when the registry's own does not have them."""
    successor: str = ""
    """The entry that takes its place, where it is deprecated: a lookup warns and gives that one."""
    reason: str = ""
    """Why it is deprecated."""
    clusters: tuple[str, ...] = ()
    """What each cluster mostly holds, of a model that sorts its data without labels; '' where it
    holds no one thing."""

    @property
    def blob(self) -> "Blob":
        """What the store has to fetch."""
        from zoo_core.store import Blob

        folders = (join(self.origin, mirror).rstrip("/") + "/" for mirror in self.mirrors)
        sources = dict.fromkeys(join(base, self.weights.url) for base in (self.origin, *folders))
        beside = tuple(self._beside(self.weights.url))
        return Blob(self.weights.sha256, self.weights.bytes, tuple(sources), beside)

    @property
    def recipe_file(self) -> str:
        """Path or URL of the recipe: beside the code where it came with it, else the registry's."""
        here = next((path for path in self._beside(self.recipe) if path.is_file()), None)
        return str(here or join(self.origin, self.recipe))

    def _beside(self, url: str) -> Iterator[Path]:
        """Where a file of this entry lies that came with the code: in a checkout, or in a wheel."""
        from zoo_core import plugins

        if self.shipped and (path := local_path(join(self.origin, url))):
            yield path
        if self.shipped and (folder := plugins.folder(self.family)):
            yield Path(folder, *Path(url).parts[-2:])

    def metric(self, name: str) -> Metric:
        """Find a metric by name; raises UnknownName."""
        for metric in self.metrics:
            if metric.name == name:
                return metric
        known = [metric.name for metric in self.metrics]
        raise UnknownName(
            f"entry '{self.name}' has no metric '{name}'.{did_you_mean(name, known)}"
            f" It has: {', '.join(known) or 'none'}."
        )

    def as_dict(self) -> dict[str, Any]:
        """Everything about the entry, as plain values for JSON; addresses as they may be shown."""
        from dataclasses import asdict, replace

        shown = replace(
            self,
            origin=hidden(self.origin),
            recipe=hidden(self.recipe),
            mirrors=tuple(map(hidden, self.mirrors)),
            weights=replace(self.weights, url=hidden(self.weights.url)),
        )
        return asdict(shown)


@dataclass(frozen=True, slots=True)
class Withdrawn:
    """An entry that is there no more."""

    name: str
    successor: str
    """The entry that takes its place: a lookup warns and gives that one."""
    origin: str
    """Path or URL of the registry that says so."""
    reason: str = ""


class Registry:
    """Entries of one or more registry files, in their order."""

    def __init__(
        self,
        entries: dict[str, Entry],
        sources: tuple[str, ...],
        left_out: Mapping[str, ZooError] | None = None,
        withdrawn: Mapping[str, Withdrawn] | None = None,
    ) -> None:
        self.entries = entries
        self.withdrawn = withdrawn or {}
        self.sources = sources
        self.left_out = left_out or {}
        """Why a registry of a family, or an added one, could not be used, by its origin."""

    @classmethod
    def load(
        cls,
        sources: str | Path | Iterable[str | Path] | None = None,
        *,
        refresh: bool = False,
        trusted: bool = False,
    ) -> "Registry":
        """Read and merge registries.

        Args:
            sources: one path, folder or URL, or several; by default those of `ZOO_REGISTRY`, else
                our own, those that installed families ship and those of `zoo registry add`. Of the
                last two, one that cannot be used, or repeats a name, costs a line on stderr.
            refresh: ask the servers of remote registries even when the copy here is fresh.
            trusted: whether they need no signature where the user's policy asks for one; what came
                with the code never does.

        Of an entry that several have, with one digest, the first is taken.

        Raises InvalidRegistry for a file that breaks the schema or repeats a name, its kind
        UntrustedRegistry for one that the user's policy does not allow, and NetworkError when a
        remote one cannot be had.
        """
        others: dict[str, bool] = {}
        if sources is None:
            sources = environment.registry_sources()
        elif isinstance(sources, str | Path):
            sources = (sources,)
        else:
            check_value(sources, _SOURCES, "sources")
        if not sources:
            from zoo_core import plugins

            sources = (own_registry(),)
            # the core offers a family, too, and ships that registry with it
            others = {str(p): True for p in plugins.registries() if p != own_registry()}
            others |= dict.fromkeys(environment.added_registries(), False)
        entries: dict[str, Entry] = {}
        withdrawn: dict[str, Withdrawn] = {}
        origins = tuple(origin_of(str(source)) for source in sources)
        signed = environment.trust() is not None
        for origin in dict.fromkeys(origins):
            shipped = origin == str(own_registry()) or (signed and origin in _shipped())
            more, gone = _read(origin, refresh, shipped=shipped, trusted=trusted)
            _merge(entries, more)
            withdrawn = _all_withdrawn(withdrawn, gone)
        left_out: dict[str, ZooError] = {}
        for origin, shipped in others.items():
            try:
                merged = dict(entries)
                more, gone = _read(origin, refresh, shipped=shipped)
                _merge(merged, more)
                gone = _all_withdrawn(withdrawn, gone)
            except (InvalidRegistry, NetworkError) as error:
                whose = "a family's" if shipped else "an added"
                sys.stderr.write(f"warning: {whose} registry is left out: {_lines(error)}\n")
                left_out[origin] = error
            else:
                entries, origins, withdrawn = merged, (*origins, origin), gone
        return cls(entries, origins, left_out, withdrawn)

    def lookup(self, name: str) -> Entry:
        """Find an entry by name, or the first one of a bare architecture name.

        One that is deprecated or withdrawn says so on stderr and gives its successor.

        Raises UnknownName with the near matches, and InvalidRegistry for successors in a circle.
        """
        if name in self.entries or name in self.withdrawn:
            return self._current(name)
        for entry in self.entries.values():
            if entry.architecture == name and not entry.successor:
                return entry
        raise UnknownName(self._explain_unknown(name))

    def _current(self, name: str) -> Entry:
        """The entry of a name, or what took its place."""
        chain = self.successors(name)
        for old, new in pairwise(chain):
            why = f" ({old.reason})" if old.reason else ""
            sys.stderr.write(
                f"warning: {old.name} is {_state(old)}{why}; {new.name} is used instead.\n"
            )
        return self.entries[chain[-1].name]

    def successors(self, name: str) -> list[Entry | Withdrawn]:
        """An entry, or one that is withdrawn, and what took its place, up to the present one.

        Raises InvalidRegistry for successors that are not there, or in a circle.
        """
        chain: list[Entry | Withdrawn] = [self.entries.get(name) or self.withdrawn[name]]
        while successor := (old := chain[-1]).successor:
            found = self.entries.get(successor) or self.withdrawn.get(successor)
            if found is None or found in chain:
                raise InvalidRegistry(
                    f"{hidden(old.origin)}: entry '{old.name}' is {_state(old)} for "
                    f"'{successor}', which is not an entry that can take its place."
                )
            chain.append(found)
        return chain

    def replaced(self) -> Iterator[Entry | Withdrawn]:
        """What is deprecated or withdrawn, each with its successor."""
        yield from (entry for entry in self.entries.values() if entry.successor)
        yield from (old for name, old in self.withdrawn.items() if name not in self.entries)

    def match(self, globs: Iterable[str] = ()) -> list[Entry]:
        """Entries that fit any of the patterns, in file order; all when there is no pattern.

        Patterns are globs over names, or bare architecture names. Raises UnknownName for a name
        without wildcards that no entry has.
        """
        patterns = [self._current(glob).name if glob in self.withdrawn else glob for glob in globs]
        for pattern in patterns:
            if not _is_glob(pattern):
                self._check_known(pattern)
        return [entry for entry in self.entries.values() if _fits(entry, patterns)]

    def select(self, names: Iterable[str]) -> list[Entry]:
        """Entries by name, each once; a bare architecture is its first entry, a glob all that fit.

        Raises UnknownName for a name that no entry has, and for a glob that none fits.
        """
        found: dict[str, Entry] = {}
        for name in names:
            entries = self.match([name]) if _is_glob(name) else [self.lookup(name)]
            if not entries:
                raise UnknownName(self._explain_unknown(name))
            found.update((entry.name, entry) for entry in entries)
        return list(found.values())

    def _check_known(self, name: str) -> None:
        known = {*self.entries, *(entry.architecture for entry in self.entries.values())}
        if name not in known:
            raise UnknownName(self._explain_unknown(name))

    def _explain_unknown(self, name: str) -> str:
        if _is_glob(name) and (fitting := [entry.name for entry in self.match([name])]):
            some = ", ".join(fitting[:3]) + (", …" if len(fitting) > 3 else "")
            return f"{quoted(name)} is a pattern, which fits {some}; expected one entry's name."
        fits = "fits" if _is_glob(name) else "is named"
        if not self.entries:
            places = ", ".join(map(hidden, self.sources))
            return f"no entry {fits} {quoted(name)}: {places} holds no entries."
        known = dict.fromkeys([*self.entries, *(e.architecture for e in self.entries.values())])
        if os.path.exists(name):  # noqa: PTH110 - no path is too odd for it
            near = f" A file or folder is given as {quoted('./' + name)}."
        else:
            near = did_you_mean(name, known)
        count = f"{len(self.entries):,}"
        return f"no entry {fits} {quoted(name)}.{near} `zoo list` shows the {count} there are."


def list_entries(pattern: str = "*") -> list[Entry]:
    """Entries of the default registries whose names fit a glob such as `nade*`."""
    return _Entries(Registry.load().match([pattern]))


class _Entries(list[Entry]):
    """Entries that a notebook shows as a table."""

    def _repr_html_(self) -> str:
        head = ("entry", "data", "parameters", "summary")
        rows = [(e.name, e.data, f"{e.weights.parameters:,}", e.summary) for e in self]
        return html_table(head, rows)


def pull(name: str) -> Path:
    """Fetch and verify an entry's weights unless they are here; return their path."""
    from zoo_core.store import Store

    return Store().fetch(Registry.load().lookup(name).blob)


def is_path(name: str) -> bool:
    """Whether a name is written as the path of a run folder or a file, and is no entry's."""
    separators = {os.sep, os.altsep or os.sep, "/"}
    return name.endswith(".safetensors") or any(mark in name for mark in separators) or name == "."


def own_registry() -> Path:
    """The registry that comes with zoo: beside the package in a checkout, else inside it."""
    package = Path(__file__).parent
    beside = package.parent / "registry.toml"
    return beside if beside.is_file() else package / "registry.toml"


def _shipped() -> set[str]:
    """The registries that families ship."""
    from zoo_core import plugins

    return set(map(str, plugins.registries()))


def _lines(error: ZooError) -> str:
    """A message as a terminal may show it: it quotes what servers and files say."""
    return "\n".join(printable(line, None) for line in str(error).splitlines())


def _state(old: Entry | Withdrawn) -> str:
    return "deprecated" if isinstance(old, Entry) else "withdrawn"


def _is_glob(pattern: str) -> bool:
    return not set(pattern).isdisjoint("*?[")


def _fits(entry: Entry, patterns: list[str]) -> bool:
    return not patterns or any(
        fnmatchcase(entry.name, pattern) or entry.architecture == pattern for pattern in patterns
    )


def _merge(entries: dict[str, Entry], more: Iterable[Entry]) -> None:
    """Add entries; one with the name and digest of an entry of another registry is that entry."""
    for entry in more:
        other = entries.setdefault(entry.name, entry)
        same = other.origin != entry.origin and other.weights.sha256 == entry.weights.sha256
        if other is not entry and not same:
            places = f"both in {hidden(other.origin)} and in {hidden(entry.origin)}"
            if other.origin == entry.origin:
                places = f"twice in {hidden(entry.origin)}"
            raise InvalidRegistry(f"entry '{entry.name}' is {places}; rename or remove one.")


def _all_withdrawn(
    known: Mapping[str, Withdrawn], more: Mapping[str, Withdrawn]
) -> dict[str, Withdrawn]:
    """What several registries withdrew; each name for one successor."""
    for name in known.keys() & more.keys():
        one, other = known[name], more[name]
        if one.successor != other.successor:
            raise InvalidRegistry(
                f"'{name}' is withdrawn for '{one.successor}' in {hidden(one.origin)} and for "
                f"'{other.successor}' in {hidden(other.origin)}; remove one."
            )
    return {**more, **known}


# Reading


def _read(
    origin: str, refresh: bool, *, shipped: bool, trusted: bool = False
) -> tuple[list[Entry], dict[str, Withdrawn]]:
    document = read_document(origin, refresh=refresh, trusted=shipped or trusted)
    common = {
        "origin": origin,
        "shipped": shipped,
        "mirrors": tuple(document.get("mirrors", ())),
    }
    withdrawn = (Withdrawn(**raw, origin=origin) for raw in document.get("withdrawn", ()))
    return [_entry(raw, common) for raw in document["entry"]], {w.name: w for w in withdrawn}


def _entry(raw: dict[str, Any], common: Mapping[str, Any]) -> Entry:
    paper = raw.get("paper")
    return Entry(
        name=raw["name"],
        summary=raw["summary"],
        family=raw["family"],
        requires=raw["requires"],
        architecture=raw["architecture"],
        tasks=tuple(raw["tasks"]),
        tags=tuple(raw.get("tags", ())),
        clusters=tuple(raw.get("clusters", ())),
        data=raw["data"],
        recipe=raw.get("recipe", ""),
        licence=Licence(**raw["licence"]),
        config=raw["config"],
        weights=Weights(
            **raw["weights"] | {"checksums": tuple(raw["weights"].get("checksums", ()))}
        ),
        paper=Paper(**paper) if paper else None,
        metrics=tuple(Metric(**metric) for metric in raw.get("metrics", ())),
        **common,
        **raw.get("deprecated", {}),
    )
