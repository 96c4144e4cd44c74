"""The generated pages are those that the registry gives; the reference leaves nothing out."""

import importlib.util
import io
import re
import sys
import tomllib
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import click
import griffe
import pytest
import torch
from click.testing import CliRunner
from PIL import Image

from zoo_core import errors, plugins, schema
from zoo_core.cli import COMMANDS, INTERRUPTED, root
from zoo_core.cli.env import VARIABLES
from zoo_core.errors import InvalidInput
from zoo_core.hookspecs import Metric, Task
from zoo_core.metrics import function
from zoo_core.output import read_provenance, save_image
from zoo_core.registry import Entry, Registry
from zoo_core.rules import Rule
from zoo_core.tasks import options_of

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"


def _imported(name: str) -> ModuleType:
    """Import a file of the documentation's, which is no package."""
    spec = importlib.util.spec_from_file_location(name, DOCS / f"{name}.py")
    assert spec is not None and spec.loader is not None
    sys.modules[name] = module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


generate = _imported("generate")
notebooks = _imported("notebooks")
hooks = _imported("hooks")
ENTRIES: list[Entry] = generate.entries()
DRAWN = [entry for entry in ENTRIES if generate.has_picture(entry)]


def test_the_pages_are_what_the_generator_writes() -> None:
    wanted = generate.pages(ENTRIES)
    old = [path.name for path, text in wanted.items() if not _holds(path, text)]
    assert not old, "uv run python docs/generate.py"
    assert set((DOCS / "models").glob("*.md")) < set(wanted)


def _holds(path: Path, text: str) -> bool:
    return path.is_file() and path.read_text("utf-8") == text


@pytest.mark.parametrize("entry", DRAWN, ids=lambda entry: entry.name)
def test_each_picture_was_drawn_by_the_published_weights(entry: Entry) -> None:
    path = generate.picture(entry)
    assert generate.current(entry), f"uv run python docs/generate.py {entry.name}"
    made = read_provenance(path)
    assert made["entry"] == entry.name
    assert made["command"].startswith(f"zoo run {entry.name} ")
    assert path.stat().st_size <= generate.LARGEST
    with Image.open(path) as picture:
        assert min(picture.size) > 32
        assert picture.convert("L").getextrema()[0] < picture.convert("L").getextrema()[1]


def test_pictures_of_the_pages_are_by_published_weights_and_name_no_folder() -> None:
    published, drawn = {entry.name: entry.weights.sha256 for entry in ENTRIES}, 0
    for path in DOCS.rglob("*.png"):
        try:
            made = read_provenance(path)
        except InvalidInput:  # drawn by a script
            continue
        drawn += 1
        assert " /" not in made.get("command", ""), path
        for name, sha256 in made.get("weights", {}).items():
            assert published.get(name, sha256) == sha256, (path, name)
    assert drawn > len(DRAWN)


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
def test_an_entry_says_what_its_recipe_says(entry: Entry) -> None:
    table = tomllib.loads((Path(entry.origin).parent / entry.recipe).read_text("utf-8"))
    described = table["entry"]
    assert entry.summary == described["summary"]
    assert set(entry.tags) == set(described["tags"])
    assert {k: v for k, v in table.get("config", {}).items() if entry.config[k] != v} == {}
    published = described.get("published", {})
    for metric in entry.metrics:
        said = published.get(metric.name, {})
        assert (metric.published, metric.source, metric.seen) == (
            said.get("published"),
            said.get("source", ""),
            said.get("seen"),
        )


