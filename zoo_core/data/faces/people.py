"""Rows of attributes, no two alike, divided among the splits before any picture is drawn.

The streams are Python's Mersenne Twister, seeded by a text: the same people on every machine.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice

import torch
from torch import Tensor

from zoo_core.data.faces.styles import Style

__all__ = ["Person", "matches", "more_unseen", "people", "person_of", "share_out"]

Person = Mapping[str, str]
"""The value of each attribute."""


def matches(person: Person, rules: Sequence[Mapping[str, frozenset[str]]]) -> bool:
    """Whether a person has the values of one of the rules together."""
    return any(all(person[key] in values for key, values in rule.items()) for rule in rules)


def people(style: Style, seed: str) -> Iterator[Person]:
    """Sample people, no two alike: values are equally probable, and one half is without a beard."""
    stream, seen = random.Random(seed), set()
    while True:
        person = {name: _value(values, stream) for name, values in style.values.items()}
        key = tuple(person.values())
        if key not in seen and not matches(person, style.hidden):
            seen.add(key)
            yield person


def _value(values: Sequence[str], stream: random.Random) -> str:
    if "none" in values:
        if stream.random() < 0.5:
            return "none"
        values = [value for value in values if value != "none"]
    return values[int(stream.random() * len(values))]


def share_out(style: Style, sizes: Mapping[str, int], unseen: int, seed: str) -> dict[str, Tensor]:
    """People of each split, as numbers (N,), int64; no one is in two of them.

    Args:
        style: what they have.
        sizes: number of people of each split.
        unseen: of those of the test split, how many have what is held out; they come last.
        seed: of the stream.
    """
    usual: list[Person] = []
    rare: list[Person] = []
    wanted = sum(sizes.values()) - unseen
    for person in people(style, seed):
        into, room = (rare, unseen) if matches(person, style.held_out) else (usual, wanted)
        if len(into) < room:
            into.append(person)
        if len(usual) == wanted and len(rare) == unseen:
            break
    rows = torch.tensor([_number(style, person) for person in usual])
    counts = [size - unseen if split == "test" else size for split, size in sizes.items()]
    parts = dict(zip(sizes, rows.split(counts), strict=True))
    if unseen:
        last = torch.tensor([_number(style, person) for person in rare])
        parts["test"] = torch.cat([parts["test"], last])
    return parts


def more_unseen(style: Style, n: int, seed: str, after: int) -> Tensor:
    """People with held-out combinations, as numbers (n,), beyond those of the test split.

    after: how many of them the test split has.
    """
    rare = (person for person in people(style, seed) if matches(person, style.held_out))
    return torch.tensor([_number(style, person) for person in islice(rare, after, after + n)])


def _number(style: Style, person: Person) -> int:
    """The number that a person's values make, the last one changing fastest."""
    number = 0
    for name, values in style.values.items():
        number = number * len(values) + values.index(person[name])
    return number


def person_of(style: Style, number: int) -> dict[str, str]:
    """The person that a number stands for."""
    person: dict[str, str] = {}
    for name, values in reversed(style.values.items()):
        number, place = divmod(number, len(values))
        person[name] = values[place]
    return {name: person[name] for name in style.values}
