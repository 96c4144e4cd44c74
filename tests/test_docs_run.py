"""Each block of code in the documentation does what its page says, or tells why it is not run.

A page is read from top to bottom in a folder that looks like a checkout. Commands run in this
process; data sets from elsewhere are small stand-ins, and what is trained is trained for one epoch.
Of a page that is a notebook too, the notebook's cells are what runs.
A comment before a block says what is special to it:

    <!-- not run: reason -->    its commands and options must exist, its Python must be sound
    <!-- output -->             text that the block before it printed
"""

import ast
import os
import re
import runpy
import shlex
import struct
import subprocess
import tomllib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import click
import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from zoo_core import hookspecs, plugins
from zoo_core.cli import COMMANDS, root
from zoo_core.cli.arguments import option_flag
from zoo_core.data import standard
from zoo_core.hookspecs import Task
from zoo_core.tasks import options_of

ROOT = Path(__file__).parent.parent
notebooks = SimpleNamespace(**runpy.run_path(str(ROOT / "docs" / "notebooks.py")))
PAGES = sorted(
    [
        ROOT / "README.md",
        ROOT / "CONTRIBUTING.md",
        *ROOT.glob("docs/**/*.md"),
        *ROOT.glob("plugins/*/README.md"),
        *ROOT.glob("examples/*/README.md"),
    ]
)
NOT_RUN = [ROOT / "docs" / "models", ROOT / "docs" / "reference", ROOT / "examples"]
"""Of their pages the commands must exist: the first two are generated and repeat a few commands for
every entry, the examples' begin with an installation."""
FILES = {"cp", "ls", "mkdir"}
"""Commands of the shell that only touch files: they run as they stand."""
LANGUAGES = {"bibtex", "html", "json", "python", "sh", "text", "toml", "yaml"}
BLOCK = re.compile(
    r"(?:^<!-- (?P<mark>not run|output)(?:: (?P<reason>[^\n]*))? -->\n\n?)?"
    r'^```(?P<language>\w*)(?: title="(?P<title>[^"]*)")?[^\n]*\n(?P<text>.*?)^```$',
    re.M | re.S,
)
EXIT = re.compile(r"#.*\bexit code (\d+)")


@dataclass(frozen=True)
class Block:
    """A block of code with the comment before it."""

    language: str
    text: str
    title: str
    mark: str
    reason: str

    def commands(self) -> list[str]:
        lines = re.sub(r"\\\n\s*", "", self.text).splitlines() if self.language == "sh" else []
        return [line for line in lines if shlex.split(line, comments=True)]


def blocks(page: Path) -> list[Block]:
    found = (match.groupdict("") for match in BLOCK.finditer(page.read_text("utf-8")))
    return [Block(**block) for block in found]


def as_cells(page: Path) -> Iterator[Block]:
    """The blocks of a page; those that its notebook runs with the text of their cells."""
    cells = (cell for cell in notebooks.cells(page) if cell["cell_type"] == "code")
    for block in blocks(page):
        if block.mark or block.title or block.language not in ("python", "sh"):
            yield block
        else:
            lines = (line.removeprefix("!") for line in next(cells)["source"])
            yield replace(block, text="".join(lines) + "\n")
    assert next(cells, None) is None


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


def is_run(page: Path) -> bool:
    return not set(NOT_RUN) & set(page.parents)


class Reader:
    """Does what a page says."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, install: Callable[[Path], None]) -> None:
        self.monkeypatch, self.install = monkeypatch, install
        self.names: dict[str, Any] = {}
        self.output = ""

    def read(self, block: Block) -> None:
        if block.mark == "output":
            assert squeezed(block.text) in squeezed(self.output)
        elif block.mark == "not run":
            assert block.reason, "say why it is not run"
        elif block.title:
            Path(block.title).parent.mkdir(parents=True, exist_ok=True)
            Path(block.title).write_text(block.text, "utf-8")
        elif block.language == "python":
            exec(block.text, self.names)
        elif block.language == "sh":
            self.output = ""
            for line in block.commands():
                self.command(line)

    def command(self, line: str) -> None:
        program, *arguments = shlex.split(line, comments=True)
        if program == "cd":
            self.monkeypatch.chdir(arguments[0])
        elif program == "export":
            name, _, value = os.path.expandvars(arguments[0]).partition("=")
            self.monkeypatch.setenv(name, value)
        elif program in FILES:
            subprocess.run(["bash", "-c", line], check=True)
        elif program == "pip":
            assert arguments == ["install", "-e", "."], f"cannot be run here: {line}"
            self.install(Path.cwd())
        else:
            assert program == "zoo", f"cannot be run here: {line}"
            self.zoo([os.path.expandvars(word) for word in arguments], line)

    def zoo(self, arguments: list[str], line: str) -> None:
        if arguments[0] == "train":
            arguments = [*arguments, "--epochs", "1"]
        result = CliRunner().invoke(root, arguments)
        expected = EXIT.search(line)
        assert result.exit_code == int(expected[1] if expected else 0), f"{line}\n{result.output}"
        self.output += result.output


def squeezed(text: str) -> str:
    return " ".join(text.split())


@pytest.fixture(scope="module")
def stand_ins(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of data sets, as small and as random as they may be."""
    folder, generator = tmp_path_factory.mktemp("data"), np.random.default_rng(0)
    for name in ("MNIST", "FashionMNIST"):
        raw = folder / name / "raw"
        raw.mkdir(parents=True)
        for split, n in (("train", 160), ("t10k", 60)):
            x = generator.integers(0, 256, (n, 28, 28), dtype=np.uint8)
            head = struct.pack(">4I", 0x803, n, 28, 28)
            (raw / f"{split}-images-idx3-ubyte").write_bytes(head + x.tobytes())
            labels = np.arange(n, dtype=np.uint8) % 10
            head = struct.pack(">2I", 0x801, n)
            (raw / f"{split}-labels-idx1-ubyte").write_bytes(head + labels.tobytes())
    for name, D in (("nltcs", 16), ("dna", 180)):
        (folder / "binary" / name).mkdir(parents=True)
        for split in ("train", "valid", "test"):
            rows = generator.integers(0, 2, (50, D))
            np.savetxt(folder / "binary" / name / f"{split}.csv", rows, "%d", ",")
    return folder


