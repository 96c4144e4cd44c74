import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from zoo_core import errors, plugins
from zoo_core.cli import COMMANDS, Root, env, root, text
from zoo_core.errors import ZooError
from zoo_core.registry import Registry

Make = Callable[..., dict[str, Any]]
Write = Callable[..., Path]


@pytest.fixture
def zoo(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    monkeypatch.setenv("COLUMNS", "80")

    def run(*args: str) -> Result:
        return CliRunner().invoke(root, args, prog_name="zoo")

    return run


@pytest.fixture
def two(published: Write, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A registry of two entries with weights, as the only one."""
    path = published("nade.mnist", "vae.faces")
    monkeypatch.setenv("ZOO_REGISTRY", str(path))
    return path


Zoo = Callable[..., Result]


# The group


@pytest.mark.parametrize("name", COMMANDS)
def test_help_says_of_each_command_what_it_says_of_itself(name: str) -> None:
    command = root.get_command(click.Context(root), name)
    assert command is not None
    assert command.name == name
    assert (command.help or "").strip().splitlines()[0] == COMMANDS[name]


def test_help_lists_every_command(zoo: Zoo) -> None:
    result = zoo("--help")
    assert result.exit_code == 0
    assert all(f"  {name} " in result.output for name in COMMANDS)


def test_an_unknown_command_gets_near_matches(zoo: Zoo) -> None:
    result = zoo("lst")
    assert result.exit_code == 2
    assert "there is no command 'lst'. Did you mean list?" in result.stderr
    assert "`zoo --help` lists them" in zoo("frobnicate").stderr


def test_the_version_is_the_distributions(zoo: Zoo) -> None:
    from importlib.metadata import version

    assert zoo("--version").output == f"zoo {version('zoo-core')}\n"


TREE = [getattr(errors, name) for name in errors.__all__ if name[0].isupper()]


def failing(error: BaseException) -> Result:
    @click.command()
    def boom() -> None:
        raise error

    class Group(Root):
        def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command:
            return boom

    return CliRunner().invoke(Group(), ["list"])


@pytest.mark.parametrize("kind", TREE)
def test_every_error_is_a_line_and_its_exit_code(kind: type[ZooError]) -> None:
    result = failing(kind("what was given, and what to do"))
    assert result.exit_code == kind.exit_code
    assert result.stderr == "error: what was given, and what to do\n"
    assert result.stdout == ""


def test_exit_codes_are_the_documented_ones() -> None:
    codes = {kind.__name__: kind.exit_code for kind in TREE}
    assert codes == {
        "CheckFailed": 7,
        "DigestMismatch": 6,
        "InvalidInput": 2,
        "InvalidRegistry": 1,
        "InvalidWeights": 1,
        "NetworkError": 5,
        "OutputExists": 2,
        "PluginError": 4,
        "UnknownName": 3,
        "ZooError": 1,
    }


def test_an_unexpected_error_is_one_line_and_how_to_see_more() -> None:
    result = failing(KeyError("x"))
    assert result.exit_code == 1
    assert (
        result.stderr == "error: unexpected KeyError: 'x'\nZOO_DEBUG=1 shows where it happened.\n"
    )


def test_an_interrupt_is_130() -> None:
    result = failing(KeyboardInterrupt())
    assert result.exit_code == 130
    assert result.stderr.strip() == "interrupted"


def test_debugging_shows_the_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZOO_DEBUG", "1")
    result = failing(ZooError("sorry"))
    assert result.exit_code == 1
    assert "Traceback" in result.stderr
    assert result.stderr.endswith("error: sorry\n")


# list


def test_list_is_an_aligned_table(zoo: Zoo, two: Path) -> None:
    result = zoo("list")
    assert result.exit_code == 0
    head, first, second = result.stdout.splitlines()
    assert head == "NAME        PARAMS  METRIC     FAMILY          PULLED  SUMMARY"
    assert first == "nade.mnist  785 K   86.1 nats  autoregressive  -       " + (
        "Handwritten digits, one …"
    )
    assert second.startswith("vae.faces   785 K   86.1 nats")


def test_list_cuts_nothing_without_a_terminal(
    zoo: Zoo, two: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("COLUMNS")
    assert "Handwritten digits, one pixel after the other\n" in zoo("list").stdout


def test_list_takes_names_and_globs(zoo: Zoo, two: Path) -> None:
    assert "vae" not in zoo("list", "nade*").stdout
    assert "nade" not in zoo("list", "vae").stdout
    result = zoo("list", "nabe")
    assert result.exit_code == 3
    assert "no entry is named 'nabe'. Did you mean nade" in result.stderr


def test_list_says_when_nothing_fits(zoo: Zoo, two: Path) -> None:
    result = zoo("list", "gan*")
    assert (result.exit_code, result.stdout, result.stderr) == (0, "", "no entry fits\n")
    assert json.loads(zoo("list", "gan*", "--json").stdout) == []


def names(result: Result) -> list[str]:
    assert result.exit_code == 0, result.stderr
    return [entry["name"] for entry in json.loads(result.stdout)]


def test_list_filters(
    zoo: Zoo, entry: Make, write_registry: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_registry(
        entry(),
        entry(name="nade.dna", data="dna", weights__parameters=10_000_000, paper__year=2020),
        entry(name="vae.mnist", architecture="vae", family="latent", tasks=["encode"], metrics=[]),
    )
    monkeypatch.setenv("ZOO_REGISTRY", str(path))
    everything = ["nade.mnist", "nade.dna", "vae.mnist"]
    assert names(zoo("list", "--json")) == everything
    assert names(zoo("list", "--json", "--family", "latent")) == ["vae.mnist"]
    assert names(zoo("list", "--json", "--task", "score")) == ["nade.mnist", "nade.dna"]
    assert names(zoo("list", "--json", "--data", "dna")) == ["nade.dna"]
    assert names(zoo("list", "--json", "--where", "params<5M and test_nll<90")) == ["nade.mnist"]
    assert names(zoo("list", "--json", "--where", "year==2020", "*.mnist")) == []
    assert names(zoo("list", "--json", "--pulled")) == []


def test_list_sorts(
    zoo: Zoo, entry: Make, write_registry: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_registry(
        entry(name="nade.c", metrics=[]),
        entry(name="nade.b", weights__parameters=3),
        entry(name="nade.a", weights__parameters=5),
    )
    monkeypatch.setenv("ZOO_REGISTRY", str(path))
    assert names(zoo("list", "--json", "--sort", "name")) == ["nade.a", "nade.b", "nade.c"]
    assert names(zoo("list", "--json", "--sort", "params")) == ["nade.b", "nade.a", "nade.c"]
    assert names(zoo("list", "--json", "--sort", "-params")) == ["nade.c", "nade.a", "nade.b"]
    assert names(zoo("list", "--json", "--sort", "-test_nll"))[-1] == "nade.c"


@pytest.mark.parametrize(
    ("option", "value", "code", "message"),
    [
        ("--family", "auto", 3, "no entry has 'auto' as its family. There are: autoregressive."),
        ("--task", "scor", 3, "no entry has 'scor' as its task. Did you mean score? There are: "),
        ("--data", "mnits", 3, "no entry has 'mnits' as its data. Did you mean mnist? There are: "),
        ("--where", "parms<1", 2, "unknown name 'parms'. Did you mean params? Allowed: params,"),
        ("--sort", "parms", 2, "--sort 'parms': unknown name. Did you mean params? Allowed: name"),
    ],
)
def test_list_names_what_a_filter_does_not_know(
    zoo: Zoo, two: Path, option: str, value: str, code: int, message: str
) -> None:
    result = zoo("list", option, value)
    assert result.exit_code == code
    assert message in result.stderr


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


# show


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
        "Metrics       test_nll 86.1 nats (±0.05)",
        "                published 85.65 nats: table 2",
        "                measured by data = mnist:test, seed = 0",
        "Licence       code Apache-2.0, weights CC-BY-SA-3.0",
        "  zoo run nade.mnist -n 16",
        "  zoo run nade.mnist --task score --input 'mnist:test[0:16]'",
        "  zoo eval nade.mnist --check",
        "  zoo train --like nade.mnist",
    ):
        assert line in result.stdout.splitlines()


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


# pull, verify, rm


def test_pull_verify_and_rm(zoo: Zoo, two: Path) -> None:
    result = zoo("pull", "*")
    assert result.exit_code == 0
    name, path = result.stdout.splitlines()[0].split("  ")
    assert name == "nade.mnist"
    assert Path(path).read_text() == "weights of nade.mnist"
    assert names(zoo("list", "--pulled", "--json")) == ["nade.mnist", "vae.faces"]
    assert zoo("verify").stdout == "nade.mnist  sound\nvae.faces   sound\n"
    result = zoo("rm", "*")
    assert result.stdout == "removed nade.mnist  21 B\nremoved vae.faces  20 B\nfreed 41 B\n"
    assert names(zoo("list", "--pulled", "--json")) == []
    assert zoo("verify").stdout == "nothing is pulled\n"


def test_a_dry_pull_says_what_and_from_where(zoo: Zoo, two: Path) -> None:
    result = zoo("pull", "nade", "--dry-run")
    assert result.stdout == f"nade.mnist  would fetch 21 B from {two.parent}/nade.mnist.bin\n"
    assert names(zoo("list", "--pulled", "--json")) == []
    plan = json.loads(zoo("pull", "nade", "--dry-run", "--json").stdout)[0]
    assert (plan["bytes"], plan["pulled"]) == (21, False)
    assert json.loads(zoo("pull", "nade", "--json").stdout)[0]["pulled"] is True
    assert zoo("pull", "nade", "-n").stdout == "nade.mnist  here already\n"


def test_pull_needs_names(zoo: Zoo) -> None:
    result = zoo("pull")
    assert result.exit_code == 2
    assert "Missing argument" in result.stderr
    assert zoo("pull", "zebra*").stderr == "no entry fits\n"


def test_a_damaged_file_fails_verification(zoo: Zoo, two: Path) -> None:
    zoo("pull", "nade", "vae")
    path = Path(json.loads(zoo("show", "nade", "--json").stdout)["path"])
    path.chmod(0o644)
    path.write_text("weights of nobody....")
    result = zoo("verify", "--json")
    assert result.exit_code == 6
    assert [row["sound"] for row in json.loads(result.stdout)] == [False, True]
    assert "Replace them: zoo rm nade.mnist && zoo pull nade.mnist" in result.stderr
    zoo("rm", "nade")
    zoo("pull", "nade")
    assert zoo("verify", "nade").stdout == "nade.mnist  sound\n"


def test_verify_names_what_is_not_pulled(zoo: Zoo, two: Path) -> None:
    result = zoo("verify", "nade")
    assert result.exit_code == 1
    assert "nothing to verify: nade.mnist. Fetch first: zoo pull nade.mnist" in result.stderr


def test_rm_needs_names_and_says_what_is_not_there(zoo: Zoo, two: Path) -> None:
    assert zoo("rm").exit_code == 2
    assert "name the entries whose weights to remove, or give --unused" in zoo("rm").stderr
    result = zoo("rm", "nade")
    assert result.exit_code == 0
    assert result.stderr == "nade.mnist is not pulled\nnothing to remove\n"


def test_a_dry_rm_removes_nothing(zoo: Zoo, two: Path) -> None:
    zoo("pull", "nade")
    assert zoo("rm", "nade", "--dry-run").stdout == "would remove nade.mnist  21 B\n"
    assert names(zoo("list", "--pulled", "--json")) == ["nade.mnist"]


def test_rm_unused_keeps_what_an_entry_names(
    zoo: Zoo, published: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ZOO_REGISTRY", str(published("nade.old", "nade.new")))
    old = Registry.load().lookup("nade.old").weights.sha256
    zoo("pull", "*")
    published("nade.new")
    assert f"sha256-{old}  sound" in zoo("verify").stdout
    assert zoo("rm", "--unused").stdout == f"removed sha256-{old}  19 B\n"
    assert zoo("verify").stdout == "nade.new  sound\n"


def test_rm_names_all_entries_that_share_weights(
    zoo: Zoo, published: Write, write_registry: Write, entry: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ZOO_REGISTRY", str(published("nade.a")))
    weights = Registry.load().lookup("nade.a").as_dict()["weights"]
    write_registry(entry(name="nade.a", weights=weights), entry(name="nade.b", weights=weights))
    zoo("pull", "nade.b")
    assert zoo("rm", "nade.a").stdout == "removed nade.a, nade.b  17 B\n"


# commands of plugins


HELLO = """
import click
@click.command(help="Greet.")
def hello():
    click.echo("hello")
def wrong():
    pass
"""


def test_a_plugin_adds_a_command(
    zoo: Zoo, install_family: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    site = install_family("greets", HELLO)
    points = next(site.glob("*.dist-info")) / "entry_points.txt"
    lines = ("hello = zoo_greets_plugin:hello", "wrong = zoo_greets_plugin:wrong",
             "list = zoo_greets_plugin:hello")  # fmt: skip
    points.write_text("\n".join((points.read_text(), "[zoo.commands.v1]", *lines)))
    monkeypatch.syspath_prepend(str(site))
    assert zoo("hello").stdout == "hello\n"
    assert re.search(r"hello +A command of zoo-greets\.", zoo("--help").stdout)
    assert "Did you mean hello" in zoo("helo").stderr
    wrong = zoo("wrong")
    assert wrong.exit_code == 4
    assert "zoo_greets_plugin:wrong, a function; expected a click.Command" in wrong.stderr
    assert "nade" in zoo("list").stdout  # ours stays ours


# plugins, env, completion


def test_plugins_reports_each(zoo: Zoo) -> None:
    rows = json.loads(zoo("plugins", "--json").stdout)
    assert {row["family"] for row in rows} == set(plugins.installed())
    assert all(row["seconds"] >= 0 for row in rows)


def test_plugins_says_when_there_is_none(zoo: Zoo, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZOO_PLUGINS", "")
    assert "no family is installed; try: pip install" in zoo("plugins").stderr
    assert json.loads(zoo("plugins", "--json").stdout) == []


def test_env_says_where_things_are(zoo: Zoo, two: Path) -> None:
    zoo("pull", "nade")
    facts = json.loads(zoo("env", "--json").stdout)
    assert facts["folders"]["registries"] == [str(two)]
    assert facts["store"] == {"files": 1, "bytes": 21}
    assert set(facts["settings"]) == set(env.VARIABLES)
    assert facts["versions"]["torch"]
    assert f"  ZOO_REGISTRY    {two}\n" in zoo("env").stdout


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_completion_prints_a_script(zoo: Zoo, shell: str) -> None:
    result = zoo("completion", shell)
    assert result.exit_code == 0
    assert "_ZOO_COMPLETE" in result.stdout


def test_completion_knows_its_shells(zoo: Zoo) -> None:
    result = zoo("completion", "tcsh")
    assert result.exit_code == 2
    assert "'bash', 'zsh', 'fish'" in result.stderr


# Text


@pytest.mark.parametrize(
    ("number", "shown"),
    [
        (0, "0"),
        (999, "999"),
        (1000, "1 K"),
        (1234, "1.2 K"),
        (785284, "785 K"),
        (999_499, "999 K"),
        (999_500, "1 M"),
        (12_345_678, "12.3 M"),
        (2e9, "2 G"),
    ],
)
def test_counts_are_short(number: float, shown: str) -> None:
    assert text.count(number) == shown


def test_sizes_have_their_unit() -> None:
    assert [text.size(n) for n in (12, 1234, 3_147_000)] == ["12 B", "1.2 kB", "3.1 MB"]
