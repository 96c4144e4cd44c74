"""Drawn faces: who is in which split, what is said of them, and the file they are read from."""

import random
from pathlib import Path
from typing import Any

import pytest
import torch

from zoo_core.data import Dataset, load_dataset
from zoo_core.data.faces import counterfactual, drawing, sets
from zoo_core.data.faces.captions import caption, phrases
from zoo_core.data.faces.people import matches, person_of, share_out
from zoo_core.data.faces.styles import PERSONAS, TOON_HEAD, Style
from zoo_core.errors import DigestMismatch, InvalidInput, UnknownName

SMALL = {"train": 300, "validation": 30, "test": 60}
STYLES = pytest.mark.parametrize("style", [TOON_HEAD, PERSONAS], ids=lambda style: style.name)


@pytest.fixture
def drawn() -> None:
    """Skip where what draws is not installed."""
    try:
        drawing.check_packages()
    except InvalidInput as error:
        pytest.skip(str(error))


def rows(n: int = 6) -> Dataset:
    """The first rows of faces:train, drawn here and now."""
    labels = share_out(TOON_HEAD, {"train": n, "validation": 0, "test": 0}, 0, "faces")["train"]
    x = drawing.draw([sets._job(TOON_HEAD, number) for number in labels.tolist()], 64)
    return Dataset("faces", "train", x, 256, labels, attributes=TOON_HEAD.values)


# Who they are


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


def test_red_hair_with_a_beard_and_green_clothes_with_black_hair_are_held_out() -> None:
    plain = person_of(TOON_HEAD, 0)
    red = {**plain, "hair_colour": "red", "beard": "full"}
    green = {**plain, "hair_colour": "black", "clothes_colour": "green"}
    assert matches(red, TOON_HEAD.held_out) and matches(green, TOON_HEAD.held_out)
    assert not matches({**red, "beard": "none"}, TOON_HEAD.held_out)
    assert not matches({**green, "hair_colour": "red"}, TOON_HEAD.held_out)


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


def test_columns_are_of_data_that_have_attributes() -> None:
    with pytest.raises(
        UnknownName, match=r"bars-and-stripes has no attribute 'skin'\. It has none"
    ):
        load_dataset("bars-and-stripes").column("skin")


# What is said of them


def test_captions_say_only_what_is_drawn() -> None:
    person = {name: values[-1] for name, values in TOON_HEAD.values.items()}
    wordings = {value for i in range(40) for value in phrases(person, random.Random(i)).values()}
    for text in (caption(person, i) for i in range(40)):
        rest = text
        for wording in sorted(wordings, key=len, reverse=True):
            rest = rest.replace(wording, "")
        assert not set(rest.replace("and", "").split()) - {
            "a",
            "face",
            "someone",
            "person",
            "with",
            ",",
        }
        assert "yellow" not in text or "turtleneck" in text or "roll-neck" in text


def test_captions_vary_and_each_row_has_always_the_same() -> None:
    person = person_of(TOON_HEAD, 123456)
    texts = [caption(person, i) for i in range(50)]
    assert len(set(texts)) > 40 and texts == [caption(person, i) for i in range(50)]
    assert all(person["hair_colour"] in text and "{" not in text for text in texts)


# What is drawn


@pytest.mark.usefixtures("drawn")
def test_faces_lie_on_white_and_no_two_are_alike() -> None:
    faces = rows()
    assert faces.event_shape == (3, 64, 64) and faces.x.dtype == torch.uint8
    assert (faces.x[:, :, 5, 0] == 255).all()
    assert len({x.numpy().tobytes() for x in faces.x}) == len(faces)


