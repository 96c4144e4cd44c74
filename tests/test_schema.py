import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zoo_core.errors import InvalidRegistry
from zoo_core.registry import Registry
from zoo_core.schema import parse

Make = Callable[..., dict[str, Any]]


Write = Callable[..., Path]


BROKEN: list[tuple[dict[str, Any], str]] = [
    ({"name": "NADE.mnist"}, "name is 'NADE.mnist'; expected architecture.variant in lower case"),
    ({"name": "nade"}, "name is 'nade'; expected architecture.variant"),
    ({"name": "vae.mnist"}, "the name must start with its architecture, 'nade.'"),
    ({"name": None}, "entry 1: name is missing; expected architecture.variant"),
    ({"name": 3}, "entry 1: name is 3; expected architecture.variant"),
    ({"licens": "MIT"}, "unknown key 'licens'. Did you mean licence? Allowed: name, summary,"),
    ({"weights__sha": "a"}, "unknown key 'weights.sha'. Did you mean sha256?"),
    ({"weights__sha256": "abc"}, "weights.sha256 is 'abc'; expected 64 hexadecimal digits"),
    ({"weights__sha256": "A" * 64}, "expected 64 hexadecimal digits in lower case"),
    ({"weights__bytes": -1}, "weights.bytes is -1; expected the file's size, a whole number"),
    ({"weights__bytes": True}, "weights.bytes is True; expected the file's size"),
    (
        {"weights__parameters": 1.5},
        "weights.parameters is 1.5; expected the number of parameters",
    ),
    ({"weights__url": None}, "weights.url is missing; expected a path relative to the registry"),
    ({"weights": "x.bin"}, "weights is 'x.bin'; expected a table with url, sha256, bytes"),
    ({"summary": ""}, "summary is ''; expected one line of text"),
    ({"summary": "red\x1b[31m"}, "summary is 'red\\x1b[31m'; expected one line of text"),
    ({"tasks": "sample"}, "tasks is 'sample'; expected a list of tasks"),
    ({"requires": "?"}, "requires is '?'; expected a distribution and version range"),
    ({"family": None}, "family is missing; expected a family's name"),
    ({"licence__weights": None}, "licence.weights is missing; expected an SPDX identifier"),
    ({"paper__year": 11}, "paper.year is 11; expected a year"),
    ({"config": [1]}, "config is [1]; expected a table of numbers"),
    (
        {"metrics": [{"name": "test_nll"}]},
        "metrics[0].value is missing; expected a finite number",
    ),
    ({"metrics": {"name": "x"}}, "expected an array of tables, [[entry.metrics]]"),
]


@pytest.mark.parametrize(("changes", "text"), BROKEN)
def test_a_broken_entry_is_named_with_what_is_allowed(
    entry: Make, write_registry: Write, changes: dict[str, Any], text: str
) -> None:
    path = write_registry(entry(**changes))
    with pytest.raises(InvalidRegistry) as caught:
        Registry.load([path])
    message = str(caught.value)
    assert message.startswith(f"{path}: entry ")
    assert text in message


FILES: list[tuple[bytes, str]] = [
    (b"", "schema is missing; expected 1, the schema that this version of zoo reads"),
    (b"schema = 2", "schema is 2; expected 1, the schema that this version of zoo reads"),
    (b"schema = 1\nentries = []", "unknown key 'entries'. Did you mean entry?"),
    (b"schema = 1\nentry = 3", "entry is 3; expected an array of tables, [[entry]]"),
    (b"schema = ", "not TOML: Invalid value"),
    (b"schema = 1 # \xff", "not UTF-8 text"),
    (b"schema = 1\n" + b"a." * 300 + b"a = 1", "line 2 has 300 dots; expected at most 100"),
    (b"schema = " + b"9" * 5000, "not TOML: Exceeds the limit (4300 digits)"),
    (b"schema = 0x" + b"f" * 5000, "schema is a number with thousands of digits; expected 1"),
    (b"x = " + b"[" * 100_000, "nested too deeply to be a registry"),
    (b"schema = 1\nentry = [{config = {day = 1979-05-27}}]", "name is missing"),
]


@pytest.mark.parametrize(("data", "text"), FILES)
def test_a_broken_file_is_named_with_what_is_wrong(data: bytes, text: str) -> None:
    with pytest.raises(InvalidRegistry) as caught:
        parse(data, "some/registry.toml")
    assert str(caught.value).startswith("some/registry.toml: ")
    assert text in str(caught.value)


@pytest.mark.parametrize("depth", [20, 60, 400])
def test_a_deep_config_is_parsed_or_refused(entry: Make, write_registry: Write, depth: int) -> None:
    path = write_registry(entry())
    opening = ("{" + "a." * 90 + "a = [\n") * depth
    path.write_text(path.read_text().replace("hidden = 500", f"hidden = {opening}{']}' * depth}"))
    with pytest.raises(InvalidRegistry, match="nested too deeply to be a registry"):
        Registry.load([path])


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_any_damage_to_a_file_is_a_registry_or_our_error(data: st.DataObject) -> None:
    good = bytearray(b"schema = 1\n[[entry]]\nname = 'a.b'\nconfig = {x = [1, 2.5, 'y']}\n")
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(good)))
        good[at : at + data.draw(st.integers(0, 5))] = data.draw(st.binary(max_size=5))
    try:
        assert json.loads(json.dumps(parse(bytes(good), "file")))["schema"] == 1
    except InvalidRegistry as error:
        assert str(error).startswith("file: ")


def test_a_config_holds_what_json_can(entry: Make, write_registry: Write) -> None:
    path = write_registry(entry())
    path.write_text(path.read_text().replace("hidden = 500", "day = 1979-05-27"))
    with pytest.raises(InvalidRegistry, match="expected a table of numbers, texts, booleans"):
        Registry.load([path])


def test_deprecated_has_a_successor(
    entry: Callable[..., dict[str, Any]], write_registry: Callable[..., Path]
) -> None:
    with pytest.raises(InvalidRegistry, match=r"deprecated.successor is missing"):
        Registry.load([write_registry(entry(deprecated={"reason": "old"}))])
