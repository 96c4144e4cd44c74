"""Data sets of drawn faces: pixels, counterfactuals, and any other style."""

from pathlib import Path
from typing import Any

import pytest
import torch

from factories import draw_faces
from zoo_core.data import load_dataset
from zoo_core.data.faces import counterfactual, named_attributes, sets
from zoo_core.data.faces.styles import TOON_HEAD
from zoo_core.errors import InvalidInput, UnknownName


@pytest.mark.usefixtures("dicebear")
def test_faces_lie_on_white_and_no_two_are_alike() -> None:
    faces = draw_faces()
    assert faces.event_shape == (3, 64, 64) and faces.x.dtype == torch.uint8
    assert (faces.x[:, :, 5, 0] == 255).all()
    assert len({x.numpy().tobytes() for x in faces.x}) == len(faces)


@pytest.mark.usefixtures("dicebear")
def test_a_counterfactual_is_the_same_person_with_one_thing_changed() -> None:
    faces = draw_faces()
    same = counterfactual(faces)
    assert torch.equal(same.x, faces.x)
    red = counterfactual(faces, hair_colour="red")
    assert set(red.column("hair_colour").tolist()) == {TOON_HEAD.values["hair_colour"].index("red")}
    others = [name for name in faces.attributes if name != "hair_colour"]
    assert all(torch.equal(red.column(name), faces.column(name)) for name in others)
    assert all("red" in text for text in red.texts)
    blue = counterfactual(faces, clothes_colour="blue").x
    assert torch.equal(blue[:, :, :32], faces.x[:, :, :32]) and not torch.equal(blue, faces.x)


@pytest.mark.usefixtures("dicebear")
@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"hair_color": "red"}, "'hair_color' is not an attribute of faces. Did you mean hair_"),
        ({"skin": "green"}, "'green' is not a value of skin of faces"),
    ],
)
def test_an_unknown_change_is_refused(changes: dict[str, str], text: str) -> None:
    with pytest.raises(UnknownName, match=text):
        counterfactual(draw_faces(1), **changes)


def test_other_data_have_no_counterfactuals() -> None:
    with pytest.raises(InvalidInput, match="bars-and-stripes has no counterfactuals"):
        counterfactual(load_dataset("bars-and-stripes"), skin="dark")


@pytest.mark.usefixtures("dicebear")
def test_captions_name_some_attributes_and_always_the_colour_of_hair() -> None:
    faces = counterfactual(draw_faces())
    named = named_attributes(faces)
    assert named.shape == (len(faces), len(TOON_HEAD.values)) and named.dtype == torch.bool
    assert named[:, list(faces.attributes).index("hair_colour")].all()
    said = named[:, list(faces.attributes).index("skin")]
    assert said.tolist() == ["skin" in text for text in faces.texts]
    with pytest.raises(InvalidInput, match="bars-and-stripes has no captions by a grammar"):
        named_attributes(load_dataset("bars-and-stripes"))


@pytest.mark.usefixtures("dicebear")
@pytest.mark.parametrize(
    ("name", "error", "text"),
    [
        ("dicebear-avataaars-64", InvalidInput, "the style avataaars has terms of its own"),
        ("dicebear-bottts-neutral-64", InvalidInput, "bottts-neutral has terms of its own"),
        ("dicebear-mica-64", UnknownName, "'mica' is unknown. Did you mean micah"),
        ("dicebear-micah-4", InvalidInput, "the size is 4; expected 8 to 512 pixels"),
    ],
)
def test_a_style_that_is_not_offered_is_refused(name: str, error: Any, text: str) -> None:
    with pytest.raises(error, match=text):
        load_dataset(name)


@pytest.mark.usefixtures("dicebear")
def test_any_other_style_and_size_is_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sets, "SIZES", {"train": 20, "validation": 2, "test": 2})
    data = {s: load_dataset("dicebear-micah-24", split=s, root=tmp_path) for s in sets.SIZES}
    assert [len(part) for part in data.values()] == [20, 2, 2]
    assert data["train"].event_shape == (3, 24, 24)
    pictures = {x.numpy().tobytes() for part in data.values() for x in part.x}
    assert len(pictures) == 24


def test_joined_sets_name_an_attribute_each(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = {
        "x": torch.zeros(4, 3, 8, 8, dtype=torch.uint8),
        "labels": torch.tensor([0, 1, 0, 1]),
        "hair_colour": torch.tensor([0, 1, 4, 2]),
        "skin": torch.tensor([3, 4, 2, 0]),
    }
    monkeypatch.setattr(sets, "_two_styles", lambda split, root: rows)
    joint = sets.faces_joint("train", Path())
    hair, skin = (joint.attributes[name] for name in ("hair_colour", "skin"))
    assert [hair[i] for i in joint.column("hair_colour")] == [
        hair[0],
        "unknown",
        hair[4],
        "unknown",
    ]
    assert [skin[i] for i in joint.column("skin")] == ["unknown", skin[4], "unknown", skin[0]]
