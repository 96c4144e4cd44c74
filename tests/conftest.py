"""Every test has a store of its own and none of the caller's settings."""

import copy
import functools
import hashlib
import json
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import packaging.requirements  # before site-packages leaves the path
import packaging.utils  # noqa: F401 - the same
import pytest
from click.testing import CliRunner, Result
from toy_training import SMALL

import zoo_core
from containers import Containers
from factories import picture, save, save_idx, set_terminal_size
from zoo_core import plugins
from zoo_core.cli import project, root
from zoo_core.data.faces import drawing
from zoo_core.data.notes import note
from zoo_core.errors import InvalidInput
from zoo_core.publishing import Item


def pytest_configure() -> None:
    """Commands can be interrupted, also if the tests run in the background and ignore SIGINT."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def _own_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZOO_HOME", str(tmp_path / "zoo-home"))
    monkeypatch.setenv("ZOO_CONFIG", str(tmp_path / "zoo-config"))
    for name in ("REGISTRY", "OFFLINE", "PLUGINS", "DEBUG", "DATA", "TRUST"):
        monkeypatch.delenv(f"ZOO_{name}", raising=False)
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    note.cache_clear()  # what another test was told is said again


ENTRY: dict[str, Any] = {
    "name": "nade.mnist",
    "summary": "Handwritten digits, one pixel after the other",
    "family": "autoregressive",
    "requires": "zoo-autoregressive>=0.1,<0.2",
    "architecture": "nade",
    "tasks": ["sample", "score"],
    "tags": ["explicit"],
    "data": "mnist",
    "recipe": "recipes/nade.mnist.toml",
    "licence": {"code": "Apache-2.0", "weights": "CC-BY-SA-3.0"},
    "config": {"shape": [1, 28, 28], "hidden": 500},
    "weights": {"url": "weights/nade.bin", "sha256": "a" * 64, "bytes": 12, "parameters": 785284},
    "paper": {"title": "The NADE", "authors": "Larochelle & Murray", "year": 2011},
    "metrics": [
        {
            "name": "test_nll",
            "value": 86.1,
            "unit": "nats",
            "tolerance": 0.05,
            "protocol": {"data": "mnist:test", "seed": 0},
            "published": 85.65,
            "source": "table 2",
        }
    ],
}


@pytest.fixture(scope="session")
def stripes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run of independent pixels, `bernoulli.stripes`; no test changes it."""
    output = tmp_path_factory.mktemp("runs") / "bernoulli.stripes"
    return zoo_core.train("bernoulli", data="bars-and-stripes", output=output, quiet=True).folder


@pytest.fixture
def entry() -> Callable[..., dict[str, Any]]:
    """Make an entry's table; a keyword replaces a key, None removes it, `a__b` reaches into a."""

    def make(**changes: Any) -> dict[str, Any]:
        made = copy.deepcopy(ENTRY)
        for path, value in changes.items():
            *tables, key = path.split("__")
            table = made
            for name in tables:
                table = table[name]
            table[key] = value
            if value is None:
                del table[key]
        return made

    return make


@pytest.fixture
def write_registry(tmp_path: Path) -> Callable[..., Path]:
    """Write a registry of these entries to a folder below tmp_path."""

    def write(*entries: dict[str, Any], folder: str = "registry", **top: Any) -> Path:
        path = tmp_path / folder / "registry.toml"
        path.parent.mkdir(exist_ok=True)
        lines = [f"{key} = {_toml(value)}" for key, value in ({"schema": 1} | top).items()]
        for table in entries:
            lines += ["[[entry]]", *(f"{key} = {_toml(value)}" for key, value in table.items())]
        path.write_text("\n".join(lines), encoding="utf-8")
        return path

    return write


@pytest.fixture
def published(
    entry: Callable[..., dict[str, Any]], write_registry: Callable[..., Path]
) -> Callable[..., Path]:
    """Write a registry whose entries have weights, one file an entry, that can be pulled."""

    def publish(*names: str, **changes: Any) -> Path:
        path = write_registry()
        entries = []
        for name in names:
            content = f"weights of {name}".encode()
            (path.parent / f"{name}.bin").write_bytes(content)
            weights = {
                "url": f"{name}.bin",
                "sha256": hashlib.sha256(content).hexdigest(),
                "bytes": len(content),
                "parameters": 785284,
            }
            architecture = name.partition(".")[0]
            entries.append(entry(name=name, architecture=architecture, weights=weights, **changes))
        return write_registry(*entries)

    return publish


@pytest.fixture
def install_family(tmp_path: Path) -> Iterator[Callable[..., Path]]:
    """Install a family as pip would: a module and a dist-info folder; return the folder of both."""

    def install(name: str, source: str, *, distribution: str = "", version: str = "1.0") -> Path:
        site = tmp_path / "site"
        distribution = distribution or f"zoo-{name}"
        module = distribution.replace("-", "_") + "_plugin"
        info = site / f"{distribution.replace('-', '_')}-{version}.dist-info"
        info.mkdir(parents=True)
        (site / f"{module}.py").write_text(source)
        (info / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n\nText.\n"
        )
        (info / "entry_points.txt").write_text(f"[zoo.families.v1]\n{name} = {module}\n")
        return site

    yield install
    plugins.forget()


