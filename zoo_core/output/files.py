"""Results become files: whole or not at all, never over an old one, and with their provenance.

A PNG, a JSON, a Parquet and a safetensors file hold their provenance inside; beside any other file
`NAME` lies `NAME.provenance.json`.
"""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Callable, Mapping, Sequence
from itertools import count
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, cast

from zoo_core.errors import InvalidInput, OutputExists
from zoo_core.files import check_place, unwritten, write_atomic
from zoo_core.output.table import columns_of
from zoo_core.text import argument, finite

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL import Image
    from torch import Tensor

__all__ = [
    "check_free",
    "free_name",
    "free_names",
    "read_provenance",
    "save_free",
    "save_gif",
    "save_image",
    "save_table",
    "save_tensors",
    "sidecar",
    "write",
]

Provenance = Mapping[str, Any]

_KEY = "zoo"
"""Name of the PNG text and of the safetensors metadata that hold the provenance, as JSON."""
_LOOKED_AT = 1024
"""Values of a column by which its encoding is chosen."""

_SELF_DESCRIBING = (".png", ".json", ".parquet", ".safetensors")


def sidecar(path: Path) -> Path | None:
    """Where the provenance of a file lies; None for a file that holds it inside."""
    if path.suffix.lower() in _SELF_DESCRIBING:
        return None
    return path.with_name(path.name + ".provenance.json")


def check_free(path: Path, *, force: bool = False) -> None:
    """Refuse a path that cannot be written, before any work is done for it.

    Raises OutputExists when it (or its provenance) is there and force is not given.
    """
    check_place(path)
    if not force and (taken := _find_taken(path)):
        raise OutputExists(_exists(taken))


def free_name(stem: str, suffix: str, folder: Path | None = None) -> Path:
    """The first of stem.png, stem-2.png, stem-3.png … that nothing has."""
    return free_names(stem, (suffix,), folder)[0]


def free_names(stem: str, suffixes: Sequence[str], folder: Path | None = None) -> list[Path]:
    """Free names that differ in their suffix only: stem-2.csv and stem-2.png."""
    for number in count(1):
        name = stem if number == 1 else f"{stem}-{number}"
        paths = [(folder or Path()) / f"{name}{suffix}" for suffix in suffixes]
        if not any(_find_taken(path) for path in paths):
            return paths
    raise AssertionError("count ends")


def save_free(path: Path, save: Callable[[Path], None]) -> Path:
    """Save under a path that was free before the work, or the next free one; return which it was.

    save: writes the path it is given; raises OutputExists where another process has taken it.
    """
    stem = path.stem
    while True:
        try:
            save(path)
        except OutputExists:
            path = free_name(stem, path.suffix, path.parent)
        else:
            return path


def write(path: Path, data: bytes, *, force: bool = False) -> None:
    """Write a file whole, or leave nothing behind."""
    check_free(path, force=force)
    _put(path, data, force)


def save_image(
    path: Path,
    images: Tensor | NDArray[Any] | Image.Image,
    provenance: Provenance,
    *,
    force: bool = False,
) -> None:
    """Save images as one PNG that holds its provenance.

    images: a picture, of Pillow or as `layout` gives it; or (n, C, H, W) in [0, 1], which is laid
        out in a grid.
    """
    texts = {"Software": "zoo", _KEY: _json(provenance)}
    if not hasattr(images, "shape"):
        data = _pillow_png(images, texts)
    else:
        from zoo_core.output.grid import layout
        from zoo_core.output.png import encode

        array = cast("NDArray[Any]", images)
        data = encode(layout(array) if array.ndim == 4 else array, texts)
    write(path, data, force=force)


def _pillow_png(picture: Image.Image, texts: Mapping[str, str]) -> bytes:
    """A picture of any mode, as one with a palette."""
    from PIL import PngImagePlugin

    info = PngImagePlugin.PngInfo()
    for key, text in texts.items():
        info.add_text(key, text)
    buffer = io.BytesIO()
    picture.save(buffer, "png", pnginfo=info, optimize=True)
    return buffer.getvalue()


def save_gif(
    path: Path,
    frames: Sequence[Image.Image],
    provenance: Provenance,
    *,
    milliseconds: int = 400,
    force: bool = False,
) -> None:
    """Save pictures of one size as an endless GIF."""
    buffer = io.BytesIO()
    first, *rest = frames
    first.save(
        buffer, "gif", save_all=True, append_images=rest, duration=milliseconds, loop=0, disposal=1
    )
    _write_beside(path, buffer.getvalue(), provenance, force)


def save_table(
    path: Path,
    rows: Sequence[Mapping[str, object]],
    provenance: Provenance,
    *,
    force: bool = False,
    types: Mapping[str, type] = MappingProxyType({}),
) -> None:
    """Save rows as CSV, or as JSON or Parquet with the provenance inside, by the path's suffix.

    types: of a Parquet file's columns, str, int or float, where their cells do not decide.
    """
    if path.suffix.lower() == ".parquet":
        write(path, _parquet(rows, provenance, types), force=force)
        return
    if path.suffix.lower() == ".json":
        document = {"provenance": dict(provenance), "rows": finite(list(rows))}
        data = json.dumps(document, indent=1, allow_nan=False) + "\n"
        write(path, data.encode(), force=force)
        return
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, list(columns_of(rows[:1])), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    _write_beside(path, text.getvalue().encode(), provenance, force)


