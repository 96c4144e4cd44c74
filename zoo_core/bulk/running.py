"""Do a task in parts: read the next part, compute this one and write the last at the same time."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, fields, replace
from functools import partial
from importlib.util import find_spec
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from zoo_core import loading, tasks
from zoo_core.bulk.folder import Folder, Part, sizes_of
from zoo_core.bulk.shares import Share
from zoo_core.columns import table_columns, takes_missing
from zoo_core.data.binarization import binarize_parts, levels_of, needs_binarization
from zoo_core.data.cells import count_rows, read_ranges
from zoo_core.data.streams import Some, Stream, open_stream
from zoo_core.errors import InvalidInput
from zoo_core.precision import weight_of
from zoo_core.protocols import DensityModel
from zoo_core.rules import at_least, check_value
from zoo_core.tasks import detect
from zoo_core.tasks.context import Context
from zoo_core.tasks.result import Result, check_suffix
from zoo_core.text import hidden

if TYPE_CHECKING:
    from torch import Tensor

    from zoo_core.hookspecs import Task
    from zoo_core.model import AnyModel

__all__ = ["Done", "run_parts"]

T = TypeVar("T")

_PART = 2**22, 2**15
"""Values of the rows of a part, and its rows, at most, where no number is given: a few parts of any
model fit beside it."""
_BATCH, _BATCH_CPU = (2**20, 2**12), (2**16, 2**8)
"""The same of a batch. A processor's cache should hold what a model makes of it: a NADE scores 64
digits at a time twice as fast as 256 (benchmarks/bulk.py)."""
_LIGHT, _MANY = 2**26, 2**12
"""Bytes of all tensors that scoring a larger batch makes on a processor, and its rows, at most."""
_LARGEST = 12 * 2**20
"""Bytes of the largest of them, of any batch: attention scores 16 digits at a time in 0.7 of the
time of 64, a Row LSTM 32 in 0.65 of it."""
_OF_COLUMNS = (".parquet", ".csv")
"""Suffixes of parts whose columns are read again."""
_PICTURES = (".png", ".gif")
"""Suffixes of what shows a whole, of which a part makes no sense."""


@dataclass(frozen=True, slots=True)
class Done:
    """What a process has done of a task in parts."""

    rows: int
    """Rows or samples that it computed."""
    parts: int
    """Parts that it computed."""
    folder: Folder
    seconds: float
    notes: tuple[str, ...] = ()
    failed: tuple[str, ...] = ()
    """Inputs that could not be read, while the others are done."""
    figures: tuple[str, ...] = ()
    """Of all parts together, where all are there: the AUROC of inputs to tell apart."""

    @property
    def missing(self) -> int:
        """Parts that are not there, by now; other processes compute them."""
        return len(self.folder.missing())


def run_parts(
    model: AnyModel | str | Path,
    task: str | None,
    folder: str | Path,
    *,
    seed: int = 0,
    batch_size: int | None = None,
    part_rows: int | None = None,
    part_suffix: str | None = None,
    data_root: str | Path | None = None,
    share: Share = Share(),  # noqa: B008 - a constant
    progress: Callable[[int, int], None] | None = None,
    **settings: object,
) -> Done:
    """Do this process's share of a task over inputs, or samples, of any number, in a folder.

    model: one that was loaded from a file; or an entry, a run folder or a weights file.
    task: one that can be done in parts, as `sample`, `score` and `encode`; None is the model's
        first.
    folder: made, or resumed; it holds a file for each part, and `manifest.json`.
    seed: of everything that is random: sample i depends on the seed and on i alone.
    batch_size: samples or inputs at a time; None for the number that the folder was begun with, of
        a new one for a number by the size of a row.
    part_rows: rows or samples of a part; None for the same.
    part_suffix: of the parts' files; None for `.parquet`, or `.npz` where the task gives images.
    share: which parts this process takes; all by default, and `find_share()` by the scheduler.
    progress: called after each part with the number of rows that are done, of how many of this
        process's.
    settings: the task's own options.

    Raises as `zoo_core.run`, InvalidInput for a folder of something else, parts without rows and a
    task that cannot be done in parts, and DigestMismatch for a part that was changed.
    """
    loaded = loading.loaded(model)
    known = loading.info(loaded)
    record = _record(task, loaded, known.name)
    chosen = tasks.build_options(record, settings, loaded)
    for name, size in (("part_rows", part_rows), ("batch_size", batch_size)):
        check_value(1 if size is None else size, at_least(1), name)
    suffix, weight = _suffix(record, loaded, part_suffix), weight_of(loaded)
    begun = sizes_of(folder)
    rows = part_rows or begun.get("part_rows") or _fitting(loaded, _PART)
    batch_size = batch_size or begun.get("batch_size") or _batch(record, loaded, weight)
    context = Context.of(known, seed=seed, batch_size=batch_size, data_root=data_root)
    groups = _streams(loaded, chosen, context)
    streams = [stream for group in groups.values() for stream in group]
    sizes = {name: [stream.rows for stream in group] for name, group in groups.items()}
    parts = divide(sizes or {"inputs": [chosen.n]}, rows, suffix)
    odd = [hidden(stream.name) for stream in groups.get("against", ())]
    if odd:
        check_suffix(Path(f"part{suffix}"), _OF_COLUMNS)
    described = {
        "entry": known.name,
        "sha256": known.sha256,
        "task": record.name,
        "options": {
            each.name: odd if each.name == "against" else getattr(chosen, each.name)
            for each in fields(chosen)
            if each.name != "inputs"  # which the first sources are
        },
        "seed": seed,
        "dtype": str(weight.dtype).removeprefix("torch."),
        "batch_size": batch_size,
        "part_rows": rows,
        "part_suffix": suffix,
        "sources": [
            {"name": hidden(stream.name), "rows": stream.rows, "digest": stream.digest}
            for stream in streams
        ],
        "versions": _versions(),
    }
    made = Folder(Path(folder), described, parts)
    made.check()
    own = set(parts[share.rank :: share.processes])
    work = [part for part in made.missing() if part in own]
    start, counted = time.perf_counter(), _Counted(sum(len(part.rows) for part in work), progress)
    function = partial(_compute, tasks.function_of(record), loaded, chosen, context)
    with loading.ready(loaded):
        _write(made, ahead(_read(loaded, streams, work)), function, counted)
    figures = _aurocs(made) if odd and not made.missing() else ()
    return Done(
        rows=counted.rows,
        parts=len(work),
        folder=made,
        seconds=time.perf_counter() - start,
        notes=(*counted.notes, *context.notes),
        failed=made.unread(parts[share.rank :: share.processes]),
        figures=figures,
    )


@dataclass
class _Counted:
    """What a process has done so far."""

    total: int
    progress: Callable[[int, int], None] | None
    rows: int = 0
    notes: dict[str, None] = field(default_factory=dict)
    failed: int = 0

    def add(self, part: Part, some: Some | None, result: Result) -> None:
        self.rows += len(part.rows if some is None else some.names)
        self.notes |= dict.fromkeys(result.notes)
        self.failed += len(some.failed) if some else 0
        if self.progress is not None:
            self.progress(self.rows + self.failed, self.total)


def _record(task: str | None, model: object, name: str) -> Task:
    """The record of a task; raises InvalidInput for one that cannot be done in parts."""
    record = tasks.choose(task, model, name)
    if not record.parts:
        able = [each for each in tasks.able(model) if tasks.find(each).parts]
        raise InvalidInput(
            f"the task {record.name} looks at all inputs together, so it cannot be done in parts. "
            f"{name} can {', '.join(able) or 'do none'} in parts; for others name a file."
        )
    return record


def divide(groups: Mapping[str, Sequence[int]], rows: int, suffix: str) -> list[Part]:
    """Divide sources into parts of at most so many rows.

    groups: sizes of the sources, by the option that names them; each group counts its own rows.
    """
    number = sum(math.ceil(size / rows) for sizes in groups.values() for size in sizes)
    digits = max(5, len(str(number - 1)))  # so that names are in the order of the rows
    parts: list[Part] = []
    source = 0
    for group, sizes in groups.items():
        first = 0
        for size in sizes:
            for start in range(0, size, rows):
                stop, name = min(start + rows, size), f"part-{len(parts):0{digits}}{suffix}"
                parts.append(Part(name, source, range(start, stop), first + start, group))
            first += size
            source += 1
    return parts


def ahead(items: Iterable[T]) -> Iterator[T]:
    """The same items, each made in another thread while the one before it is used."""
    iterator, end = iter(items), object()
    with ThreadPoolExecutor(1) as reader:
        following = reader.submit(next, iterator, end)
        while (item := following.result()) is not end:
            following = reader.submit(next, iterator, end)
            yield item  # type: ignore[misc] # it is no end


def _streams(model: Any, chosen: Any, context: Context) -> dict[str, list[Stream]]:
    """The sources of a task's inputs, by the option that names them; none of one that samples."""
    if not hasattr(chosen, "inputs"):
        return {}
    given = {"inputs": chosen.inputs}
    if against := getattr(chosen, "against", ()):
        given = {"inputs": detect.inputs_of(chosen, context), "against": against}
    if not given["inputs"]:
        raise InvalidInput(
            "this task needs inputs: give --input a table, a folder of images or a data set such "
            "as mnist:test."
        )
    opened = partial(
        open_stream,
        shape=tuple(model.event_shape),
        levels=levels_of(model),
        columns=table_columns(model),
        root=context.data_root,
    )
    return {name: list(map(opened, sources)) for name, sources in given.items()}


