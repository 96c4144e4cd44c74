"""What is published: a run or an entry, under a licence."""

from pathlib import Path

import pytest

from zoo_core.errors import UnknownName, ZooError
from zoo_core.publishing import Item

LICENCES = {"weights": "CC0-1.0", "code": "Apache-2.0"}


def test_a_run_is_an_item_under_the_licence_that_is_given(runs: Path) -> None:
    item = Item.of(str(runs / "bernoulli.one"))
    assert item.name == "bernoulli.one"
    assert item.weights.read_bytes()
    assert len(item.sha256) == 64
    assert item.licensed(LICENCES).sha256 == item.sha256


def test_an_entry_is_an_item_too(runs: Path) -> None:
    assert Item.of("bernoulli.nltcs").name == "bernoulli.nltcs"


def test_what_is_no_run_and_no_entry(runs: Path, tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match=r"no entry is named 'bernoulli\.nltsc'"):
        Item.of("bernoulli.nltsc")
    with pytest.raises(ZooError):
        Item.of(str(tmp_path))