def _parquet(
    rows: Sequence[Mapping[str, object]], provenance: Provenance, types: Mapping[str, type]
) -> bytes:
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ImportError:
        raise InvalidInput(
            "Parquet needs an optional package: pip install 'zoo-core[datasets]'. Or write .csv."
        ) from None
    columns = dict(columns_of(rows))
    of_arrow = {str: pa.string(), int: pa.int64(), float: pa.float64()}
    typed = {
        name: pa.array(values, of_arrow[types[name]]) if name in types else values
        for name, values in columns.items()
    }
    table = pa.table(typed).replace_schema_metadata({_KEY: _json(provenance)})
    sink = io.BytesIO()
    # a dictionary of values that are all different takes longer than all else of the writing
    repeating = [name for name, values in columns.items() if _repeats(values)]
    parquet.write_table(table, sink, use_dictionary=repeating)
    return sink.getvalue()


def _repeats(values: Sequence[object]) -> bool:
    """Whether the first values of a column are mostly the same ones."""
    some = values[:_LOOKED_AT]
    try:
        different = len(set(some))
    except TypeError:  # lists
        different = len({repr(value) for value in some})
    return different <= len(some) // 2


def save_tensors(
    path: Path,
    tensors: Mapping[str, Tensor | NDArray[Any]],
    provenance: Provenance,
    *,
    texts: Mapping[str, Sequence[str]] | None = None,
    force: bool = False,
) -> None:
    """Save tensors or arrays as safetensors or NPZ, by the path's suffix.

    texts: lists of strings, which become arrays in an NPZ, and JSON in a safetensors' metadata.
    """
    texts = texts or {}
    if path.suffix.lower() == ".safetensors":
        lists = {name: json.dumps(list(strings)) for name, strings in texts.items()}
        data = _safetensors(tensors, {_KEY: _json(provenance), **lists})
        write(path, data, force=force)
        return
    import numpy as np

    buffer = io.BytesIO()
    arrays = {name: _array(tensor) for name, tensor in tensors.items()}
    arrays |= {name: np.array(strings) for name, strings in texts.items()}
    np.savez_compressed(buffer, allow_pickle=False, **arrays)
    _write_beside(path, buffer.getvalue(), provenance, force)


def read_provenance(path: Path) -> dict[str, Any]:
    """What a file of ours says of its origin, inside it or beside it."""
    try:
        text = _provenance_text(path)
        found = json.loads(text) if text else None
    except FileNotFoundError as error:
        raise InvalidInput(f"{error.filename or path} does not exist.") from error
    except (ValueError, OSError) as error:
        raise InvalidInput(f"{path} cannot be read: {error}.") from error
    if not isinstance(found, dict):
        raise InvalidInput(f"{path} holds no provenance: it was not written by zoo.")
    return found


def _provenance_text(path: Path) -> str | None:
    suffix = path.suffix.lower()
    if suffix == ".png":
        from PIL import Image

        with Image.open(path) as picture:
            return picture.info.get(_KEY)
    if suffix == ".json":
        document = json.loads(path.read_text("utf-8"))
        return json.dumps(document.get("provenance")) if isinstance(document, dict) else None
    if suffix == ".parquet":
        from pyarrow import parquet

        held = (parquet.read_schema(path).metadata or {}).get(_KEY.encode())
        return held.decode() if held else None
    if suffix == ".safetensors":
        from zoo_core.header import read_header

        return read_header(path).metadata.get(_KEY)
    beside = sidecar(path)
    return beside.read_text("utf-8") if beside else None


def _find_taken(path: Path) -> Path | None:
    """The path, or that of its provenance, if there is something."""
    paths = (path, sidecar(path))
    return next((taken for taken in paths if taken and os.path.lexists(taken)), None)


def _write_beside(path: Path, data: bytes, provenance: Provenance, force: bool) -> None:
    """Write the provenance first: a file that is there always has it."""
    check_free(path, force=force)
    beside = sidecar(path)
    if beside is not None and provenance:
        write(beside, (json.dumps(dict(provenance), indent=1) + "\n").encode(), force=force)
    _put(path, data, force)


def _put(path: Path, data: bytes, force: bool) -> None:
    try:
        write_atomic(path, data, exclusive=not force)
    except FileExistsError:  # another process took the name since it was free
        raise OutputExists(_exists(path)) from None
    except OSError as error:
        raise unwritten(path, error) from error


def _exists(path: Path) -> str:
    return f"{path} exists. Give another path, or {argument('force', True)} to overwrite it."


def _json(provenance: Provenance) -> str:
    return json.dumps(dict(provenance), separators=(",", ":"))


def _safetensors(tensors: Mapping[str, Tensor | NDArray[Any]], metadata: dict[str, str]) -> bytes:
    import numpy as np

    arrays = {name: x for name, x in tensors.items() if isinstance(x, np.ndarray)}
    if len(arrays) == len(tensors):  # without torch
        import safetensors.numpy

        return safetensors.numpy.save(arrays, metadata)
    import safetensors.torch

    whole = {
        name: x.detach().cpu().contiguous()
        for name, x in tensors.items()
        if not isinstance(x, np.ndarray)
    }
    return safetensors.torch.save(whole, metadata)


def _array(tensor: Tensor | NDArray[Any]) -> Any:
    import numpy as np

    if isinstance(tensor, np.ndarray):
        return tensor
    # NumPy has no bfloat16
    tensor = tensor.detach().cpu()
    return (tensor.float() if tensor.dtype.itemsize == 2 else tensor).numpy()
