"""Every architecture on a GPU: it loads, samples by a seed, scores as on the processor, trains and
goes on.

Skipped where there is no GPU. `ZOO_TEST_DEVICE=cpu` runs the same on the processor, and `=mps` on
an Apple chip. `python benchmarks/cuda.py` runs these tests and measures.
"""

import copy
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from zoo_core import loading, run
from zoo_core.export import Stepwise
from zoo_core.protocols import DensityModel, Generator, shape_of
from zoo_core.testing import Case, LawSkipped, cases
from zoo_core.testing.learning import Stopped, make_loop, rows_of

pytestmark = pytest.mark.cuda

CASES = cases()
NATS = 1e-3
"""What a log-probability may be off for the order in which a device sums, of its size."""
WEIGHTS = 1e-2
"""What a weight may be off after twelve steps in float32, which a GPU sums in any order."""
VALUE = 0.1
"""What the validation value may be off after steps in bfloat16, whose rounding Adam makes large."""
EPOCHS, STOP = 3, 6  # of four steps each

PRECISIONS = ("32-true", "bf16-mixed")


@pytest.fixture(scope="module")
def device() -> torch.device:
    """The device that is tried."""
    given = os.environ.get("ZOO_TEST_DEVICE", "cuda")
    if given == "cuda" and not torch.cuda.is_available():
        pytest.skip("torch finds no GPU here: ZOO_TEST_DEVICE=cpu tries the tests themselves")
    torch.backends.cudnn.deterministic = True
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    return torch.device(given)


def inputs(model: nn.Module, n: int = 8) -> Tensor:
    """Random inputs that a model takes, on the processor."""
    levels = int(getattr(model, "levels", None) or 2)
    random = torch.Generator().manual_seed(0)
    return torch.randint(levels, (n, *shape_of(model)), generator=random) / (levels - 1)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_weights_are_loaded(case: Case, device: torch.device, tmp_path: Path) -> None:
    model, path = case.stirred(), tmp_path / "x.safetensors"
    loading.save(model, path, {**case.metadata(), "name": "x.y"})
    there = loading.load(path, device=str(device))
    found = there.state_dict()
    for name, tensor in model.state_dict().items():
        assert found[name].device.type == device.type
        assert torch.equal(found[name].cpu(), tensor), name


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_seed_gives_the_same_samples(case: Case, device: torch.device) -> None:
    model: Any = case.stirred().to(device)
    if not isinstance(model, Generator):
        pytest.skip("it does not sample")

    def sample() -> Tensor:
        return model.sample(4, generator=torch.Generator(device).manual_seed(1)).cpu()

    with torch.inference_mode():
        first = sample()
        assert torch.equal(sample(), first)
    assert first.shape == (4, *shape_of(model))


@pytest.mark.parametrize("case", CASES, ids=str)
def test_log_probabilities_are_those_of_the_processor(case: Case, device: torch.device) -> None:
    model = case.stirred()
    if not isinstance(model, DensityModel):
        pytest.skip("it has no exact likelihood")
    x, there = inputs(model), copy.deepcopy(model).to(device)
    with torch.inference_mode():
        expected, found = model.log_prob(x), there.log_prob(x.to(device)).cpu()
    torch.testing.assert_close(found, expected, rtol=NATS, atol=NATS)


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_training_goes_on(case: Case, device: torch.device, precision: str, tmp_path: Path) -> None:
    try:
        data = rows_of(case)
    except LawSkipped as reason:
        pytest.skip(str(reason))

    def loop(folder: str, stop: int | None = None) -> Any:
        (tmp_path / folder).mkdir(exist_ok=True)
        return make_loop(
            case,
            data,
            tmp_path / folder,
            epochs=EPOCHS,
            stop=stop,
            accelerator=device.type,
            precision=precision,
        )

    whole = loop("whole")
    whole.run()
    with suppress(Stopped):
        loop("stopped", STOP).run()
    resumed = loop("stopped")
    resumed.run(resume=True)
    assert resumed.progress.step == whole.progress.step == 4 * EPOCHS
    value = whole.trainer.monitor
    if precision != "32-true":
        expected = pytest.approx(whole.measure()[value], rel=VALUE, abs=VALUE)
        assert resumed.measure()[value] == expected
        return
    for name, network in whole.networks.items():
        found = resumed.networks[name].state_dict()
        for key, tensor in network.state_dict().items():
            assert tensor.device.type == device.type
            torch.testing.assert_close(found[key], tensor, rtol=WEIGHTS, atol=WEIGHTS)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_compiled_steps_draw_the_same(case: Case, device: torch.device) -> None:
    model = case.stirred()
    if not isinstance(model, Stepwise):
        pytest.skip("it has no step of its own")
    model.to(device)
    eager, compiled = (
        run(model, "sample", n=4, seed=1, compile=way).tensors["samples"] for way in (False, True)
    )
    assert torch.equal(compiled, eager)
