"""One file with entries and all their files, for machines without a network.

Unpacked it is a folder with a registry, as a published one.
"""

from __future__ import annotations

import os
import platform
import shutil
import sysconfig
import tempfile
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from packaging.requirements import Requirement

from zoo_core.errors import DigestMismatch, InvalidInput, OutputExists
from zoo_core.files import SCRATCH, atomic, digest
from zoo_core.publishing.items import Item
from zoo_core.publishing.places import place_of
from zoo_core.publishing.wheels import write
from zoo_core.publishing.writing import REGISTRY, publish
from zoo_core.registry import Registry
from zoo_core.text import argument, printable, quoted
from zoo_core.urls import join, local_path

__all__ = ["pack", "unpack"]

_EPOCH = (1980, 1, 1, 0, 0, 0)
"""The time of every file: equal entries make equal bundles."""


def pack(
    items: Sequence[Item],
    path: Path,
    *,
    wheels: bool = False,
    key: Path | None = None,
    force: bool = False,
) -> int:
    """Write a bundle of entries; return its bytes.

    wheels: whether the families of the entries go along, with all that they need, as installed.

    Raises OutputExists for a file that is there, unless force is given, and InvalidInput where a
    wheel cannot be made.
    """
    if path.exists() and not force:
        raise OutputExists(
            f"{printable(path)} is there already; {argument('force', True)} replaces it."
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=SCRATCH) as scratch:
        publish(items, place_of(scratch), key=key)
        folder = Path(scratch)
        if wheels:
            families = [str(item.table["requires"]) for item in items]
            write(["zoo-core", *families], folder / "wheels")
            (folder / "INSTALL.md").write_text(_install(path, families), "utf-8")
        with atomic(path) as partial, zipfile.ZipFile(partial, "w") as bundle:
            for file in sorted(file for file in folder.rglob("*") if file.is_file()):
                info = zipfile.ZipInfo(file.relative_to(folder).as_posix(), _EPOCH)
                # weights are numbers, which hardly shrink
                with file.open("rb") as data, bundle.open(info, "w", force_zip64=True) as out:
                    while chunk := data.read(2**20):
                        out.write(chunk)
    return path.stat().st_size


_DAMAGED = (zipfile.BadZipFile, zlib.error, NotImplementedError)
"""What the library raises of an archive that is none, beside errors of the system."""


def _install(path: Path, families: Sequence[str]) -> str:
    """How the wheels of a bundle are installed, where there is no zoo yet."""
    names = dict.fromkeys(["zoo-core", *(Requirement(family).name for family in families)])
    return f"""\
# Install from this file alone

For Python {platform.python_version()} on {sysconfig.get_platform()}; no network is used.

    python3 -m zipfile -e {path.name} {path.stem}
    python3 -m venv env
    env/bin/python -m pip install --no-index --find-links {path.stem}/wheels {" ".join(names)}
    ZOO_REGISTRY={path.stem} env/bin/zoo list
"""


def unpack(path: Path, folder: Path, *, force: bool = False) -> Registry:
    """Unpack a bundle into a folder that is not there yet, and return its registry.

    It appears when every file of weights has the digest that the registry promises.

    force: take the place of an unpacked bundle; files in its folder that the new one has not stay.

    Raises InvalidInput for what is no bundle, OutputExists for a folder that is there unless force
    is given, DigestMismatch for wrong weights, and what `Registry.load` raises.
    """
    if folder.exists() and not force:
        raise OutputExists(
            f"{printable(folder)} is there already; {argument('force', True)} replaces it."
        )
    if folder.exists() and not (folder / REGISTRY).is_file():
        raise OutputExists(
            f"{printable(folder)} is there and holds no {REGISTRY}: it is no bundle, and stays as "
            "it is. Choose another folder."
        )
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=SCRATCH) as scratch:
        fresh = Path(scratch) / "bundle"
        _extract(path, fresh)
        for entry in Registry.load([fresh]).entries.values():
            weights = next(filter(None, map(local_path, entry.blob.sources)), None)
            named = [
                *entry.blob.sources,
                *([join(entry.origin, entry.recipe)] * bool(entry.recipe)),
            ]
            here = [place for place in map(local_path, named) if place]
            if weights is None or any(fresh.resolve() not in p.resolve().parents for p in here):
                raise InvalidInput(f"{printable(path)}: {entry.name} names files outside of it.")
            if not weights.is_file() or digest(weights) != entry.weights.sha256:
                raise DigestMismatch(
                    f"{printable(path)} does not hold the weights that its registry promises of "
                    f"{entry.name}: make it again."
                )
        if folder.exists():
            _keep_others(folder, fresh)
        _take_place(fresh, folder, Path(scratch) / "old")
    return Registry.load([folder])


def _take_place(fresh: Path, folder: Path, old: Path) -> None:
    """Put a folder in the place of another, which moves to `old`; it comes back if that fails."""
    try:
        if folder.exists():
            folder.replace(old)
        fresh.replace(folder)
    except BaseException:
        if old.exists():  # where somebody else took the name meanwhile, beside it
            beside = folder.with_name(f"{folder.name}.before")
            old.replace(beside if folder.exists() else folder)
        raise


def _keep_others(folder: Path, fresh: Path) -> None:
    """Link what a folder holds beside a bundle's files into the one that takes its place."""
    for path in folder.rglob("*"):
        target = fresh / path.relative_to(folder)
        if not path.is_dir() or path.is_symlink():
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                os.link(path, target, follow_symlinks=False)
            except FileExistsError:  # the bundle's own
                continue
            except OSError:  # a file system without hard links
                shutil.copy2(path, target, follow_symlinks=False)


def _extract(path: Path, folder: Path) -> None:
    try:
        with zipfile.ZipFile(path) as bundle:
            if REGISTRY not in bundle.namelist():
                raise InvalidInput(f"{printable(path)} is no bundle: it holds no {REGISTRY}.")
            for info in bundle.infolist():
                name = PurePosixPath(info.filename)
                if name.is_absolute() or ".." in name.parts or "\\" in info.filename:
                    raise InvalidInput(
                        f"{printable(path)}: {quoted(info.filename)} leads out of the folder; "
                        "nothing was unpacked."
                    )
                bundle.extract(info, folder)
    except (OSError, EOFError, RuntimeError, *_DAMAGED) as error:
        reason = getattr(error, "strerror", None) or printable(error)
        raise InvalidInput(f"{printable(path)} cannot be unpacked: {reason}.") from error
