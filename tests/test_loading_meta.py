"""A model is built without memory, and no further than its weights have need of."""

import subprocess
import sys
import time
from typing import Any

import pytest
import torch
from torch import nn

from zoo_core.errors import InvalidInput
from zoo_core.loading.meta import build_blank


class Deep(nn.Module):
    """Layers, and something that is made on the CPU."""

    def __init__(self, layers: int = 1, order: int = 1, orders: int = 1) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(3, 3) for _ in range(layers))
        for _ in range(orders):
            self.order = torch.randperm(order, device="cpu")


def test_it_lies_on_the_meta_device_but_for_what_is_made_elsewhere() -> None:
    model = build_blank(Deep, {"order": 5}, listed=2)
    assert model.get_parameter("layers.0.weight").is_meta
    assert sorted(model.order.tolist()) == [0, 1, 2, 3, 4]


def test_no_entry_needs_torchs_compiler_to_be_built() -> None:
    """It takes seconds to import, and arithmetic on the meta device does so."""
    program = """
import sys
from zoo_core import plugins
from zoo_core.loading.meta import build_blank
from zoo_core.registry import Registry, own_registry
for entry in Registry.load((str(own_registry()),)).entries.values():
    if not entry.name.startswith("features."):  # which timm builds, with torchvision
        found = plugins.import_class(plugins.find(entry.architecture)[1].path)
        build_blank(found, entry.config)
        assert "torch._dynamo" not in sys.modules, entry.name
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_far_more_layers_than_the_weights_have_are_refused_in_time() -> None:
    start = time.process_time()
    with pytest.raises(InvalidInput, match="asks Deep for far more layers than the 2 tensors"):
        build_blank(Deep, {"layers": 10**7}, listed=2)
    assert time.process_time() - start < 2


@pytest.mark.parametrize("config", [{"order": 10**9}, {"order": 10**6, "orders": 1000}])
def test_what_would_take_memory_beside_the_weights_is_refused(config: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput, match="beside its weights; at most 16,777,216 are made"):
        build_blank(Deep, config, listed=2)


class Numbered(nn.Module):
    """Numbers on the CPU, from a large one on."""

    def __init__(self, start: int = 2**20, n: int = 5) -> None:
        super().__init__()
        self.order = torch.arange(start, start + n, device="cpu")


def test_a_range_of_large_numbers_takes_no_more_memory_than_one_of_small_ones() -> None:
    assert build_blank(Numbered, {}, listed=1).order.tolist() == list(range(2**20, 2**20 + 5))
    with pytest.raises(InvalidInput, match="asks Numbered for tensors of 1,000,000,000 elements"):
        build_blank(Numbered, {"n": 10**9}, listed=1)


def test_a_deep_model_with_its_weights_is_built_and_so_is_any_of_the_users_own() -> None:
    assert len(build_blank(Deep, {"layers": 1000}, listed=2000).state_dict()) == 2000
    assert len(build_blank(Deep, {"layers": 3000}).state_dict()) == 6000