@pytest.fixture
def reader(
    tmp_path: Path,
    stand_ins: Path,
    install_project: Callable[[Path], None],
    monkeypatch: pytest.MonkeyPatch,
) -> Reader:
    """A reader in a folder with what a checkout holds, and images of their own."""
    here = tmp_path / "checkout"
    here.mkdir()
    for name in ("plugins", "examples", "registry.toml"):
        (here / name).symlink_to(ROOT / name)
    (here / "DATA").symlink_to(stand_ins)
    mine, generator = here / "my-folder", np.random.default_rng(1)
    mine.mkdir()
    for i in range(12):
        pixels = generator.integers(0, 256, (70, 80, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(mine / f"{i}.png")
    monkeypatch.chdir(here)
    monkeypatch.setenv("ZOO_DATA", str(stand_ins))
    monkeypatch.setattr(standard, "_VALIDATION", 60)
    return Reader(monkeypatch, install_project)


RUN = [page for page in PAGES if is_run(page) and blocks(page)]
COMMAND_LINES = sorted(
    {
        line.strip()
        for page in PAGES
        for block in blocks(page)
        for command in block.commands()
        for line in command.split(" && ")
        if re.match(r"(uv run )?zoo ", line)
    }
)
ADDED = {
    name
    for page in PAGES
    for block in blocks(page)
    if block.title == "pyproject.toml"
    for name in tomllib.loads(block.text)["project"]["entry-points"].get(hookspecs.COMMANDS, ())
}
"""Commands of the families that pages make."""


@pytest.mark.parametrize("page", RUN, ids=name_of)
def test_a_page_does_what_it_says(page: Path, reader: Reader) -> None:
    for block in as_cells(page) if page in notebooks.PAGES else blocks(page):
        reader.read(block)
    if "nats" in reader.names:
        assert reader.names["nats"].shape == reader.names["x"].shape[:1]
        assert (reader.names["nats"] < 0).all()


@pytest.mark.parametrize("line", COMMAND_LINES)
def test_commands_exist(line: str) -> None:
    name, *arguments = shlex.split(line.removeprefix("uv run "), comments=True)[1:]
    if name in ADDED:
        return
    assert name in COMMANDS
    command = root.get_command(click.Context(root), name)
    if isinstance(command, click.Group):
        name, *arguments = arguments
        command = command.commands[name]
    assert command is not None
    params = [*command.params, *_task_flags(arguments)] if name == "run" else command.params
    known = {option for param in params for option in param.opts + param.secondary_opts} | {
        "--help"
    }
    given = {a.partition("=")[0] for a in arguments if re.match(r"--?[a-z]", a)}
    assert given <= known


def _task_flags(arguments: Sequence[str]) -> list[click.Option]:
    """The flags of the task that is named, or of all; `--k`, where it is a page's own task."""
    named = [b for a, b in pairwise(arguments) if a in ("--task", "-t")]
    records = [r for name, r in plugins.offers(Task).items() if not named or name in named]
    flags = [option_flag(option) for record in records for option in options_of(record).values()]
    return flags or [click.Option([flag]) for flag in ("-n", "--k", "--kk", "--invert")]


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_blocks_are_sound(page: Path) -> None:
    """Each says its language and is of it, also where it is not run."""
    for block in blocks(page):
        assert block.language in LANGUAGES, block
        if block.language == "python":
            ast.parse(block.text)
        if block.language == "toml":
            tomllib.loads(block.text)
    fences = len(re.findall(r"^\s*```", page.read_text("utf-8"), re.M))
    assert fences == 2 * len(blocks(page)), "a block is indented, or its comment is not known"