def _read(
    model: object, streams: Sequence[Stream], work: Sequence[Part]
) -> Iterator[tuple[Part, Some | None]]:
    """Parts with their inputs; without any of a task that samples."""
    if not streams:
        yield from ((part, None) for part in work)
        return
    for _, group in groupby(work, key=lambda part: part.group):
        parts = list(group)
        inputs: Iterable[Some] = (
            some
            for source, own in groupby(parts, key=lambda part: part.source)
            for some in streams[source].read([part.rows for part in own])
        )
        if needs_binarization(levels_of(model)):
            places = [range(part.first, part.first + len(part.rows)) for part in parts]
            inputs = binarize_parts(inputs, places)
        yield from zip(parts, inputs, strict=True)


def _write(
    made: Folder,
    work: Iterable[tuple[Part, Some | None]],
    compute: Callable[[Part, Some | None], Result],
    counted: _Counted,
) -> None:
    """Compute parts, and write each while the next one is computed."""
    with ThreadPoolExecutor(1) as writer:
        written: Future[None] | None = None
        for part, some in work:
            result = compute(part, some)
            made.begin()  # now that inputs are known to be readable
            if written is not None:  # one is written at a time, so that no more are held
                written.result()
            written = writer.submit(made.add, part, partial(result.save, force=True), some)
            counted.add(part, some, result)
        if written is not None:
            written.result()
    made.begin()
    made.close()


