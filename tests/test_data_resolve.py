"""Specs: their grammar, what exists before it, where data lie, and names that are unknown."""

import gzip
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import zoo_core
from factories import pictures
from zoo_core import errors
from zoo_core.data import data_root, load_dataset, load_images
from zoo_core.data.resolve import absolute_spec, check_fitted, parse_spec


@pytest.mark.parametrize(
    ("spec", "parts"),
    [
        ("mnist", ("mnist", None, slice(None))),
        ("mnist:test", ("mnist", "test", slice(None))),
        ("mnist:valid[5:]", ("mnist", "validation", slice(5, None))),
        ("mnist[:-3]", ("mnist", None, slice(None, -3))),
        ("hf://user/name", ("hf://user/name", None, slice(None))),
        ("hf://user/name:test[0:9]", ("hf://user/name", "test", slice(0, 9))),
        ("./a folder/x.csv:train", ("./a folder/x.csv", "train", slice(None))),
    ],
)
def test_specs_come_apart(spec: str, parts: tuple[str, str | None, slice]) -> None:
    assert parse_spec(spec) == parts


def test_an_unknown_split_gets_a_near_match() -> None:
    with pytest.raises(errors.InvalidInput) as caught:
        load_dataset("mnist:tset")
    text = "split 'tset' is unknown: expected train, validation, test. Did you mean test?"
    assert str(caught.value) == text


def test_two_splits_that_differ_are_refused() -> None:
    with pytest.raises(errors.InvalidInput, match="names the split test, but train was requested"):
        load_dataset("bars-and-stripes:test", split="train")


def test_no_rows_are_refused() -> None:
    with pytest.raises(errors.InvalidInput, match=r"'bars-and-stripes\[99:9\]' selects no rows"):
        load_dataset("bars-and-stripes[99:9]")


def test_an_unknown_name_gets_near_matches_and_what_is_accepted(tmp_path: Path) -> None:
    with pytest.raises(errors.UnknownName) as caught:
        load_dataset("mnits", root=tmp_path)
    text = str(caught.value)
    assert "data set 'mnits' is unknown. Did you mean mnist" in text
    assert "bars-and-stripes" in text
    assert f"{tmp_path}; data_root or ZOO_DATA names another folder of data sets" in text
    assert "hf://user/name" in text


@pytest.mark.parametrize("name", ["nope.csv", "nope.png"])
def test_a_file_that_is_not_there_is_no_name_of_a_set(name: str, tmp_path: Path) -> None:
    with pytest.raises(errors.UnknownName, match=f"there is no file {name}, neither here nor "):
        load_dataset(name, root=tmp_path)


def test_an_empty_spec_is_refused() -> None:
    with pytest.raises(errors.InvalidInput, match="expected a name, name:split"):
        load_dataset("")


def test_the_root_is_the_argument_then_the_variable_then_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert data_root() == tmp_path / "zoo-home" / "data"
    monkeypatch.setenv("ZOO_DATA", str(tmp_path / "there"))
    assert data_root() == tmp_path / "there"
    assert data_root("here") == Path("here")


def test_a_file_of_another_kind(tmp_path: Path) -> None:
    with gzip.open(tmp_path / "x.gz", "wb") as file:
        file.write(b"0,1")
    with pytest.raises(errors.InvalidInput, match=r"is no data set: expected a table \(\.csv"):
        load_dataset(str(tmp_path / "x.gz"))


@pytest.mark.parametrize("spec", ["time_10:30", "time_10:test", "take[0:3]", "take[0]"])
def test_what_exists_comes_before_the_grammar(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spec: str
) -> None:
    monkeypatch.chdir(tmp_path)
    pictures(tmp_path / spec, 40)
    assert len(load_dataset(spec)) == 36
    assert len(load_dataset(f"{spec}:test[0:1]")) == 1
    assert len(load_images([spec], shape=(1, 8, 8)).data) == 40
    assert len(load_images([f"{spec}:validation"], shape=(1, 8, 8)).data) == 2
    monkeypatch.chdir("/")
    assert len(load_dataset(f"{spec}[0:5]", root=tmp_path)) == 5


def test_the_name_of_a_standard_set_means_that_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pictures(tmp_path / "mnist", 40)
    monkeypatch.chdir(tmp_path)
    for load in (
        lambda: load_dataset("mnist", root=tmp_path),
        lambda: load_images(["mnist"], shape=(1, 8, 8), root=tmp_path),
    ):
        with pytest.raises(errors.InvalidInput, match="the files of mnist are not in"):
            load()
    assert len(load_dataset("./mnist")) == 36


