"""What the project says of itself holds: readme, documentation and CI script against the code."""

import ast
import re
from pathlib import Path

import pytest

from zoo_core import loading, plugins
from zoo_core.output import read_provenance
from zoo_core.registry import Entry, Registry, own_registry
from zoo_core.tasks import able, of_entry

ROOT = Path(__file__).parent.parent


PICTURES = sorted((ROOT / "docs" / "assets").glob("*.png"))


PUBLISHED = Registry.load((str(own_registry()),)).entries


def blocks(page: Path, language: str) -> str:
    found = re.findall(rf"^```{language}\n(.*?)^```", page.read_text(), re.M | re.S)
    return "".join(found)


def test_ci_runs_the_readmes_test_command() -> None:
    setup, tests = re.findall(
        r"^pip install uv && (uv run .*)$", blocks(ROOT / "README.md", "sh"), re.M
    )
    script = (ROOT / ".ci" / "run").read_text()
    assert setup == "uv run zoo run nade.mnist -n 16"
    assert f"\n{tests}\n" in script
    assert "pip install uv" in script


@pytest.mark.parametrize("entry", PUBLISHED.values(), ids=lambda entry: entry.name)
def test_a_figure_in_the_features_of_a_net_says_which_weights_it_has(entry: Entry) -> None:
    for metric in entry.metrics:
        if net := metric.protocol.get("features"):
            name, _, digest = str(net).partition("@")
            assert digest and PUBLISHED[name].weights.sha256.startswith(digest), metric.name


def test_the_citation_is_of_this_version() -> None:
    version = re.search(r'^version = "(.*)"$', (ROOT / "pyproject.toml").read_text(), re.M)
    assert version is not None
    assert f"\nversion: {version[1]}\n" in (ROOT / "CITATION.cff").read_text()
    assert f"version = {{{version[1]}}}" in (ROOT / "docs" / "guides" / "cite.md").read_text()


@pytest.mark.parametrize("picture", PICTURES, ids=lambda picture: picture.stem)
def test_pictures_are_small_and_of_the_published_weights(picture: Path) -> None:
    """One whose weights have changed since is drawn again, by the command that it holds."""
    assert picture.stat().st_size < 80_000
    made = read_provenance(picture)
    drawn = made.get("weights", {made.get("entry", ""): made.get("sha256", "")})
    for name, digest in drawn.items():
        if name in PUBLISHED:
            assert digest == PUBLISHED[name].weights.sha256, made["command"]


@pytest.mark.parametrize("entry", PUBLISHED.values(), ids=lambda entry: entry.name)
def test_an_entry_lists_the_tasks_that_its_model_can_do(entry: Entry) -> None:
    can = able(loading.blank(entry))
    declared = plugins.architecture(entry.architecture, entry.family).tasks
    assert set(entry.tasks) == {task for task in can if task in declared}
    assert of_entry(entry) == can


def test_a_long_module_says_why() -> None:
    modules = [*ROOT.glob("zoo_core/**/*.py"), *ROOT.glob("plugins/*/zoo_*/**/*.py")]
    assert len(modules) > 100
    long = {path: text for path in modules if (text := path.read_text("utf-8")).count("\n") > 400}
    for path, text in long.items():
        head = ast.get_docstring(ast.parse(text)) or ""
        assert "\nOver 400 lines: " in head, path


def test_each_decision_has_context_choice_and_consequence() -> None:
    records = sorted((ROOT / "docs" / "decisions").glob("0*.md"))
    assert [int(record.name[:4]) for record in records] == list(range(1, len(records) + 1))
    for record in records:
        parts = re.findall(r"^\*\*(\w+)\.\*\*", record.read_text(), re.M)
        assert parts == ["Context", "Choice", "Consequence"]


def test_the_changelog_has_this_version() -> None:
    from zoo_core import __version__

    assert f"\n## [{__version__}]" in (ROOT / "CHANGELOG.md").read_text()


def test_the_ladders_page_has_the_registrys_figures() -> None:

    from zoo_core.registry import Registry

    page = (Path(__file__).parent.parent / "docs" / "ladder.md").read_text("utf-8")
    rows = re.findall(r"^\| `([\w.-]+)` \| ([\d,]+) \|.* ([\d.]+) \|$", page, re.M)
    entries = Registry.load().entries
    assert len(rows) == 16
    for name, numbers, nats in rows:
        value = entries[name].metric("test_nll").value
        assert float(nats) == pytest.approx(value, abs=0.0051), name
        assert numbers == f"{entries[name].weights.parameters:,}", name