@pytest.fixture
def install_project(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[Path], None]]:
    """Do what pip's editable installation does to a family's folder below tmp_path.

    What it depends on is not looked at; with the test's end it is gone.
    """
    known = set(sys.modules)

    def install(folder: Path) -> None:
        site = tmp_path / "site"
        site.mkdir(exist_ok=True)
        project.stage(folder, project.read_project(folder), site)
        for path in (folder, site):
            monkeypatch.syspath_prepend(str(path))
        plugins.forget()

    yield install
    for name in set(sys.modules) - known:
        if tmp_path in Path(getattr(sys.modules[name], "__file__", None) or "/").parents:
            del sys.modules[name]
    plugins.forget()


@pytest.fixture
def only_test_families(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Find the families of this test alone, and forget all before and afterwards."""
    plain = [folder for folder in sys.path if not _has_family(folder)]
    monkeypatch.setattr(sys, "path", [str(tmp_path / "site"), *plain])
    modules = set(sys.modules)
    plugins.forget()
    yield
    for name in set(sys.modules) - modules:
        if name.endswith("_plugin"):
            del sys.modules[name]
    plugins.forget()


@functools.cache
def _has_family(folder: str) -> bool:
    return any("zoo_autoregressive" in path.name for path in Path(folder).glob("*.dist-info"))


@pytest.fixture
def make_family(tmp_path: Path, install_project: Callable[[Path], None]) -> Callable[[str], Path]:
    """Write a family from the template, found as if it were installed."""

    def write(name: str) -> Path:
        folder = tmp_path / name
        project.write(name, folder)
        install_project(folder)
        return folder

    return write


@pytest.fixture
def zoo(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    monkeypatch.setenv("COLUMNS", "80")

    def run(*args: str) -> Result:
        return CliRunner().invoke(root, args, prog_name="zoo")

    return run


@pytest.fixture
def two(published: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> Path:
    """A registry of two entries with weights, as the only one."""
    path = published("nade.mnist", "vae.faces")
    monkeypatch.setenv("ZOO_REGISTRY", str(path))
    return path


@pytest.fixture
def mnist(tmp_path: Path) -> Path:
    """A root whose MNIST has 10,020 training images and 30 test images, each of its number."""
    raw = tmp_path / "root" / "MNIST" / "raw"
    for stem, n in (("train", 10_020), ("t10k", 30)):
        number = np.arange(n)
        x = np.broadcast_to((number % 251).astype(np.uint8)[:, None, None], (n, 28, 28))
        save_idx(raw / f"{stem}-images-idx3-ubyte", np.ascontiguousarray(x))
        save_idx(raw / f"{stem}-labels-idx1-ubyte", (number % 10).astype(np.uint8))
    return tmp_path / "root"


@pytest.fixture
def pets(tmp_path: Path) -> Path:
    """Five pictures of two pixels in two classes."""
    for i, (kind, left) in enumerate(zip("aabbb", (10, 60, 110, 160, 210), strict=True)):
        save(tmp_path / "pets" / kind / f"{i}.png", np.array([[left, 255 - left]], np.uint8))
    return tmp_path / "pets"


@pytest.fixture
def dicebear() -> None:
    """Skip where the packages that draw faces are not installed."""
    try:
        drawing.check_packages()
    except InvalidInput as error:
        pytest.skip(str(error))


@pytest.fixture
def onnxruntime() -> Any:
    """The package, or a skip where it or what exports to it is not installed."""
    for name in ("onnx", "onnxscript"):
        pytest.importorskip(name)
    return pytest.importorskip("onnxruntime")


@pytest.fixture
def grey(tmp_path: Path) -> str:
    """A test split of one grey image of 3x3."""
    for split in ("train", "val", "test"):
        picture(tmp_path / "grey" / split / "x.png", (3, 3), fill=128)
    return f"{tmp_path / 'grey'}:test"


LICENCES = {"weights": "CC0-1.0", "code": "Apache-2.0"}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> zoo_core.Run:
    """A run of four epochs, which no test may change."""
    folder = tmp_path_factory.mktemp("runs") / "nade.bars-and-stripes"
    return zoo_core.train("nade", epochs=4, output=folder, quiet=True, **SMALL)


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two runs of one name, and one of another."""
    import zoo_core

    folder = tmp_path_factory.mktemp("runs")
    for place, data in (
        ("bernoulli.one", "bars-and-stripes"),
        ("other/bernoulli.one", "bars-and-stripes-2"),
        ("bernoulli.two", "bars-and-stripes-2"),
    ):
        zoo_core.train("bernoulli", data=data, output=folder / place, quiet=True)
    return folder


@pytest.fixture
def item(runs: Path) -> Item:
    """The first run, with a licence."""
    return Item.of(str(runs / "bernoulli.one")).licensed(LICENCES)


@pytest.fixture
def containers(monkeypatch: pytest.MonkeyPatch) -> Iterator[Containers]:
    """A container registry in this process."""
    for name in ("http_proxy", "all_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    here = Containers()
    yield here
    here.server.shutdown()
    here.server.server_close()


@pytest.fixture
def plain_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """A terminal of 80 columns and 24 lines with 256 colours."""
    for name in ("NO_COLOR", "COLORTERM"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    set_terminal_size(monkeypatch, 80, 24)


def _toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {_toml(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_toml, value)) + "]"
    return json.dumps(value)
