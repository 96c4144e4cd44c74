"""Names of tensors: tied weights are one tensor, and a wrapper's prefix is none of a model's."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from zoo_autoregressive.nade import NADE

from zoo_core import loading
from zoo_core.errors import InvalidWeights
from zoo_core.header import read_header
from zoo_core.loading.names import drop_shared, match, name_tensors

SELF = {"family": "autoregressive", "requires": "zoo-autoregressive", "architecture": "nade"}


class Tied(nn.Module):
    """Two layers of one weight, beside a buffer that is a part of another."""

    part: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(3, 3), nn.Linear(3, 3)
        self.second.weight = self.first.weight
        self.register_buffer("whole", torch.arange(4.0))
        self.register_buffer("part", self.get_buffer("whole")[:2])


def nade(path: Path) -> tuple[NADE, Path]:
    torch.manual_seed(0)
    model = NADE(shape=(1, 3, 3), hidden=4)
    loading.save(model, path, {**SELF, "config": {"shape": [1, 3, 3], "hidden": 4}})
    return model, path


def test_tied_weights_are_saved_once_and_stay_tied(tmp_path: Path) -> None:
    model, path = Tied(), tmp_path / "tied.safetensors"
    loading.save(model, path, {**SELF, "config": {}})
    assert set(read_header(path).tensors) == {
        *("first.weight", "first.bias", "second.bias", "whole", "part")
    }
    with torch.device("meta"):
        blank = Tied()
    for other in (blank, Tied()):
        loading.fill(other, path)
        assert other.first.weight is other.second.weight
        assert torch.equal(other.second.weight, model.first.weight)
        assert torch.equal(other.part, model.part)


def test_either_name_of_a_tied_weight_is_enough(tmp_path: Path) -> None:
    model, path = Tied(), tmp_path / "tied.safetensors"
    state = drop_shared({name: tensor for name, (tensor, _) in name_tensors(model).items()})
    save_file({"second.weight": state.pop("first.weight"), **state}, path)
    other = Tied()
    loading.fill(other, path)
    assert torch.equal(other.first.weight, model.first.weight)
    save_file({"second.bias": state.pop("second.bias"), **state}, path)
    with pytest.raises(InvalidWeights, match=r"first\.weight is missing"):
        loading.fill(Tied(), path)


@pytest.mark.parametrize("prefix", ["_orig_mod.", "module.", "module._orig_mod."])
def test_a_file_of_a_wrapped_module_loads_and_says_so(
    prefix: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model, path = nade(tmp_path / "m.safetensors")
    metadata = read_header(path).metadata
    save_file({prefix + name: tensor for name, tensor in load_file(path).items()}, path, metadata)
    loaded = loading.load(path)
    assert torch.equal(loaded.get_parameter("W"), model.W)
    assert f"names the tensors of a wrapped module, as {prefix}" in capsys.readouterr().err


def test_a_wrapped_module_is_saved_by_its_own_names(tmp_path: Path) -> None:
    model, path = nade(tmp_path / "m.safetensors")
    own = set(read_header(path).tensors)
    loaded = loading.load(path, trainable=True)
    inner = nn.Sequential(nn.Linear(2, 2))
    inner[0] = torch.compile(inner[0])
    assert set(name_tensors(inner)) == {"0.weight", "0.bias"}
    for wrapped in (torch.compile(loaded), nn.DataParallel(loaded)):
        loading.save(wrapped, path, force=True)
        assert set(read_header(path).tensors) == own
        assert torch.equal(loading.load(path).get_parameter("W"), model.W)


def test_names_that_begin_like_a_prefix_are_left_alone() -> None:
    own = name_tensors(nn.ModuleDict({"module": nn.Linear(1, 1)}))
    assert match(["module.weight", "module.bias"], own) == {
        "module.weight": "module.weight",
        "module.bias": "module.bias",
    }
    assert match(["a", "_orig_mod.a"], {}) == {"a": "a", "_orig_mod.a": "_orig_mod.a"}
    assert match([], own) == {}
