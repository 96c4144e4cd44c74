"""The generated pages are those that the registry gives, and each entry has its picture."""

import importlib.util
import re
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from PIL import Image

from zoo_core.errors import InvalidInput
from zoo_core.output import read_provenance
from zoo_core.registry import Entry, Registry

DOCS = Path(__file__).parent.parent / "docs"


def _imported(name: str) -> ModuleType:
    """Import a file of the documentation's, which is no package."""
    spec = importlib.util.spec_from_file_location(name, DOCS / f"{name}.py")
    assert spec is not None and spec.loader is not None
    sys.modules[name] = module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


generate = _imported("generate")
ENTRIES: list[Entry] = generate.entries()


def test_the_pages_are_what_the_generator_writes() -> None:
    wanted = generate.pages(ENTRIES)
    old = [path.name for path, text in wanted.items() if not _holds(path, text)]
    assert not old, "uv run python docs/generate.py"
    assert set((DOCS / "models").glob("*.md")) < set(wanted)


def _holds(path: Path, text: str) -> bool:
    return path.is_file() and path.read_text("utf-8") == text


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
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


def test_each_picture_has_a_text_and_leads_to_its_card() -> None:
    gallery = (DOCS / "gallery" / "index.md").read_text("utf-8")
    for entry in ENTRIES:
        card = f"../models/{entry.name}.md"
        image = rf"\[!\[([^]]+)\]\(\.\./models/pictures/{re.escape(entry.name)}\.png\)"
        assert re.search(rf"{image}{{[^}}]*}}\]\({re.escape(card)}\)", gallery), entry.name
    facets = re.findall(r'data-family="(.+?)" data-data="(.+?)" data-kind="(.+?)"', gallery)
    assert facets == [(e.family, e.data, generate.kind(e)) for e in ENTRIES]


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
    assert "| Kind | implicit: it draws samples and gives no likelihood |" in card
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
    recipe.write_text('architecture = "nade"\n')
    card = generate.pages([entry])[DOCS / "models" / "nade.made-up.md"]
    assert (
        "| `test_nll` | 86.1 nats (±0.05) | 85.65 nats | `data = mnist:test`, `seed = 0` |" in card
    )
    assert "Published `test_nll`: table 2." in card
    assert '```toml\narchitecture = "nade"\n```' in card
    assert "| Kind | explicit, by a bound: " in card
    assert "van den Oord, Li & Wu et al. (2016). On X &#124; Y |" in card
    assert "@misc{vandenoord2016," in card
    assert "author = {{van den Oord} and Li and Wu and others}," in card


def test_what_does_not_sample_is_drawn_as_it_is_told(made: Callable[..., Entry]) -> None:
    entry = made(tasks=["translate"])
    with pytest.raises(InvalidInput, match=r"generate\.py nade\.made-up -- --task translate"):
        generate.draw(entry)
