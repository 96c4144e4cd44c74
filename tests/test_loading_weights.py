"""Files of weights, and metadata that describe them."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from factories import METADATA, save_nade
from zoo_core import loading
from zoo_core.errors import InvalidInput, InvalidWeights


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("name", 3),
        ("name", "../out"),
        ("name", "/out"),
        ("name", "a\\b"),
        ("name", ".."),
        ("metrics", [1]),
        ("versions", "1"),
        ("licence", "MIT"),
        ("classes", "cat"),
        ("classes", ["cat", 1]),
        ("columns", {}),
        ("licence", {"code": "MIT\n", "weights": "MIT"}),
        ("licence", {"code": 1, "weights": "MIT"}),
    ],
)
def test_metadata_of_the_wrong_kind_are_refused(key: str, value: object, tmp_path: Path) -> None:
    path = save_nade(tmp_path / "small.safetensors", **{key: value})
    with pytest.raises(InvalidWeights, match=f"no sound {key}"):
        loading.load(path)


def test_columns_that_are_not_sound_are_refused(tmp_path: Path) -> None:
    for i, column in enumerate(({"name": "a"}, {"name": "a", "kind": "binary", "required": "no"})):
        path = save_nade(tmp_path / f"{i}.safetensors", columns=[column])
        with pytest.raises(InvalidInput, match=f"{i}.safetensors: columns: .* is no column"):
            loading.load(path)


def test_weights_with_nan_are_refused_by_name(tmp_path: Path) -> None:
    model = loading.load(save_nade(tmp_path / "small.safetensors"))
    model.b[3] = float("nan")
    loading.save(model, path := tmp_path / "nan.safetensors", METADATA)
    with pytest.raises(InvalidWeights, match=r"nan\.safetensors does not fit .*: b holds NaN"):
        loading.load(path)
    model.b[3] = float("inf")
    loading.save(model, path, METADATA, force=True)
    assert loading.load(path).b.isinf().any()


@pytest.mark.parametrize("once", [True, False])
def test_all_tensors_are_read_by_one_call_where_there_is_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, once: bool
) -> None:
    wanted = load_file(path := save_nade(tmp_path / "small.safetensors"))
    calls: list[str] = []

    class File:
        """What safetensors opens, of version 0.8, or of one before it."""

        def __init__(self, *args: Any, **kwargs: Any) -> None:
            if once:
                self.get_tensors = lambda: calls.append("all") or wanted

        def __enter__(self) -> "File":
            return self

        def __exit__(self, *error: object) -> None: ...

        def get_tensor(self, key: str) -> torch.Tensor:
            calls.append(key)
            return wanted[key]

    monkeypatch.setattr("safetensors.safe_open", File)
    found = loading.load(path).state_dict()
    assert all(torch.equal(found[key], tensor) for key, tensor in wanted.items())
    assert sorted(calls) == (["all"] if once else sorted(wanted))


def test_weights_whose_order_is_no_permutation_are_refused(tmp_path: Path) -> None:
    model = loading.load(save_nade(tmp_path / "small.safetensors"))
    model.order[0] = 5
    loading.save(model, path := tmp_path / "twice.safetensors", METADATA)
    message = r"twice\.safetensors cannot be used: ValueError: order is no permutation .* the file"
    with pytest.raises(InvalidWeights, match=message):
        loading.load(path)


@pytest.mark.parametrize(
    "said",
    ["[" * 10**5, '{"config": ' + "9" * 5000 + "}", json.dumps(METADATA | {"name": "\x1b[2J"})],
)
def test_metadata_that_are_none_are_refused(tmp_path: Path, said: str) -> None:
    save_file({"b": torch.zeros(1)}, path := tmp_path / "odd.safetensors", {"zoo": said})
    with pytest.raises(InvalidWeights, match=r"odd\.safetensors") as caught:
        loading.load(path)
    assert str(caught.value).isprintable()