def _compute(
    function: Callable[..., Result],
    model: Any,
    chosen: Any,
    context: Context,
    part: Part,
    some: Some | None,
) -> Result:
    """The result of a part, without the provenance, which the manifest holds."""
    context = replace(context, first=part.first, given=some, group=part.group)
    if some is None:
        return function(model, replace(chosen, n=len(part.rows)), context)
    if some.names:
        return function(model, chosen, context)
    # what a blank input gives, without it: readers of all parts take the columns of the first
    return function(model, chosen, replace(context, given=some.blank())).without_rows()


def _aurocs(made: Folder) -> tuple[str, ...]:
    """How well each score tells the rows of both groups apart, over all parts."""
    paths = [made.path / part.name for part in made.parts]
    cells = (cells for path in paths for cells in read_ranges(path, [range(count_rows(path))]))
    return detect.figures_of(dict(zip(each.names, each.columns, strict=True)) for each in cells)


def _suffix(record: Task, model: object, wanted: str | None) -> str:
    """The suffix of the parts' files.

    Raises InvalidInput for one that the task does not write in parts.
    """
    known = [suffix for suffix in tasks.suffixes(record, model) if suffix not in _PICTURES]
    if wanted is not None:
        check_suffix(Path(f"part{wanted}"), known)
    elif ".parquet" in known and known.index(".parquet") < known.index(".npz"):
        wanted = ".parquet"
    chosen = wanted or ".npz"
    if chosen == ".parquet" and find_spec("pyarrow") is None:
        raise InvalidInput(
            "Parquet needs an optional package: pip install 'zoo-core[datasets]'. Or take "
            "--part-suffix .csv."
        )
    return chosen


def _fitting(model: Any, most: tuple[int, int]) -> int:
    """A number of rows, a power of two, of at most so many values and so many rows."""
    values, rows = most
    fitting: int = min(rows, max(1, values // math.prod(model.event_shape)))
    return 1 << fitting.bit_length() - 1


def _batch(record: Task, model: Any, weight: Tensor) -> int:
    """A number of rows at a time, which follows from the task, the model and the kind of device."""
    on_cpu, scores = weight.device.type == "cpu", record.name == "score"
    least = _fitting(model, _BATCH_CPU if on_cpu else _BATCH)
    if not (on_cpu and scores) or not isinstance(model, DensityModel) or takes_missing(model):
        return least
    every, largest = _row_bytes(model, weight)
    # of a small row and a light model the time goes into calls, not into numbers
    light = min(_MANY, _LIGHT // max(1, every))
    fitting = max(1, min(max(least, light), _LARGEST // max(1, largest)))
    return 1 << fitting.bit_length() - 1


def _row_bytes(model: DensityModel, weight: Tensor) -> tuple[int, int]:
    """Bytes that a row adds to all tensors that its density makes, and to the largest.

    What is made of weights alone does not count: one row and three make as much of it.
    """
    import torch
    from torch.utils._python_dispatch import TorchDispatchMode

    class Sizes(TorchDispatchMode):
        def __init__(self) -> None:
            super().__init__()  # type: ignore[no-untyped-call] # torch's has no types
            self.bytes: list[int] = []

        def __torch_dispatch__(
            self, func: Any, types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            made = func(*args, **(kwargs or {}))
            self.bytes.append(made.nbytes if isinstance(made, torch.Tensor) else 0)
            return made

    found: list[list[int]] = []
    for n in (1, 3):
        with torch.no_grad(), Sizes() as sizes:
            model.log_prob(weight.new_zeros(n, *model.event_shape))
        found.append(sizes.bytes)
    added = [(three - one) // 2 for one, three in zip(*found, strict=False)]
    return sum(added), max(added, default=0)


def _versions() -> dict[str, str]:
    import torch

    from zoo_core import __version__

    return {"zoo-core": __version__, "torch": torch.__version__}
