"""What a style draws: options of the drawing package, and which people are held out."""

from zoo_core.data.faces.people import matches, person_of
from zoo_core.data.faces.styles import PERSONAS, TOON_HEAD, Attribute, Style


def test_red_hair_with_a_beard_and_green_clothes_with_black_hair_are_held_out() -> None:
    plain = person_of(TOON_HEAD, 0)
    red = {**plain, "hair_colour": "red", "beard": "full"}
    green = {**plain, "hair_colour": "black", "clothes_colour": "green"}
    assert matches(red, TOON_HEAD.held_out) and matches(green, TOON_HEAD.held_out)
    assert not matches({**red, "beard": "none"}, TOON_HEAD.held_out)
    assert not matches({**green, "hair_colour": "red"}, TOON_HEAD.held_out)


def test_a_value_is_a_variant_or_a_colour() -> None:
    eyes = Attribute("eyes", {"wide": "wide2", "winking": "wink"})
    beard = Attribute("beard", {"none": None, "full": "full1"})
    hair = Attribute("hair", {"red": "c0392b"}, colour=True, also=("beard",))
    assert eyes.options("wide") == {"eyesVariant": ["wide2"]}
    assert beard.options("full") == {"beardVariant": ["full1"], "beardProbability": 100}
    assert beard.options("none") == {"beardProbability": 0}
    assert hair.options("red") == {"hairColor": ["c0392b"], "beardColor": ["c0392b"]}
    style = Style("x", {"scale": 80}, {"eyes": eyes, "beard": beard})
    person = {"eyes": "winking", "beard": "none"}
    assert style.values == {"eyes": ("wide", "winking"), "beard": ("none", "full")}
    expected = {"scale": 80, "eyesVariant": ["wink"], "beardProbability": 0}
    assert style.options(person) == expected


def test_both_styles_have_the_same_colours_of_hair_and_skin() -> None:
    for name in ("hair_colour", "skin"):
        assert TOON_HEAD.attributes[name].values == PERSONAS.attributes[name].values
