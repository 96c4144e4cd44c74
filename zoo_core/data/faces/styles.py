"""The styles whose faces have named attributes, and what the drawing package is given for each.

Colours are ours, not the styles' own: five of hair and five of skin that are easy to distinguish,
the same in both styles, so that a translation between them can be compared with them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

__all__ = ["PERSONAS", "TOON_HEAD", "Attribute", "Style"]


@dataclass(frozen=True, slots=True)
class Attribute:
    """Something that a face has one of."""

    component: str
    """Of the style: it is drawn in one of several variants, or colours."""
    values: Mapping[str, str | None]
    """Name of each value -> its variant or colour; None where the component is left out."""
    colour: bool = False
    also: tuple[str, ...] = ()
    """Other components that have the same colour."""

    def options(self, value: str) -> dict[str, Any]:
        """What the drawing package is given for a value."""
        chosen = self.values[value]
        if self.colour:
            return {f"{name}Color": [chosen] for name in (self.component, *self.also)}
        if chosen is None:
            return {f"{self.component}Probability": 0}
        shown = {f"{self.component}Probability": 100} if None in self.values.values() else {}
        return {f"{self.component}Variant": [chosen], **shown}


@dataclass(frozen=True, slots=True)
class Style:
    """A style, the attributes of its faces, and which of them go together."""

    name: str
    frame: Mapping[str, Any]
    """Options that all faces share: how large the head is, and where."""
    attributes: Mapping[str, Attribute]
    hidden: Sequence[Mapping[str, frozenset[str]]] = ()
    """Values that are not drawn together: one would hide the other."""
    held_out: Sequence[Mapping[str, frozenset[str]]] = field(default=())
    """Values that are seen together in the last rows of the test split alone."""

    @property
    def values(self) -> dict[str, tuple[str, ...]]:
        """The names of each attribute's values."""
        return {name: tuple(attribute.values) for name, attribute in self.attributes.items()}

    def options(self, person: Mapping[str, str]) -> dict[str, Any]:
        """What the drawing package is given for a person: the value of each attribute."""
        options = dict(self.frame)
        for name, attribute in self.attributes.items():
            options |= attribute.options(person[name])
        return options


def _set(*values: str) -> frozenset[str]:
    return frozenset(values)


def _colours(component: str, values: Mapping[str, str], *also: str) -> Attribute:
    return Attribute(component, values, colour=True, also=also)


_HAIR = {
    "black": "#2c1b18",
    "brown": "#8b5a2b",
    "red": "#c2410c",
    "blond": "#d6b370",
    "grey": "#b8b4b0",
}
_SKIN = {
    "dark": "#5c3829",
    "brown": "#a36b4f",
    "tan": "#c99668",
    "light": "#f1c3a5",
    "pale": "#fbe3d3",
}
_CLOTHES = {
    "black": "#151613",
    "blue": "#0b3286",
    "grey": "#545454",
    "green": "#147f3c",
    "orange": "#f97316",
    "pink": "#ec4899",
    "purple": "#731ac3",
    "red": "#b11f1f",
    "white": "#e8e9e6",
    "yellow": "#eab308",
}
_BEARDS = {
    "none": None,
    "chin": "chin",
    "goatee": "chinMoustache",
    "full": "fullBeard",
    "long": "longBeard",
    "moustache": "moustacheTwirl",
}

TOON_HEAD = Style(
    name="toon-head",
    frame={"scale": 1.15, "translateY": 3},
    attributes={
        "hair": Attribute(
            "hair",
            {"bun": "bun", "parted": "sideComed", "spiky": "spiky", "short": "undercut"},
        ),
        "back_hair": Attribute(
            "rearHair",
            {
                "none": None,
                "straight": "longStraight",
                "wavy": "longWavy",
                "neck": "neckHigh",
                "shoulder": "shoulderHigh",
            },
        ),
        "hair_colour": _colours("hair", _HAIR),
        "skin": _colours("skin", _SKIN),
        "beard": Attribute("beard", _BEARDS),
        "eyes": Attribute(
            "eyes",
            {
                "laughing": "bow",
                "glancing": "happy",
                "lowered": "humble",
                "wide": "wide",
                "winking": "wink",
            },
        ),
        "eyebrows": Attribute(
            "eyebrows",
            {name: name for name in ("angry", "happy", "neutral", "raised", "sad")},
        ),
        "mouth": Attribute(
            "mouth",
            {
                "round": "agape",
                "angry": "angry",
                "laughing": "laugh",
                "sad": "sad",
                "smiling": "smile",
            },
        ),
        "clothes": Attribute(
            "clothes",
            {
                "dress": "dress",
                "jacket": "openJacket",
                "shirt": "shirt",
                "t-shirt": "tShirt",
                "turtleneck": "turtleNeck",
            },
        ),
        "clothes_colour": _colours("clothes", _CLOTHES),
    },
    hidden=[
        # a moustache covers the thin line that a closed mouth is
        {"beard": _set("goatee", "full", "long", "moustache"), "mouth": _set("sad", "smiling")},
        # and a long beard what is at the neck
        {"beard": _set("long"), "clothes": _set("t-shirt", "turtleneck")},
    ],
    held_out=[
        {"hair_colour": _set("red"), "beard": _set(*_BEARDS) - {"none"}},
        {"hair_colour": _set("black"), "clothes_colour": _set("green")},
    ],
)
"""Remix of ToonHead by Johan Melin, CC BY 4.0."""

PERSONAS = Style(
    name="personas",
    frame={"scale": 1.15, "translateY": 3, "noseVariant": ["mediumRound"]},
    attributes={
        "hair": Attribute(
            "hair",
            {
                name: name
                for name in (
                    "bobBangs",
                    "bobCut",
                    "curly",
                    "curlyHighTop",
                    "extraLong",
                    "fade",
                    "long",
                    "pigtails",
                    "shortCombover",
                    "sideShave",
                    "straightBun",
                )
            },
        ),
        "hair_colour": _colours("hair", _HAIR, "facialHair"),
        "skin": _colours("skin", _SKIN),
        "beard": Attribute(
            "facialHair",
            {
                "none": None,
                "full": "beardMustache",
                "goatee": "goatee",
                "walrus": "walrus",
                "pyramid": "pyramid",
            },
        ),
        "eyes": Attribute("eyes", {name: name for name in ("happy", "open", "sleep", "wink")}),
        "mouth": Attribute(
            "mouth",
            {name: name for name in ("bigSmile", "frown", "lips", "smile", "smirk", "surprise")},
        ),
        "clothes": Attribute(
            "clothes", {name: name for name in ("checkered", "rounded", "small", "squared")}
        ),
        "clothes_colour": _colours("clothing", _CLOTHES),
    },
)
"""Remix of Personas by Draftbit, CC BY 4.0."""
