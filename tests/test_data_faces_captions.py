"""Captions say what is drawn, in several ways."""

import random

from zoo_core.data.faces.captions import caption, mentions, phrases
from zoo_core.data.faces.people import person_of
from zoo_core.data.faces.styles import TOON_HEAD


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


def test_named_attributes_are_those_whose_values_change_the_caption() -> None:
    person = person_of(TOON_HEAD, 123456) | {"back_hair": "wavy", "beard": "full"}
    for seed in range(30):
        names = mentions(person, seed)
        assert {"hair", "back_hair", "hair_colour"} < names
        for name, values in TOON_HEAD.values.items():
            other = next(value for value in values if value not in (person[name], "none"))
            changed = caption({**person, name: other}, seed) != caption(person, seed)
            assert changed == (name in names)


def test_hair_that_is_not_there_is_not_named() -> None:
    person = person_of(TOON_HEAD, 123456) | {"back_hair": "none"}
    assert not any("back_hair" in mentions(person, seed) for seed in range(10))
