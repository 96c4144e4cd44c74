"""Draws faces on all cores, and keeps them in one file."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib import metadata
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock
from safetensors import SafetensorError, safe_open
from torch import Tensor
from tqdm import tqdm

from zoo_core.data.faces import worker
from zoo_core.data.notes import note
from zoo_core.errors import DigestMismatch, InvalidInput
from zoo_core.files import atomic, save_tensors
from zoo_core.text import argument, printable

__all__ = ["VERSIONS", "Job", "check_packages", "digest_of", "draw", "load_or_make"]

Job = tuple[str, Mapping[str, Any]]
"""A style's name, and the drawing package's options."""

VERSIONS = {"dicebear-core": "10.7.0", "dicebear-styles": "10.6.0", "resvg-py": "0.5.0"}
"""What draws: another version draws other pixels."""

_CHUNK = 500
_FACE_SECONDS = 5e-3
"""Of one processor, for a picture of 64x64 pixels."""


def check_packages() -> None:
    """Raise InvalidInput where what draws is not installed, or in another version."""
    found = {}
    for package in VERSIONS:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            raise InvalidInput(
                f"faces are drawn by {package}, which is not installed: "
                "pip install 'zoo-core[faces]'."
            ) from None
    if found != VERSIONS:
        others = [name for name, version in VERSIONS.items() if found[name] != version]
        wrong = ", ".join(f"{name} {found[name]}" for name in others)
        raise InvalidInput(
            f"other versions draw other pixels: there are {wrong}; expected "
            f"{', '.join(f'{name} {VERSIONS[name]}' for name in others)}. "
            "Install them with: pip install 'zoo-core[faces]'."
        )


def draw(jobs: Sequence[Job], size: int, name: str = "") -> Tensor:
    """Draw pictures, (N, 3, size, size), uint8.

    name: what the progress bar says; the few of an empty one are drawn here and now.
    """
    check_packages()
    if not name:
        pixels = b"".join(worker.draw(style, dict(options), size) for style, options in jobs)
        return _images(pixels, size)
    chunks = [jobs[start : start + _CHUNK] for start in range(0, len(jobs), _CHUNK)]
    parts = []
    with ThreadPoolExecutor(os.cpu_count()) as pool, _bar(name, len(jobs)) as bar:
        for part in pool.map(lambda chunk: _run(chunk, size), chunks):
            parts.append(_images(part, size))
            bar.update(len(parts[-1]))
    return torch.cat(parts)


def _bar(name: str, total: int) -> Any:
    return tqdm(total=total, desc=f"drawing {name}", unit=" faces", file=sys.stderr, leave=False)


def _run(jobs: Sequence[Job], size: int) -> bytes:
    done = subprocess.run(
        [sys.executable, worker.__file__],
        input=json.dumps({"jobs": jobs, "size": size}).encode(),
        capture_output=True,
        check=False,
    )
    if done.returncode:
        why = done.stderr.decode(errors="replace").strip().rpartition("\n")[2]
        raise InvalidInput(f"faces could not be drawn: {why or f'exit code {done.returncode}'}.")
    return done.stdout


def _images(pixels: bytes, size: int) -> Tensor:
    x = torch.frombuffer(bytearray(pixels), dtype=torch.uint8)
    return x.view(-1, size, size, 3).permute(0, 3, 1, 2).contiguous()


def digest_of(tensors: Mapping[str, Tensor]) -> str:
    """sha256 of names, shapes and bytes: of all pixels and attributes."""
    sha = hashlib.sha256()
    for key in sorted(tensors):
        sha.update(f"{key}{tuple(tensors[key].shape)}".encode())
        sha.update(tensors[key].numpy().tobytes())
    return sha.hexdigest()


def load_or_make(
    path: Path, split: str, make: Any, digest: str = "", faces: int = 0
) -> dict[str, Tensor]:
    """The tensors of one split from a file, which is made where it is missing or cut short.

    Args:
        path: of the file; its name says of which version of the data it is.
        split: whose tensors, named `split.x` and the like, are read.
        make: returns all tensors.
        digest: what those must have, where that is known.
        faces: how many are drawn, which is said before.
    """
    if not _is_whole(path):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with FileLock(f"{path}.lock"):
                if not _is_whole(path):
                    if path.exists():
                        note(f"{printable(path)} is cut short or damaged, and is made anew")
                    if faces:
                        _announce(path, faces)
                    _write(path, make(), digest)
        except OSError as error:
            raise InvalidInput(
                f"faces are drawn once and kept in {path.parent}, which cannot be written "
                f"({error}). Give another folder as {argument('data_root')} or ZOO_DATA."
            ) from None
    with safe_open(path, framework="pt") as file:
        keys = [key for key in file.keys() if key.startswith(f"{split}.")]  # noqa: SIM118
        return {key.partition(".")[2]: file.get_tensor(key) for key in keys}


def _is_whole(path: Path) -> bool:
    """Whether a file is there, and as long as its header says."""
    try:
        with safe_open(path, framework="pt"):
            return True
    except (FileNotFoundError, SafetensorError):
        return False


def _announce(path: Path, faces: int) -> None:
    check_packages()
    cores = os.cpu_count() or 1
    minutes = max(1, round(faces * _FACE_SECONDS / cores / 60))
    note(
        f"{faces:,} faces are drawn first, once, by {cores} processors in about {minutes} min, and "
        f"kept in {printable(path)}"
    )


def _write(path: Path, tensors: dict[str, Tensor], digest: str) -> None:
    found = digest_of(tensors)
    if digest and found != digest:
        raise DigestMismatch(
            f"the faces drawn here are not those that models were trained on: their sha256 is "
            f"{found[:16]}…, expected {digest[:16]}…. What draws has the right version, so this "
            "machine computes other pixels: please report it. The data set dicebear-toon-head-64 "
            "has faces whose digest is not checked."
        )
    with atomic(path) as partial:
        save_tensors(tensors, partial, {"digest": found, **VERSIONS})