@pytest.mark.parametrize(
    ("spec", "text"),
    [
        ("mnist:test[0]", "name:split[a:b]; one row is mnist:test[0:1]."),
        ("mnist:test[17]", "name:split[a:b]; one row is mnist:test[17:18]."),
        ("mnist:test[0:5", "expected a name, name:split or name:split[a:b]."),
        ("mnist[1:2:3]", "expected a name, name:split or name:split[a:b]."),
        ("mnist[a:b]", "expected a name, name:split or name:split[a:b]."),
        (f"mnist[0:{'9' * 5000}]", "expected a name, name:split or name:split[a:b]."),
    ],
)
@pytest.mark.parametrize(
    "load", [load_dataset, lambda spec: load_images([spec], shape=(1, 28, 28))]
)
def test_a_spec_that_is_none_is_told_the_grammar(
    spec: str, text: str, load: Callable[[str], object]
) -> None:
    with pytest.raises(errors.InvalidInput) as caught:
        load(spec)
    assert text in str(caught.value)
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize("spec", ["x" * 5000, "a/" * 5000, "a\0b", "\x1bc", "\udcff"])
@pytest.mark.parametrize(
    "load", [load_dataset, lambda spec: load_images([spec], shape=(1, 28, 28))]
)
def test_no_name_is_too_odd_to_be_unknown(spec: str, load: Callable[[str], object]) -> None:
    with pytest.raises(errors.UnknownName, match="is unknown") as caught:
        load(spec)
    assert str(caught.value).isprintable()


def test_the_home_of_nobody(tmp_path: Path) -> None:
    with pytest.raises(errors.InvalidInput, match="there is no user 'nouser' with a home"):
        load_dataset("~nouser/pictures")
    with pytest.raises(errors.InvalidInput, match="there is no user 'nouser' with a home"):
        load_images(["~nouser/a.png"], shape=(1, 8, 8))


def test_a_file_from_here_has_a_whole_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a.csv").touch()
    assert absolute_spec("a.csv[0:9]") == f"{tmp_path / 'a.csv'}[0:9]"
    assert [absolute_spec(spec) for spec in ("mnist", "b.csv", "hf://a/b")] == [
        *("mnist", "b.csv", "hf://a/b")
    ]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"size": "64"}, "size is '64'; expected a height and width in pixels, 1 or more"),
        ({"size": 2.5}, "size is 2.5; expected"),
        ({"size": -1}, "size is -1; expected"),
        ({"size": True}, "size is True; expected"),
        ({"gray": "no"}, "gray='no': expected True or False"),
        ({"columns": "a"}, "columns='a': expected kinds by names of columns"),
    ],
)
def test_arguments_of_another_type_are_refused(arguments: dict[str, Any], said: str) -> None:
    with pytest.raises(errors.InvalidInput, match=re.escape(said)):
        load_dataset("bars-and-stripes", **arguments)
    with pytest.raises(errors.InvalidInput, match="data=3: expected the name of a data set"):
        load_dataset(3)  # type: ignore[call-overload]


@pytest.mark.parametrize(
    ("size", "gray", "given"), [(5, False, "size=5"), (None, True, "gray=True")]
)
def test_a_size_that_would_be_ignored_is_refused(
    tmp_path: Path, size: int | None, gray: bool, given: str
) -> None:
    (tmp_path / "t.csv").write_text("1,0\n" * 40)
    with pytest.raises(
        errors.InvalidInput, match=f"{given} would be ignored: .* holds 2 categories"
    ):
        check_fitted(load_dataset(str(tmp_path / "t.csv")), size, gray)
    bars = load_dataset("bars-and-stripes")
    check_fitted(bars, 3, True)
    if size:
        with pytest.raises(errors.InvalidInput, match=given):
            check_fitted(bars, size, gray)


def test_a_password_is_not_shown_of_an_address_that_is_no_data_set(tmp_path: Path) -> None:
    with pytest.raises(
        errors.UnknownName, match=r"data set 'http://…@a\.org/rows\.csv\?sig=…' is unk"
    ):
        load_dataset("http://me:secret@a.org/rows.csv?sig=secret", root=tmp_path)


def test_data_are_named_by_a_path_object_too(tmp_path: Path) -> None:
    (path := tmp_path / "t.csv").write_text("a,b\n" + "0,1\n1,1\n" * 20)
    assert torch.equal(load_dataset(path).x, load_dataset(str(path)).x)
    (standing,) = zoo_core.compare(zoo_core.create("bernoulli", shape=(2,)).eval(), data=path)
    assert standing.nats is not None and standing.nats.n == len(load_dataset(path, split="test"))