@pytest.mark.usefixtures("drawn")
def test_a_counterfactual_is_the_same_person_with_one_thing_changed() -> None:
    faces = rows()
    same = counterfactual(faces)
    assert torch.equal(same.x, faces.x)
    red = counterfactual(faces, hair_colour="red")
    assert set(red.column("hair_colour").tolist()) == {TOON_HEAD.values["hair_colour"].index("red")}
    others = [name for name in faces.attributes if name != "hair_colour"]
    assert all(torch.equal(red.column(name), faces.column(name)) for name in others)
    assert all("red" in text for text in red.texts)
    blue = counterfactual(faces, clothes_colour="blue").x
    assert torch.equal(blue[:, :, :32], faces.x[:, :, :32]) and not torch.equal(blue, faces.x)


@pytest.mark.usefixtures("drawn")
@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"hair_color": "red"}, "'hair_color' is not an attribute of faces. Did you mean hair_"),
        ({"skin": "green"}, "'green' is not a value of skin of faces"),
    ],
)
def test_an_unknown_change_is_refused(changes: dict[str, str], text: str) -> None:
    with pytest.raises(UnknownName, match=text):
        counterfactual(rows(1), **changes)


def test_other_data_have_no_counterfactuals() -> None:
    with pytest.raises(InvalidInput, match="bars-and-stripes has no counterfactuals"):
        counterfactual(load_dataset("bars-and-stripes"), skin="dark")


@pytest.mark.usefixtures("drawn")
def test_workers_draw_what_is_drawn_here() -> None:
    faces = rows(4)
    jobs = [sets._job(TOON_HEAD, number) for number in faces.labels.tolist()]  # type: ignore[union-attr]
    assert torch.equal(drawing.draw(jobs, 64, name="faces"), faces.x)


@pytest.mark.usefixtures("drawn")
def test_a_worker_that_fails_is_an_error_that_says_why() -> None:
    with pytest.raises(InvalidInput, match=r"faces could not be drawn: .*nobody"):
        drawing.draw([("nobody", {})], 64, name="faces")


# The file


def test_a_set_is_made_once_and_read_ever_after(tmp_path: Path) -> None:
    made: list[int] = []

    def make() -> dict[str, torch.Tensor]:
        made.append(1)
        return {"train.x": torch.arange(3), "test.x": torch.arange(2)}

    path = tmp_path / "drawn" / "set.safetensors"
    for split, n in (("train", 3), ("test", 2), ("train", 3)):
        assert len(drawing.stored(path, split, make)["x"]) == n
    assert made == [1] and not list(tmp_path.rglob("*.partial"))


def test_other_pixels_than_expected_are_not_kept(tmp_path: Path) -> None:
    path = tmp_path / "set.safetensors"
    tensors = {"train.x": torch.arange(3)}
    with pytest.raises(DigestMismatch, match="not those that models were trained on"):
        drawing.stored(path, "train", lambda: tensors, digest="0" * 64)
    assert not path.exists()
    drawing.stored(path, "train", lambda: tensors, digest=drawing.digest_of(tensors))
    assert path.exists()


def test_without_the_packages_one_sentence_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def absent(name: str) -> str:
        raise drawing.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(drawing.metadata, "version", absent)
    with pytest.raises(InvalidInput, match=r"not installed: pip install 'zoo-core\[faces\]'"):
        load_dataset("faces", root=tmp_path)
    monkeypatch.setattr(drawing.metadata, "version", lambda name: "0.1")
    with pytest.raises(InvalidInput, match="other versions draw other pixels: there are dicebear"):
        load_dataset("faces", root=tmp_path)


# Any other style


@pytest.mark.usefixtures("drawn")
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


@pytest.mark.usefixtures("drawn")
def test_any_other_style_and_size_is_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sets, "SIZES", {"train": 20, "validation": 2, "test": 2})
    data = {s: load_dataset("dicebear-micah-24", split=s, root=tmp_path) for s in sets.SIZES}
    assert [len(part) for part in data.values()] == [20, 2, 2]
    assert data["train"].event_shape == (3, 24, 24)
    pictures = {x.numpy().tobytes() for part in data.values() for x in part.x}
    assert len(pictures) == 24
