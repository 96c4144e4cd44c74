"""The command as a user runs it: a process with a home, families and registries of its own."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., "subprocess.CompletedProcess[str]"]
Install = Callable[..., Path]
Write = Callable[..., Path]

ZOO = Path(sys.executable).parent / "zoo"
HEAVY = ("torch", "numpy", "timm", "torchvision", "matplotlib", "PIL", "fsspec", "lightning")

MARKED = "import pathlib, time\npathlib.Path(__file__).with_suffix('.imported').touch()\n"
FINE = """
from zoo_core.hookspecs import Architecture, hookimpl
@hookimpl
def zoo_architectures():
    return [Architecture("model", "collections:OrderedDict", "A model", ("sample",))]
"""


@pytest.fixture
def site(install_family: Install) -> Path:
    """Families that misbehave, installed beside the real ones; each notes that it was imported."""
    install_family("broken", MARKED + "import nonsense")
    install_family("slow", MARKED + "time.sleep(2)\n" + FINE)
    install_family("misspelt", MARKED + FINE.replace("tures()", "ture()"))
    install_family("quitting", MARKED + "raise SystemExit(9)")
    install_family("same", MARKED, distribution="zoo-one")
    return install_family("same", MARKED, distribution="zoo-two")


@pytest.fixture
def environment(site: Path, published: Write, tmp_path: Path) -> dict[str, str]:
    path = published("nade.mnist", "nade.dna")
    given = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHONPATH", "COV"))}
    return given | {
        "ZOO_REGISTRY": str(path),
        "PYTHONPATH": str(site),
        "COLUMNS": "80",
    }


@pytest.fixture
def run(environment: dict[str, str]) -> Run:
    def run(*args: str, **env: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [ZOO, *args], env=environment | env, capture_output=True, text=True, timeout=60
        )

    return run


def complete(run: Run, words: str, current: int) -> list[str]:
    result = run(_ZOO_COMPLETE="bash_complete", COMP_WORDS=words, COMP_CWORD=str(current))
    assert result.returncode == 0
    assert result.stderr == ""
    return [line.partition(",")[2] for line in result.stdout.split()]


def test_reading_commands_import_no_family(run: Run, site: Path) -> None:
    for args in (["--help"], ["list"], ["show", "nade"], ["list", "--json"], ["pull", "nade"]):
        result = run(*args)
        assert (result.returncode, result.stderr) == (0, "")
    assert complete(run, "zoo show nade.m", 2) == ["nade.mnist"]
    assert list(site.glob("*.imported")) == []


def test_plugins_reports_what_became_of_each(run: Run, site: Path) -> None:
    result = run("plugins")
    assert result.returncode == 0
    assert "Traceback" not in result.stdout + result.stderr
    lines = result.stdout.splitlines()
    status = {tuple(line.split()[:4]) for line in lines[1:]}
    assert {
        ("broken", "broken", "zoo-broken", "1.0"),
        ("misspelt", "broken", "zoo-misspelt", "1.0"),
        ("quitting", "broken", "zoo-quitting", "1.0"),
        ("same", "clash", "zoo-one", "1.0"),
        ("same", "clash", "zoo-two", "1.0"),
        ("slow", "slow", "zoo-slow", "1.0"),
    } <= status
    assert "broken (zoo-broken): ModuleNotFoundError: No module named 'nonsense'" in lines
    assert "quitting (zoo-quitting): SystemExit: 9" in lines
    assert "Did you mean zoo_architectures?" in result.stdout
    assert "same (zoo-one): claimed by zoo-one 1.0 and zoo-two 1.0; uninstall all but one" in lines
    assert not (site / "zoo_one_plugin.imported").exists()


@pytest.mark.parametrize(
    ("args", "loader"),
    [
        (["--help"], "pluggy"),
        (["list"], "pluggy"),
        (["list", "--where", "params<5M"], "pluggy"),
        (["show", "nade.mnist"], "torch"),  # it loads the records of tasks
    ],
)
def test_reading_commands_import_nothing_heavy(
    environment: dict[str, str], args: list[str], loader: str
) -> None:
    code = (
        "import sys\nfrom zoo_core.cli import root\n"
        f"try: root.main({args!r}, prog_name='zoo')\nexcept SystemExit: pass\n"
        f"print([m for m in {(*HEAVY, loader)!r} if m in sys.modules], file=sys.stderr)"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True
    )
    assert result.stderr == "[]\n"


@pytest.mark.parametrize(
    ("words", "current", "expected"),
    [
        ("zoo sh", 1, ["show"]),
        ("zoo show ", 2, ["nade.mnist", "nade.dna"]),
        ("zoo show nade.d", 2, ["nade.dna"]),
        ("zoo pull nade.mnist nade.d", 3, ["nade.dna"]),
        ("zoo list --fam", 2, ["--family"]),
        ("zoo list --family a", 3, ["autoregressive"]),
        ("zoo list --task s", 3, ["sample", "score"]),
        ("zoo nothing na", 2, []),
    ],
)
def test_completion(run: Run, words: str, current: int, expected: list[str]) -> None:
    assert complete(run, words, current) == expected


@pytest.mark.skipif(not Path("/bin/bash").exists(), reason="no bash")
def test_the_script_for_bash_completes(environment: dict[str, str]) -> None:
    script = (
        f'PATH="{ZOO.parent}:$PATH"; eval "$(zoo completion bash)"; '
        "COMP_WORDS=(zoo show nade.d); COMP_CWORD=2; _zoo_completion zoo; echo ${COMPREPLY[@]}"
    )
    result = subprocess.run(
        ["/bin/bash", "-c", script], env=environment, capture_output=True, text=True
    )
    assert (result.stdout, result.stderr) == ("nade.dna\n", "")


def test_completion_with_a_broken_registry_offers_nothing(run: Run, tmp_path: Path) -> None:
    (tmp_path / "bad.toml").write_text("schema = 9")
    result = run(
        ZOO_REGISTRY=str(tmp_path / "bad.toml"),
        _ZOO_COMPLETE="bash_complete",
        COMP_WORDS="zoo show na",
        COMP_CWORD="2",
    )
    assert (result.returncode, result.stdout.strip(), result.stderr) == (0, "", "")


def fails(result: "subprocess.CompletedProcess[str]", code: int, text: str) -> None:
    assert result.returncode == code
    assert result.stdout == ""
    assert text in result.stderr
    assert "Traceback" not in result.stderr


def test_exit_codes(run: Run, tmp_path: Path, entry: Any, write_registry: Write) -> None:
    fails(run("verify", "nade"), 1, "error: not pulled, so there is nothing to verify")
    fails(run("list", "--nope"), 2, "No such option")
    fails(run("list", "--where", "x<1"), 2, "error: --where 'x<1': unknown name 'x'")
    fails(run("show", "nade.mnits"), 3, "error: no entry is named 'nade.mnits'")
    fails(run("list", ZOO_REGISTRY=str(tmp_path / "no.toml")), 1, "error: no registry at ")
    remote = write_registry(entry(weights__url="http://127.0.0.1:9/x"), folder="remote")
    fails(run("pull", "nade", ZOO_REGISTRY=str(remote)), 5, "error: ")
    fails(run("pull", "nade", ZOO_REGISTRY=str(remote), ZOO_OFFLINE="1"), 5, "ZOO_OFFLINE")
    wrong = write_registry(
        entry(weights={"url": "x", "sha256": "b" * 64, "bytes": 3, "parameters": 1}), folder="wrong"
    )
    (wrong.parent / "x").write_text("abc")
    fails(run("pull", "nade", ZOO_REGISTRY=str(wrong)), 6, "b" * 64)


def test_a_missing_family_is_exit_code_4(run: Run, published: Write) -> None:
    published("nade.mnist", family="unheard", requires="zoo-unheard>=1")
    fails(run("run", "nade.mnist"), 4, "pip install 'zoo-unheard>=1'")


def test_debugging_shows_a_traceback(run: Run) -> None:
    result = run("show", "nope", ZOO_DEBUG="1")
    assert result.returncode == 3
    assert result.stderr.startswith("Traceback")


def test_an_interrupted_command_is_130(
    environment: dict[str, str], site: Path, install_family: Install
) -> None:
    install_family("waiting", MARKED + "time.sleep(600)")
    process = subprocess.Popen(
        [ZOO, "plugins"], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 30
    while not (site / "zoo_waiting_plugin.imported").exists() and time.monotonic() < deadline:
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert (out, err.strip()) == ("", "interrupted")


def test_a_reader_that_leaves_is_not_an_error(
    environment: dict[str, str], entry: Any, write_registry: Write
) -> None:
    path = write_registry(*(entry(name=f"nade.n{n}") for n in range(800)), folder="many")
    command = f"set -o pipefail; '{ZOO}' list --json | head -1"
    result = subprocess.run(
        ["bash", "-c", command],
        env=environment | {"ZOO_REGISTRY": str(path)},
        capture_output=True,
        text=True,
    )
    assert result.stdout == "[\n"
    assert result.stderr == ""


def test_a_thousand_entries_list(run: Run, entry: Any, write_registry: Write) -> None:
    path = write_registry(*(entry(name=f"nade.n{n}") for n in range(1000)), folder="many")
    result = run("list", ZOO_REGISTRY=str(path))
    assert len(result.stdout.splitlines()) == 1001
    assert max(map(len, result.stdout.splitlines())) == 80
