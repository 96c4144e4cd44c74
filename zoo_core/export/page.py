"""The page that plays: models as ONNX, what runs them in a browser, and numbers to check them by.

`build` fills a folder with static files: the script, the style, onnxruntime-web from its npm
package (verified by the digest below), a file for each function, `manifest.json`, and `check.json`,
the inputs and outputs that Python computed. The documentation takes them over; `zoo play` serves
them.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo_core import environment, loading
from zoo_core.errors import ZooError
from zoo_core.export.runtime import code
from zoo_core.files import write_atomic
from zoo_core.loading import WEIGHTS, Source
from zoo_core.protocols import Decoder, narrow
from zoo_core.registry import Registry

if TYPE_CHECKING:
    from torch import nn

__all__ = ["LIMIT", "MODELS", "STATIC", "build", "runtime"]

STATIC = Path(__file__).parent / "play"
"""The script, the style, what attributes of faces add to their latents, from 2,000 rows, and five
held-out faces (a remix of ToonHead by Johan Melin, CC BY 4.0)."""

LIMIT = 40_000_000
"""Bytes that the models of `MODELS` have together on a page, at most."""

MODELS: Mapping[str, tuple[str, ...]] = {
    "nade.mnist": ("step",),
    "pixelcnn.mnist": ("conditionals", "step"),
    "attention.mnist": ("conditionals", "step"),
    "bernoulli.mnist": ("conditionals",),
    "markov.mnist": ("conditionals",),
    "chow-liu.mnist": ("conditionals",),
    "vae.mnist": ("encode", "decode"),
    "aae.mnist": ("encode", "decode"),
    "vae.mnist-2d": ("decode",),
    "infogan.mnist": ("decode",),
    "vae.faces": ("decode",),
    "stargan.faces-hair": ("translate",),
    "gan-cls.faces": ("read", "decode"),
    "progan.faces": ("growth",),
    "made.mnist": ("conditionals",),
}
"""Entries of the page and their functions, those first that stay where all would be too much; what
a registry does not have is left out."""

_LATENTS = 32
"""Latents that the page has of a model which is not in `MODELS`."""
_VERSION = "1.30.0"
_SHA512 = (
    "ab4cbe26baedba45d2cec05610c71c55fa97db92d19a8b171c5f8269126683ca"
    "590a5cdc57bb2f35ce2b298de32f4d956fb42644c0ecd528a0a91e025c07ca61"
)
_FILES = ("ort.wasm.min.js", "ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm")
Say = Callable[[str], None]


def build(folder: Path, names: Iterable[str] = (), *, say: Say = lambda _: None) -> dict[str, Any]:
    """Fill a folder with all that the page loads; return its manifest.

    What is in the folder from before, of the same weights and the same code, is kept.

    names: entries, run folders or files to show first, beside the entries of `MODELS`.
    say: is called with each function before it is exported, and with what is left out, and why.

    Raises UnknownName for an unknown one of `names`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for path in STATIC.iterdir():
        if path.suffix in (".js", ".css", ".json", ".png"):
            shutil.copyfile(path, folder / path.name)
    have, names = Registry.load().entries, tuple(names)
    chosen = dict.fromkeys([*names, *(name for name in MODELS if name in have)])
    origins = {name: loading.resolve(name) for name in chosen}
    models: dict[str, dict[str, Any]] = {}
    checks, total = {}, 0
    for i, (name, origin) in enumerate(origins.items(), 1):
        try:
            source = origin if isinstance(origin, Source) else loading.open_source(name)
            source = _named(source, {*have, *models})
            wanted = MODELS.get(name, ("*",))
            key = _key(source, wanted)
            described = _kept(source, folder / "models", key)
            if described is None:
                say(f"play: {i} of {len(origins)}, {name}")
                described = _export(source, folder / "models", wanted, key, say)
        except ZooError as error:
            say(f"play: without {name}: {error}")
            continue
        size = sum(function["bytes"] for function in described["functions"].values())
        if name not in names:
            if total + size > LIMIT:
                say(f"play: without {name}: its {size:,} bytes would be over {LIMIT:,} in all")
                continue
            total += size
        checks[source.name] = described.pop("check")
        models[source.name] = {**described, "typed": name}
    size = sum(f["bytes"] for model in models.values() for f in model["functions"].values())
    manifest = {"runtime": runtime(folder, say=say), "models": models, "bytes": size}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    (folder / "check.json").write_text(json.dumps(checks))
    return manifest


def runtime(folder: Path, *, say: Say = lambda _: None) -> dict[str, Any] | None:
    """Put onnxruntime-web beside the page, from its npm package; None where it cannot be had."""
    target = folder / "ort"
    if not all((target / name).is_file() for name in (*_FILES, "LICENSE.txt")):
        try:
            _fetch_runtime(target)
        except (OSError, ValueError, subprocess.SubprocessError, tarfile.TarError) as error:
            say(f"play: without onnxruntime-web, so that no model runs on the page: {error}")
            return None
    return {"version": _VERSION, "bytes": sum((target / name).stat().st_size for name in _FILES)}


