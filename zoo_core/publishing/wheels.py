"""Wheels of what is installed here, for machines like this one that have no network.

They are made again from the installed files, which name themselves and their digests, so that no
network is needed for it; only a package that is installed from its source is built.
"""

from __future__ import annotations

import csv
import io
import json
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterable, Iterator
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path, PurePosixPath

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from zoo_core.errors import InvalidInput
from zoo_core.text import printable
from zoo_core.urls import local_path

__all__ = ["write"]

_OF_THE_PLACE = ("INSTALLER", "RECORD", "REQUESTED", "direct_url.json", "uv_cache.json")
"""Files of an installation that are none of its wheel."""

_EPOCH = (1980, 1, 1, 0, 0, 0)
"""The time of every file: equal installations make equal wheels."""


def write(requirements: Iterable[str], folder: Path) -> list[str]:
    """Write the wheels of distributions and of all that they need; return the files' names.

    Scripts that are no entry points are left out.

    Raises InvalidInput for one that is not installed, or of which no wheel can be made.
    """
    folder.mkdir()
    for each in _find_needed(requirements):
        if source := _source(each):
            _build(source, folder)
        else:
            _pack(each, folder)
    return sorted(path.name for path in folder.iterdir())


def _find_needed(requirements: Iterable[str]) -> list[Distribution]:
    """The distributions of requirements, and of theirs."""
    found: dict[str, Distribution] = {}
    seen: set[tuple[str, str]] = set()
    left = [Requirement(text) for text in requirements]
    while left:
        requirement = left.pop()
        name = canonicalize_name(requirement.name)
        try:
            each = found.setdefault(name, distribution(name))
        except PackageNotFoundError:
            raise InvalidInput(f"no wheel of {name} can be made: it is not installed.") from None
        for extra in {"", *requirement.extras} - {e for n, e in seen if n == name}:
            seen.add((name, extra))
            more = map(Requirement, each.requires or ())
            left += [r for r in more if not r.marker or r.marker.evaluate({"extra": extra})]
    return list(found.values())


def _source(each: Distribution) -> Path | None:
    """The folder of an editable installation."""
    place = json.loads(each.read_text("direct_url.json") or "{}")
    if not place.get("dir_info", {}).get("editable"):
        return None
    return local_path(place["url"])


def _build(source: Path, folder: Path) -> None:
    build: list[str] = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--wheel-dir"]
    if uv := shutil.which("uv"):
        build = [uv, "build", "--wheel", "--out-dir"]
    with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
        done = subprocess.run([*build, scratch, str(source)], capture_output=True, text=True)
        if done.returncode:
            last = (done.stderr or done.stdout).strip().rpartition("\n")[2]
            raise InvalidInput(f"no wheel of {printable(source)} can be built: {printable(last)}")
        for wheel in Path(scratch).glob("*.whl"):
            wheel.replace(folder / wheel.name)


def _pack(each: Distribution, folder: Path) -> None:
    tags = re.findall(r"^Tag: *(\S+)", each.read_text("WHEEL") or "", re.MULTILINE)
    if not tags or not each.read_text("RECORD"):
        raise InvalidInput(f"no wheel of {each.name} can be made: it was not installed from one.")
    parts = zip(*(tag.split("-") for tag in tags), strict=True)
    tag = "-".join(".".join(dict.fromkeys(part)) for part in parts)
    stem = f"{canonicalize_name(each.name).replace('-', '_')}-{each.version}"
    with zipfile.ZipFile(folder / f"{stem}-{tag}.whl", "w", zipfile.ZIP_DEFLATED) as wheel:
        for name, data in _contents(each):
            wheel.writestr(zipfile.ZipInfo(name, _EPOCH), data, zipfile.ZIP_DEFLATED)


def _contents(each: Distribution) -> Iterator[tuple[str, bytes]]:
    """The files of a wheel, and last its record of them."""
    record = io.StringIO()
    rows = csv.writer(record, lineterminator="\n")
    # not `files` of the distribution, which from Python 3.12 on leaves out what is missing
    listed = {
        PurePosixPath(row[0]): row for row in csv.reader(io.StringIO(each.read_text("RECORD")))
    }
    # some carry metadata of others further down, as setuptools does
    (info,) = {
        file.parts[0]
        for file in listed
        if len(file.parts) == 2 and file.match("*.dist-info/METADATA")
    }
    for file, row in sorted(listed.items()):
        is_info = file.parts[0] == info and file.name in _OF_THE_PLACE
        if is_info or ".." in file.parts or file.is_absolute() or "__pycache__" in file.parts:
            continue
        try:
            yield file.as_posix(), Path(str(each.locate_file(file))).read_bytes()
        except OSError as error:
            raise InvalidInput(
                f"no wheel of {each.name} can be made: {printable(file)} cannot be read "
                f"({error.strerror}). Install it again."
            ) from error
        rows.writerow(row)
    rows.writerow([f"{info}/RECORD", "", ""])
    yield f"{info}/RECORD", record.getvalue().encode()
