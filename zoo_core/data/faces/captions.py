"""Captions by a small grammar: several wordings, and nothing that is not visible.

"Long wavy red hair, a full beard, lowered eyes and a green shirt": hair is always mentioned, and
some of the rest, in any order. Whether someone is a woman, or smiles, is not known.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence

__all__ = ["caption", "mentions", "phrases"]

_FRONT = {
    "bun": ("{c} hair in a bun", "a {c} bun"),
    "parted": ("side-parted {c} hair", "{c} hair with a side parting"),
    "spiky": ("spiky {c} hair", "{c} spikes of hair"),
    "short": ("short {c} hair", "cropped {c} hair"),
}
_BACK = {
    "straight": ("long straight {c} hair", "straight, long {c} hair"),
    "wavy": ("long wavy {c} hair", "wavy, long {c} hair"),
    "neck": ("neck-length {c} hair", "{c} hair down to the neck"),
    "shoulder": ("shoulder-length {c} hair", "{c} hair down to the shoulders"),
}
_ON_TOP = {
    "bun": "with a bun",
    "parted": "with a side parting",
    "spiky": "with a spiky top",
    "short": "with a cropped top",
}
_BEARDS = {
    "none": ("no beard", "a shaven face"),
    "chin": ("a tuft on the chin", "a small chin beard"),
    "goatee": ("a goatee", "a moustache and a tuft on the chin"),
    "full": ("a full beard", "a trimmed full beard"),
    "long": ("a long beard", "a long, full beard"),
    "moustache": ("a twirled moustache", "a moustache"),
}
_EYES = {
    "laughing": ("laughing eyes", "eyes closed in laughter"),
    "glancing": ("glancing eyes", "eyes that glance aside"),
    "lowered": ("lowered eyes", "eyes that look down"),
    "wide": ("wide eyes", "wide open eyes"),
    "winking": ("a winking eye", "a wink"),
}
_MOUTHS = {
    "round": ("a round mouth", "a mouth that says oh"),
    "angry": ("an angry mouth", "bared teeth"),
    "laughing": ("a laughing mouth", "a laugh"),
    "sad": ("a sad mouth", "a mouth turned down"),
    "smiling": ("a smiling mouth", "a smile"),
}
_CLOTHES = {
    "dress": ("{a} {c} dress", "{a} {c} sleeveless dress"),
    "jacket": ("{a} {c} jacket", "an open {c} jacket"),
    "shirt": ("{a} {c} shirt", "{a} {c} shirt with a collar"),
    "t-shirt": ("{a} {c} T-shirt", "{a} {c} tee"),
    "turtleneck": ("{a} {c} turtleneck", "{a} {c} roll-neck"),
}
_ATTRIBUTES = {
    "hair": ("hair", "back_hair", "hair_colour"),
    "clothes": ("clothes", "clothes_colour"),
}
"""What phrases of more than one attribute name."""
_OPENINGS = ("", "", "a face with ", "someone with ", "a person with ")


def phrases(person: Mapping[str, str], stream: random.Random) -> dict[str, str]:
    """One wording of each thing that can be said of a person of `faces`."""
    worn = person["clothes_colour"]
    return {
        "hair": _hair(person, stream),
        "skin": f"{person['skin']} skin",
        "beard": _one(_BEARDS[person["beard"]], stream),
        "eyes": _one(_EYES[person["eyes"]], stream),
        "eyebrows": f"{person['eyebrows']} eyebrows",
        "mouth": _one(_MOUTHS[person["mouth"]], stream),
        "clothes": _one(_CLOTHES[person["clothes"]], stream).format(
            a="an" if worn[0] in "aeiou" else "a", c=worn
        ),
    }


def caption(person: Mapping[str, str], seed: int) -> str:
    """A caption of a person; the seed chooses what is mentioned, and how."""
    stream = _stream(seed)
    parts = list(_choose(person, stream).values())
    if stream.random() < 0.5:
        stream.shuffle(parts)
    return _one(_OPENINGS, stream) + ", ".join(parts[:-1]) + " and " + parts[-1]


def mentions(person: Mapping[str, str], seed: int) -> frozenset[str]:
    """The attributes that the caption of a person by a seed names: not hair that is not there."""
    things = _choose(person, _stream(seed))
    names = {name for thing in things for name in _ATTRIBUTES.get(thing, (thing,))}
    return frozenset(names - ({"back_hair"} if person["back_hair"] == "none" else set()))


def _stream(seed: int) -> random.Random:
    return random.Random(f"caption/{seed}")


def _choose(person: Mapping[str, str], stream: random.Random) -> dict[str, str]:
    """The phrases that a caption is made of: of hair, and of two to four other things."""
    hair, *others = phrases(person, stream).items()
    stream.shuffle(others)
    return dict([hair, *others[: 2 + int(stream.random() * 3)]])


def _hair(person: Mapping[str, str], stream: random.Random) -> str:
    front, back, c = person["hair"], person["back_hair"], person["hair_colour"]
    if back == "none":
        return _one(_FRONT[front], stream).format(c=c)
    return f"{_one(_BACK[back], stream).format(c=c)} {_ON_TOP[front]}"


def _one(wordings: Sequence[str], stream: random.Random) -> str:
    return wordings[int(stream.random() * len(wordings))]