def _fetch_runtime(target: Path) -> None:
    if environment.offline():
        raise OSError("ZOO_OFFLINE is set")
    npm = shutil.which("npm")
    if npm is None:
        raise OSError("npm is not installed, which fetches it")
    with tempfile.TemporaryDirectory() as scratch:
        subprocess.run(
            [npm, "pack", f"onnxruntime-web@{_VERSION}", "--fetch-retries=1", "--silent"],
            cwd=scratch,
            check=True,
            capture_output=True,
            timeout=300,
        )
        (package,) = Path(scratch).glob("*.tgz")
        digest = hashlib.sha512(package.read_bytes()).hexdigest()
        if digest != _SHA512:
            raise ValueError(f"its SHA-512 is {digest}, expected {_SHA512}")
        target.mkdir(parents=True, exist_ok=True)
        with tarfile.open(package) as archive:
            for name in _FILES:
                content = archive.extractfile(f"package/dist/{name}")
                assert content is not None
                (target / name).write_bytes(content.read())
    shutil.copyfile(STATIC / "LICENSE-onnxruntime.txt", target / "LICENSE.txt")


def _named(source: Source, taken: Collection[str]) -> Source:
    """A run by its folder's name; with a number where an entry or another run has that."""
    if source.entry is not None:
        return source
    path = source.path.resolve()
    name = path.parent.name if path.name == WEIGHTS else source.name
    numbered = (f"{name}-{i}" for i in itertools.count(2))
    free = (n for n in itertools.chain([name], numbered) if n not in taken)
    return replace(source, name=next(free))


def _key(source: Source, wanted: tuple[str, ...]) -> str:
    said = f"{source.sha256} {wanted} {code(source)} {version('torch')}"
    return hashlib.sha256(said.encode()).hexdigest()


def _kept(source: Source, folder: Path, key: str) -> dict[str, Any] | None:
    """What an earlier build exported of the same weights by the same code, if all is there."""
    described = folder / f"{source.name}.json"
    if not described.is_file():
        return None
    try:
        kept: dict[str, Any] = json.loads(described.read_text())
        sizes = {folder / each["file"]: each["bytes"] for each in kept["functions"].values()}
        same = kept.pop("key") == key
    except (ValueError, LookupError, TypeError, AttributeError):  # it was not written whole
        return None
    whole = all(path.is_file() and path.stat().st_size == size for path, size in sizes.items())
    return kept if same and whole else None


def _export(
    source: Source, folder: Path, wanted: tuple[str, ...], key: str, say: Say
) -> dict[str, Any]:
    """The functions of a model as files, with what the page needs to know of them."""
    folder.mkdir(parents=True, exist_ok=True)
    model = loading.load(source)
    known = loading.info(model)
    found = {
        "data": known.data,
        "licence": known.licence.weights if known.licence else "",
        **_functions(model, source.name, folder, wanted, say),
    }
    write_atomic(folder / f"{source.name}.json", json.dumps({**found, "key": key}).encode())
    return found


def _functions(
    model: nn.Module, name: str, folder: Path, wanted: tuple[str, ...], say: Say
) -> dict[str, Any]:
    """Raises NotExported where no function can be written."""
    from fnmatch import fnmatch

    from zoo_core.export.function import functions
    from zoo_core.export.onnx import NotExported, convert, metadata

    written: dict[str, Any] = {}
    check: dict[str, Any] = {}
    facts: dict[str, Any] = {}
    offered = functions(model)
    for function in offered.values():
        if not any(fnmatch(function.name, pattern) for pattern in wanted):
            continue
        if "translate" in offered and function.name.startswith("translate-"):
            continue  # the same weights again for each domain
        say(f"play: exporting {function.name}")
        try:
            content = convert(model, function).model_proto.SerializeToString()
        except NotExported as error:
            say(f"play: without {name}: {error}")
            continue
        path = folder / f"{name}-{function.name}.onnx"
        path.write_bytes(content)
        facts |= metadata(model, function)["model"]
        inputs = function.examples(2, seed=1)
        outputs = function(*inputs)
        check[function.name] = [[*_plain(inputs)], [*_plain(outputs)]]
        size = path.stat().st_size
        written[function.name] = {**function.as_dict(), "file": path.name, "bytes": size}
    if not written:
        has = ", ".join(offered) or "none"
        raise NotExported(f"no function of it can be exported; it has {has}.")
    if "*" in wanted and "decode" in written:  # the page does not know the prior of any model
        facts["latents"] = _latents(narrow(model, Decoder))
    return {"functions": written, "model": facts, "check": check}


def _latents(model: Decoder) -> list[list[float]]:
    """Latents sampled from the prior, (n, latent_dim)."""
    import torch

    z = model.latent(_LATENTS, generator=torch.Generator().manual_seed(0))
    return [[round(value, 4) for value in row] for row in z.tolist()]


def _plain(tensors: Iterable[Any]) -> Iterator[dict[str, Any]]:
    for tensor in tensors:
        values = tensor.detach().flatten().tolist()
        rounded = [float(f"{value:.7g}") if isinstance(value, float) else value for value in values]
        yield {"shape": list(tensor.shape), "values": rounded}
