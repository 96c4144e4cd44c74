import json
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from zoo_core import plugins
from zoo_core.cli import root
from zoo_core.cli.show import commands
from zoo_core.hookspecs import Task
from zoo_core.registry import Registry

Make = Callable[..., dict[str, Any]]
Write = Callable[..., Path]


Zoo = Callable[..., Result]


def test_an_entry_without_its_plugin_lists_and_shows(
    zoo: Zoo, published: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = published("vae.faces", family="unheard", requires="zoo-unheard>=2")
    monkeypatch.setenv("ZOO_REGISTRY", str(path))
    result = zoo("list")
    assert result.exit_code == 0
    assert "  unheard !  " in result.stdout
    advice = "family 'unheard' is not installed. Install it: pip install 'zoo-unheard>=2'"
    assert result.stderr == f"! {advice}\n"
    assert json.loads(zoo("list", "--json").stdout)[0]["installed"] is False
    monkeypatch.delenv("COLUMNS")
    assert f"Plugin        {advice}\n" in zoo("show", "vae").stdout


def test_show_is_a_card(zoo: Zoo, two: Path) -> None:
    result = zoo("show", "nade")
    assert result.exit_code == 0
    assert max(map(len, result.stdout.splitlines())) <= 80 or str(two) in result.stdout
    digest = Registry.load().lookup("nade").weights.sha256
    for line in (
        "nade.mnist",
        "Handwritten digits, one pixel after the other",
        "Paper         Larochelle & Murray (2011). The NADE",
        "Config        shape = [1, 28, 28]",
        "              hidden = 500",
        "Parameters    785,284",
        "Weights       21 B (21 bytes)",
        "              not pulled",
        f"SHA-256       {digest}",
        "Data          mnist",
        "Metrics       test_nll 86.1 nats (a check allows 0.05)",
        "                published 85.65 nats: table 2",
        "                measured by data = mnist:test, seed = 0",
        "Licence       code Apache-2.0, weights CC-BY-SA-3.0",
        "  zoo run nade.mnist -n 16",
        "  zoo run nade.mnist --task score --input 'mnist:test[0:16]'",
        "  zoo eval nade.mnist --check",
        "  zoo train --like nade.mnist",
    ):
        assert line in result.stdout.splitlines()


def test_what_a_registry_says_sends_nothing_to_a_terminal(
    zoo: Zoo, write_registry: Write, entry: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_registry(entry(config={"x": "\x1b]0;owned\x07"}))
    monkeypatch.setenv("ZOO_REGISTRY", str(path))
    result = zoo("show", "nade.mnist")
    assert result.exit_code == 0
    assert "\x1b" not in result.stdout and r"x = \x1b]0;owned\x07" in result.stdout


def test_show_says_how_certain_a_figure_is(
    zoo: Zoo,
    entry: Make,
    write_registry: Write,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (metric,) = entry()["metrics"]
    metric |= {"standard_error": 0.2119, "training_seeds": [86.1, 86.4, 86.7], "seen": 3_000_000}
    metric["real"] = 80.5
    monkeypatch.setenv("ZOO_REGISTRY", str(write_registry(entry(metrics=[metric]))))
    shown = " ".join(zoo("show", "nade").stdout.split())
    assert "Metrics test_nll 86.1 ± 0.21 nats (a check allows 0.05) of data" in shown
    assert "of data in the samples' place 80.5 nats by 3 training seeds 86.1" in shown
    assert "86.1, 86.4, 86.7; 86.1 to 86.7, mean 86.4, deviation 0.30 published" in shown
    assert "published 85.65 nats after 3,000,000 images: table 2" in shown


def test_colour_can_be_refused(two: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert "\x1b[" in CliRunner().invoke(root, ["show", "nade"], color=True).output
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b[" not in CliRunner().invoke(root, ["show", "nade"], color=True).output


def test_show_as_json_says_everything(zoo: Zoo, two: Path) -> None:
    card = json.loads(zoo("show", "nade", "--json").stdout)
    assert card["pulled"] is False
    assert card["metrics"][0]["published"] == 85.65
    assert card["commands"][0] == "zoo run nade.mnist -n 16"
    zoo("pull", "nade")
    card = json.loads(zoo("show", "nade", "--json").stdout)
    assert Path(card["path"]).read_text() == "weights of nade.mnist"


def test_show_offers_near_matches(zoo: Zoo, two: Path) -> None:
    result = zoo("show", "nade.mnits")
    assert result.exit_code == 3
    assert "Did you mean nade.mnist?" in result.stderr


def test_a_card_has_a_command_for_each_task(
    entry: Make,
    write_registry: Write,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    names = list(plugins.own(Task))
    path = write_registry(entry(tasks=names))
    monkeypatch.setenv("ZOO_REGISTRY", str(path))
    shown = dict(commands(Registry.load().lookup("nade")))
    assert "zoo run nade.mnist --task traverse" in shown
    assert not set(names) & set(shown.values())  # each says what it does


def test_commands_to_copy_are_quoted_for_the_shell(
    zoo: Zoo, entry: Make, write_registry: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = "faces'; touch x; echo '"
    monkeypatch.setenv("ZOO_REGISTRY", str(write_registry(entry(data=data))))
    commands = json.loads(zoo("show", "nade", "--json").stdout)["commands"]
    words = [shlex.split(line) for line in commands]
    assert ["zoo", "run", "nade.mnist", "--task", "score", "--input", f"{data}:test[0:16]"] in words