def test_a_curve_is_kept_of_the_run_that_made_the_weights(
    made: Callable[..., Entry], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(generate, "MODELS", tmp_path / "models")
    entry = made()
    run = tmp_path / entry.name
    run.mkdir()
    Image.new("RGBA", (40, 40), "white").save(run / "curve.png")
    for sha256, kept in (("0" * 64, False), (entry.weights.sha256, True)):
        monkeypatch.setattr(
            generate, "open_source", lambda path, s=sha256: SimpleNamespace(sha256=s)
        )
        generate.keep_curve(entry, tmp_path)
        assert generate.curve(entry).is_file() == kept
    (card,) = (text for path, text in generate.pages([entry]).items() if path.stem == entry.name)
    assert "at each step of its training](curves/nade.made-up.png)" in card


def test_each_curve_is_on_a_card() -> None:
    cards = {path.stem for path in (DOCS / "models").glob("*.md")}
    curves = list((DOCS / "models" / "curves").glob("*.png"))
    assert curves
    for path in curves:
        assert path.stem in cards
        assert path.stat().st_size <= generate.LARGEST


def test_each_picture_has_a_text_and_leads_to_its_card() -> None:
    gallery = (DOCS / "gallery" / "index.md").read_text("utf-8")
    for entry in DRAWN:
        card = f"../models/{entry.name}.md"
        image = rf"\[!\[([^]]+)\]\(\.\./models/pictures/{re.escape(entry.name)}\.png\)"
        assert re.search(rf"{image}{{[^}}]*}}\]\({re.escape(card)}\)", gallery), entry.name
    facets = re.findall(r'data-family="(.+?)" data-data="(.+?)" data-kind="(.+?)"', gallery)
    placed = sorted(DRAWN, key=generate.place)
    assert facets == [(e.family, e.data, generate.kind(e)) for e in placed]
    assert placed[0].name == "dcgan.faces"
    images = [len(e.config["shape"]) == 3 for e in placed]
    assert images == sorted(images, reverse=True)  # tables of bits come last


def test_families_from_outside_are_shown_with_their_page() -> None:
    gallery = (DOCS / "gallery" / "index.md").read_text("utf-8")
    _, _, shown = gallery.partition("## Families from outside")
    found = {e.name: e for e in generate.outside() if generate.picture(e).is_file()}
    assert "ddpm.mnist" in found and not found.keys() & {entry.name for entry in ENTRIES}
    for name, entry in found.items():
        assert generate.current(entry)
        assert f"[{name}](../plugins/outside.md)</figcaption>" in shown
    assert "outside.md" not in gallery.partition("## Families from outside")[0]


@pytest.fixture
def made(entry: Callable[..., dict[str, Any]], write_registry: Callable[..., Path]) -> Any:
    def make(**changes: Any) -> Entry:
        path = write_registry(entry(name="nade.made-up", **changes))
        return Registry.load([path]).lookup("nade.made-up")

    return make


def test_a_card_of_an_implicit_model_without_figures(made: Callable[..., Entry]) -> None:
    entry = made(tasks=["sample"], tags=None, metrics=None, paper=None, recipe=None)
    pages = generate.pages([entry])
    card = pages[DOCS / "models" / "nade.made-up.md"]
    assert re.findall("^## (.*)$", card, re.M) == ["Run it"]
    assert "| Kind | implicit: it can be sampled and gives no likelihood |" in card
    assert (
        "| [nade.made-up](nade.made-up.md) | mnist | 785,284 |  |  |"
        in pages[DOCS / "models" / "index.md"]
    )


def test_a_card_holds_figures_recipe_and_citation(made: Callable[..., Entry]) -> None:
    entry = made(
        tags=["bound"],
        paper={"title": "On X | Y", "authors": "van den Oord, Li & Wu et al.", "year": 2016},
    )
    recipe = Path(entry.origin).parent / entry.recipe
    recipe.parent.mkdir()
    recipe.write_text('architecture = "nade"\nepochs = 30\n')
    card = generate.pages([entry])[DOCS / "models" / "nade.made-up.md"]
    figure = "| `test_nll` | 86.1 nats (a check allows 0.05) | 85.65 nats |"
    assert f"{figure} `data = mnist:test`, `seed = 0` |" in card
    assert "Published `test_nll`: table 2." in card
    assert '```toml\narchitecture = "nade"\nepochs = 30\n```' in card
    assert (
        "| Training | 30 epochs of 50,000 rows, at most 1,500,000 seen by these weights; how many "
        "by those of the published `test_nll` its source does not say |" in card
    )
    assert "| Kind | explicit, by a bound: " in card
    assert "van den Oord, Li & Wu et al. (2016). On X &#124; Y |" in card
    assert "@misc{vandenoord2016," in card
    assert "author = {{van den Oord} and Li and Wu and others}," in card


def test_a_card_says_how_certain_a_figure_is(
    made: Callable[..., Entry], entry: Callable[..., dict[str, Any]]
) -> None:
    (metric,) = entry()["metrics"]
    metric |= {"standard_error": 0.2119, "training_seeds": [86.1, 86.4, 86.7], "seen": 3_000_000}
    described = made(metrics=[metric])
    recipe = Path(described.origin).parent / described.recipe
    recipe.parent.mkdir()
    recipe.write_text('architecture = "nade"\nepochs = 1\n')
    card = generate.pages([described])[DOCS / "models" / "nade.made-up.md"]
    assert "| `test_nll` | 86.1 ± 0.21 nats (a check allows 0.05) |" in card
    spread = "86.1, 86.4, 86.7; 86.1 to 86.7, mean 86.4, deviation 0.30."
    assert f"`test_nll` by 3 training seeds: {spread}" in card
    seen = "at most 50,000 seen by these weights; 3,000,000 by those of the published `test_nll`"
    assert f"| Training | 1 epoch of 50,000 rows, {seen} |" in card


def test_a_picture_of_many_colours_is_reduced(
    made: Callable[..., Entry], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def noise(entry: Entry, options: Sequence[str], path: Path) -> None:
        n = int(options[1])
        x = torch.rand(n, 3, 64, 64, generator=torch.Generator().manual_seed(0))
        save_image(path, x, {"command": f"zoo run {entry.name} -n {n}"}, force=True)

    monkeypatch.setattr(generate, "_run", noise)
    monkeypatch.setattr(generate, "MODELS", tmp_path)
    entry = made()
    generate.draw(entry, ("-n", "9"))
    path = generate.picture(entry)
    assert path.stat().st_size <= generate.LARGEST
    assert read_provenance(path)["command"] == "zoo run nade.made-up -n 9"
    with Image.open(path) as picture:
        assert picture.mode == "P"
    generate.draw(entry)  # by the options of the old picture
    assert read_provenance(path)["command"] == "zoo run nade.made-up -n 9"


def test_what_does_not_sample_is_drawn_as_it_is_told(made: Callable[..., Entry]) -> None:
    entry = made(tasks=["translate"])
    with pytest.raises(InvalidInput, match=r"generate\.py nade\.made-up -- --task translate"):
        generate.draw(entry)


# Reference


CORE = griffe.load("zoo_core", search_paths=[ROOT], resolve_aliases=True)
REFERENCE = "".join(path.read_text("utf-8") for path in (DOCS / "reference").glob("*.md"))
SHOWN = re.findall(r"^::: (zoo_core[\w.]*)$", REFERENCE, re.M)
TABLES: dict[str, Mapping[str, Rule]] = {
    "The file": schema._REGISTRY,
    "`[[entry]]`": schema._ENTRY,
    "`[entry.weights]`": schema._WEIGHTS,
    "`[[entry.metrics]]`": schema._METRIC,
    "`[entry.paper]`": schema._PAPER,
    "`licence`": schema._LICENCE,
    "`[entry.deprecated]`": schema._DEPRECATED,
    "`[[withdrawn]]`": schema._WITHDRAWN,
}


def public() -> Iterator[griffe.Module]:
    """The core's modules for others: all but commands, what only starts them, and its family."""
    apart = ("cli", "__main__", "pytest_plugin", "features")
    for module in [CORE, *(m for name, m in CORE.modules.items() if name not in apart)]:
        yield from [module] if module.exports is not None else module.modules.values()


@pytest.mark.parametrize("module", tuple(public()), ids=lambda module: str(module.path))
def test_each_public_name_is_in_the_reference(module: griffe.Module) -> None:
    assert module.path in SHOWN
    for name in map(str, module.exports or ()):
        member = module.members[name]
        if member.is_module:  # a function hides behind the module of its name
            function = f"{member.path}.{name}"
            assert function in SHOWN or member.path in SHOWN, f"{member.path} is on no page"
            member = member.members.get(name, member)
        assert member.has_docstring, f"{module.path}.{name} has no docstring"


@pytest.mark.parametrize("family", hooks.READMES)
def test_each_public_name_of_a_family_has_a_docstring(family: str) -> None:
    package = griffe.load(f"zoo_{family}", search_paths=[ROOT / "plugins" / family])
    described = plugins.load(family).architectures.values()
    assert {record.path.partition(":")[0] for record in described} <= set(hooks.modules(family))
    for name in hooks.modules(family):
        module = package[name.partition(".")[2]]
        assert module.docstring, name
        assert module.exports, name
        assert [n for n in module.exports if not module[str(n)].has_docstring] == [], name


@pytest.mark.parametrize(
    ("page", "link", "leads"),
    [
        ("models/x.md", "../../plugins/latent/README.md", "../families/latent.md"),
        (
            "models/x.md",
            "../../plugins/autoregressive/zoo_autoregressive/nade.py",
            "../reference/autoregressive.md#zoo_autoregressive.nade",
        ),
        ("families/latent.md", "../../docs/ladder.md", "../ladder.md"),
        ("families/latent.md", "../../README.md", "../index.md"),
        ("ladder.md", "gallery/index.md", "gallery/index.md"),
    ],
)
def test_links_lead_to_the_pages_of_files(page: str, link: str, leads: str) -> None:
    file = SimpleNamespace(src_uri=page)
    text = hooks.on_page_markdown(
        f"[a]({link})", page=SimpleNamespace(file=file), config=None, files=None
    )
    assert text == f"[a]({leads})"


def test_lines_of_arguments_become_a_list(tmp_path: Path) -> None:
    lines = ("Do it.", "", "x: images.", "rest, x: more.", "y: text.")
    source = "\n    ".join(["def f(x, *rest):", f'"""{lines[0]}', *lines[1:], '"""'])
    (tmp_path / "shown.py").write_text(source)
    extensions = griffe.load_extensions(DOCS / "docstrings.py")
    module = griffe.load("shown", search_paths=[tmp_path], extensions=extensions)
    wanted = "Do it.\n\n- `x`: images.\n- `rest, x`: more.\ny: text."
    assert module["f"].docstring.value == wanted


def test_each_hook_has_a_docstring() -> None:
    found = [f for name, f in CORE["hookspecs"].functions.items() if name.startswith("zoo_")]
    assert found
    assert all(hook.docstring for hook in found)


@pytest.mark.parametrize(
    "path",
    [
        *(f"hookspecs.{c.name}" for c in CORE["hookspecs"].classes.values() if not c.is_alias),
        "tasks.context.Context",
        "tasks.result.Result",
        "training.recipe.Recipe",
    ],
)
def test_each_field_of_a_record_has_a_docstring(path: str) -> None:
    fields = CORE[path].attributes.values()
    assert fields
    assert [field.name for field in fields if not field.docstring] == []


def test_the_page_of_commands_is_their_help() -> None:
    shown = hooks.commands()
    assert re.findall(r"^## zoo (\w+)$", shown, re.M) == list(COMMANDS)
    for words in [*([name] for name in COMMANDS), ["plugin", "new"]]:
        result = CliRunner().invoke(root, [*words, "--help"], prog_name="zoo")
        said, _, options = result.output.partition("\n\nOptions:\n")
        assert f"\n```text\n{said}\n" in shown
        for flag in re.findall(r"^  (?:-\w, )?(--[\w-]+)", options, re.M):
            anchor = f"zoo-{'-'.join(words)}{flag}"
            assert f'<dt id="{anchor}"><a href="#{anchor}"><code>' in shown


def test_the_page_of_tasks_has_a_row_for_each_option() -> None:
    page = hooks.tables()
    for name, record in plugins.offers(Task).items():
        section = page.partition(f"\n## Task `{name}`\n")[2].partition("\n## ")[0]
        assert record.summary in section
        rows = re.findall(r"^\| `(\S+?)`.*? \| `(\w+)` \|", section, re.M)
        options = options_of(record).values()
        assert rows == [(each.flags[0], each.name) for each in options]


def test_the_page_of_metrics_has_each_with_its_options() -> None:
    page = (DOCS / "reference" / "metrics.md").read_text("utf-8")
    here = SimpleNamespace(file=SimpleNamespace(src_uri="reference/metrics.md"))
    shown = hooks.on_page_markdown(page, page=here, config=None, files=None)
    for name, metric in plugins.offers(Metric).items():
        assert f"| `{name}` | " in shown and f" | {metric.unit} | {metric.summary} |" in shown
        assert all(f"| `{option}` | " in shown for option in function(name).options)


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_and_option_has_help(name: str) -> None:
    command = root.get_command(click.Context(root), name)
    subcommands = command.commands.values() if isinstance(command, click.Group) else ()
    for one in [command, *subcommands]:
        assert one is not None
        assert one.help
        for param in one.params:
            assert not isinstance(param, click.Option) or param.help, param.opts


def test_each_exit_code_has_its_errors() -> None:
    page = (DOCS / "reference" / "exit-codes.md").read_text("utf-8")
    rows = re.findall(r"^\| (\d+) \| .+? \|(.*)\|$", page, re.M)
    documented = {
        name: int(code)
        for code, cells in rows
        for name in re.findall(r"\[(\w+)\]\[zoo_core\.errors\.\1\]", cells)
    }
    kinds = [getattr(errors, name) for name in errors.__all__]
    codes = {kind.__name__: kind.exit_code for kind in kinds if isinstance(kind, type)}
    assert documented == codes
    assert {int(code) for code, _ in rows} == {0, *codes.values(), INTERRUPTED}


def test_each_variable_of_the_environment_has_its_row() -> None:
    page = (DOCS / "reference" / "environment.md").read_text("utf-8")
    assert re.findall(r"^\| `(\w+)` \|", page, re.M) == list(VARIABLES)
    source = "".join(path.read_text("utf-8") for path in ROOT.glob("zoo_core/**/*.py"))
    read = re.findall(r"""["'](ZOO_[A-Z]+|HF_HUB_OFFLINE|NO_COLOR)["']""", source)
    assert set(read) == set(VARIABLES)


@pytest.mark.parametrize("title", TABLES)
def test_each_field_of_a_registry_has_its_row(title: str) -> None:
    page = (DOCS / "reference" / "registry.md").read_text("utf-8")
    section = page.partition(f"\n## {title}\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| `(\w+)` \| (\w*) ?\| (.*?) \| ", section, re.M)
    assert [(name, required == "required", expected) for name, required, expected in rows] == [
        (name, rule.required, rule.expected) for name, rule in TABLES[title].items()
    ]


def test_the_registry_of_the_reference_is_sound() -> None:
    page = (DOCS / "reference" / "registry.md").read_text("utf-8")
    (example,) = re.findall(r"^```toml\n(.*?)^```", page, re.M | re.S)
    assert schema.parse(example.encode(), "registry.md")["entry"]


def test_the_exercises_can_be_downloaded() -> None:
    with zipfile.ZipFile(io.BytesIO(hooks.archive(hooks.EXERCISES))) as packed:
        names = packed.namelist()
    assert {"zoo-exercises/pyproject.toml", "zoo-exercises/zoo_exercises/laws.py"} < set(names)
    assert not [name for name in names if "cache" in name]
