"""Who is drawn, and in which split."""

import pytest
import torch

from zoo_core.data import Dataset
from zoo_core.data.faces.people import matches, person_of, share_out
from zoo_core.data.faces.styles import PERSONAS, TOON_HEAD, Style

SMALL = {"train": 300, "validation": 30, "test": 60}


STYLES = pytest.mark.parametrize("style", [TOON_HEAD, PERSONAS], ids=lambda style: style.name)


@STYLES
def test_nobody_is_in_two_splits_and_the_same_seed_gives_the_same_people(style: Style) -> None:
    parts = share_out(style, SMALL, 0, "seed")
    numbers = torch.cat([*parts.values()])
    assert {split: len(part) for split, part in parts.items()} == SMALL
    assert len(numbers.unique()) == sum(SMALL.values())
    again, other = (share_out(style, SMALL, 0, seed)["train"] for seed in ("seed", "another"))
    assert torch.equal(parts["train"], again) and not torch.equal(parts["train"], other)


def test_what_is_held_out_is_in_the_last_rows_of_the_test_split_alone() -> None:
    parts = share_out(TOON_HEAD, SMALL, 20, "seed")
    held_out = {
        split: [matches(person_of(TOON_HEAD, n), TOON_HEAD.held_out) for n in part.tolist()]
        for split, part in parts.items()
    }
    assert not any(held_out["train"] + held_out["validation"] + held_out["test"][:-20])
    assert all(held_out["test"][-20:])


def test_nothing_that_is_hidden_is_drawn() -> None:
    people = [
        person_of(TOON_HEAD, n) for n in share_out(TOON_HEAD, SMALL, 0, "x")["train"].tolist()
    ]
    assert not any(matches(person, TOON_HEAD.hidden) for person in people)
    assert any(person["beard"] == "long" for person in people)


@STYLES
def test_skins_are_equally_frequent_and_a_half_or_more_have_no_beard(style: Style) -> None:
    people = [
        person_of(style, n) for n in share_out(style, {"test": 4000}, 0, "x")["test"].tolist()
    ]
    beardless = sum(person["beard"] == "none" for person in people) / len(people)
    skins = [sum(p["skin"] == skin for p in people) / 4000 for skin in style.values["skin"]]
    # of toon heads fewer have one: not with each mouth, and not with red hair
    assert abs(beardless - (0.66 if style is TOON_HEAD else 0.5)) < 0.03
    assert all(abs(share - 0.2) < 0.03 for share in skins)


@STYLES
def test_a_number_is_what_its_attributes_make(style: Style) -> None:
    numbers = share_out(style, SMALL, 0, "x")["train"]
    data = Dataset("x", "train", numbers[:, None].byte(), 256, numbers, attributes=style.values)
    for name, values in style.values.items():
        column = data.column(name).tolist()
        assert [values[place] for place in column[:20]] == [
            person_of(style, number)[name] for number in numbers[:20].tolist()
        ]
