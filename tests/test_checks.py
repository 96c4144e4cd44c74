"""What a model is given is checked, in words that say what was given and what was expected."""

import math
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from zoo_autoregressive.attention import Attention
from zoo_autoregressive.nade import NADE
from zoo_autoregressive.pixelcnn import PixelCNN

import zoo_core
from zoo_core import draws
from zoo_core.checks import (
    check_inputs,
    check_labels,
    check_latents,
    check_mask,
    check_path,
    check_prompt,
    check_rows,
    check_sampling,
    check_tensor,
    check_texts,
    check_whole,
    trusted,
)
from zoo_core.data.columns import Column
from zoo_core.errors import InvalidInput
from zoo_core.protocols import Generator
from zoo_core.testing import Case, cases


class Takes:
    """What the checks look at of a model."""

    def __init__(self, shape: tuple[int, ...] = (1, 2, 2), levels: int | None = 2) -> None:
        self.event_shape, self.levels = shape, levels
        self.latent_dim, self.classes = 3, 4


OF_SHAPE = (
    (torch.zeros(2, 3, 64, 64), r"given \(2, 3, 64, 64\), float32\. Resize and crop images first"),
    (torch.zeros(1, 2, 2), r"given \(1, 2, 2\), float32\. .* x\.unsqueeze\(0\) makes a batch"),
    (
        torch.zeros(2, 1, 2, 2, dtype=torch.int64),
        r"given \(2, 1, 2, 2\), int64\. x\.float\(\) makes floats of it",
    ),
    ([[0.0]], "given a list"),
    (None, "given None"),
    ("7", "given '7', str"),
    (
        torch.zeros(2, 1, 2, 2).to_sparse(),
        r"given \(2, 1, 2, 2\), float32, sparse_coo\. x\.to_dense\(\) holds every value",
    ),
    (
        torch.zeros(2, 1, 2, 2, device="meta"),
        r"given \(2, 1, 2, 2\), float32, meta\. It holds no values",
    ),
    (np.zeros((2, 1, 2, 2)), r"given a ndarray\. torch\.from_numpy\(x\)\.float\(\) makes a tensor"),
)


@pytest.mark.parametrize(("x", "message"), OF_SHAPE, ids=lambda v: str(getattr(v, "shape", "")))
def test_another_shape_or_kind_is_refused(x: Any, message: str) -> None:
    wanted = r"Takes takes inputs of shape \(B, 1, 2, 2\), floats; "
    with pytest.raises(InvalidInput, match=wanted + message):
        check_inputs(Takes(), x)


@pytest.mark.parametrize(
    ("levels", "value", "message"),
    [
        (2, 0.5, r"takes values that are 0 or 1; given 0\.5 at \[1, 0, 1, 1\]\. .* black or white"),
        (2, 255.0, r"given 255 at \[1, 0, 1, 1\]\. Divide grey levels of 0 to 255 by 255"),
        (2, math.nan, r"given nan at \[1, 0, 1, 1\]"),
        (2, math.inf, r"given inf at"),
        (2, -1.0, r"given -1 at"),
        (256, 0.501, r"takes one of 256 values in \[0, 1\], v / 255 .*; given 0\.501 at"),
        (256, 1.2, r"given 1\.2 at"),
        (None, 1.2, r"takes values in \[0, 1\]; given 1\.2 at"),
        (None, math.nan, r"takes values in \[0, 1\]; given nan at"),
    ],
)
def test_a_value_that_is_none_of_the_model_is_refused(
    levels: int | None, value: float, message: str
) -> None:
    x = torch.zeros(2, 1, 2, 2)
    x[1, 0, 1, 1] = value
    with pytest.raises(InvalidInput, match=message):
        check_inputs(Takes(levels=levels), x)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16])
def test_every_level_is_taken_in_every_precision(dtype: torch.dtype) -> None:
    levels = (torch.arange(256) / 255).to(dtype).reshape(64, 1, 2, 2)
    check_inputs(Takes(levels=256), levels)
    check_inputs(Takes(levels=None), levels)
    check_inputs(Takes(), levels.round())
    check_inputs(Takes(), levels[:0])


@pytest.mark.parametrize("dtype", [torch.float16, torch.float64])
def test_another_precision_than_the_models_is_refused(dtype: torch.dtype) -> None:
    model, x = NADE((1, 2, 2), hidden=4), torch.zeros(2, 1, 2, 2)
    with pytest.raises(
        InvalidInput, match=r"NADE takes inputs in float32; given .* x\.to\(torch\.float32\)"
    ):
        model.log_prob(x.to(dtype))
    assert model.log_prob(x).shape == (2,)
    model = model.to(dtype)
    check_inputs(model, x.to(dtype))
    with pytest.raises(InvalidInput, match=str(dtype).removeprefix("torch.")):
        model.log_prob(x)


def test_what_is_not_known_is_not_looked_at() -> None:
    x = torch.tensor([[1.0, math.nan]])
    known = torch.tensor([True, False])
    check_inputs(Takes((2,)), x, known)
    with pytest.raises(InvalidInput, match=r"takes a mask of shape \(2,\), bool; given \(2,\), fl"):
        check_inputs(Takes((2,)), x, known.float())
    with pytest.raises(InvalidInput, match="given nan"):
        check_inputs(Takes((2,)), x, ~known)


def test_real_values_have_no_bounds_where_a_model_says_so() -> None:
    model: Any = Takes((2,), None)
    model.unbounded = True
    check_inputs(model, torch.tensor([[-3.0, 7.0]]))
    with pytest.raises(InvalidInput, match="takes finite values"):
        check_inputs(model, torch.tensor([[-3.0, math.inf]]))


def test_latents_labels_and_samplings() -> None:
    check_latents(Takes(), torch.randn(2, 3))
    with pytest.raises(
        InvalidInput, match=r"takes latents of shape \(B, 3\), floats; given \(2, 2"
    ):
        check_latents(Takes(), torch.randn(2, 2))
    with pytest.raises(InvalidInput, match="takes finite latents"):
        check_latents(Takes(), torch.full((1, 3), math.nan))
    assert check_labels(Takes(), None, 2).tolist() == [4, 4]
    assert check_labels(Takes(), 3, 2).tolist() == [3, 3]
    assert check_labels(Takes(), torch.tensor([0, 4]), 2).tolist() == [0, 4]
    for label, message in (
        (5, "unknown label 5: expected 0 to 3"),
        (0.5, r"label for all, or 2 of them, as whole numbers from 0 to 3; given 0\.5, float"),
        ("1", "given '1', str"),
        (b"1", "given b'1', bytes"),
        (True, "given True, bool"),
        (["1"], "given a list"),
        ({}, "given a dict"),
        (torch.tensor([True, False]), r"given \(2,\), bool"),
        (torch.tensor([0, 1, 2]), r"given \(3,\), int64"),
    ):
        with pytest.raises(InvalidInput, match=message):
            check_labels(Takes(), label, 2)  # type: ignore[arg-type]
    check_sampling(0, 0.1)
    for n, temperature, message in (
        (-1, 1.0, "n is -1; expected a whole number"),
        (1.5, 1.0, r"n is 1\.5"),
        (True, 1.0, "n is True"),
        ("2", 1.0, "n is '2'; expected a whole number of samples, 0 or more"),
        ([0] * 999, 1.0, r"n is \[0, 0, .{90,99}; expected"),
        (1, "1", "temperature is '1'; expected a number above 0"),
        (1, True, "temperature is True"),
        (1, None, "temperature is None"),
        (1, 0.0, r"temperature is 0\.0; expected a number above 0"),
        (1, math.nan, "temperature is nan"),
    ):
        with pytest.raises(InvalidInput, match=message):
            check_sampling(n, temperature)  # type: ignore[arg-type]
    with pytest.raises(InvalidInput, match=r"so many samples take about 4,000,000\.0 GB"):
        check_sampling(10**15)  # of no shape that is known


@pytest.mark.parametrize("generator", [5, "5", 5.0, [5]])
@pytest.mark.parametrize(
    "draw",
    [
        lambda g: draws.rand(2, generator=g),
        lambda g: draws.randn(2, generator=g),
        lambda g: draws.randint(3, 2, generator=g),
        lambda g: draws.bernoulli(torch.ones(2), g),
        lambda g: draws.categorical(torch.ones(2, 3), g),
        lambda g: draws.categories(torch.ones(3), 2, g),
    ],
    ids=["rand", "randn", "randint", "bernoulli", "categorical", "categories"],
)
def test_what_is_no_generator_is_refused(draw: Callable[[Any], Tensor], generator: Any) -> None:
    given = re.escape(repr(generator))
    with pytest.raises(InvalidInput, match=rf"generator is {given}; .*\.manual_seed\(seed\)"):
        draw(generator)


def test_prompts_and_texts() -> None:
    check_prompt(Takes(), "a text", 2, 3)
    for codes in (torch.zeros(1, 3), torch.zeros(2, 3)):
        check_prompt(Takes(), codes, 2, 3)
    takes = r"Takes takes a prompt that is a text, or codes of texts of shape \(1, 3\) or \(2, 3\)"
    for prompt, given in (
        (["a", "b"], r"given a list\. model\.read\(texts\) makes codes of several texts"),
        (("a",), "given a tuple"),
        (5, "given 5, int"),
        (b"a", r"given b'a', bytes\.$"),
        (torch.zeros(3, 3), r"given \(3, 3\), float32\.$"),
    ):
        with pytest.raises(InvalidInput, match=f"{takes}; {given}"):
            check_prompt(Takes(), prompt, 2, 3)  # type: ignore[arg-type]
    check_texts(["a", "b"])
    check_texts(())
    for texts, message in (
        ("ab", r"a list of texts; given the text 'ab'\. Write \[text\]"),
        (b"ab", "given b'ab', bytes"),
        (None, "given None"),
        (["a", 5], "number 1 is 5, int"),
    ):
        with pytest.raises(InvalidInput, match=message):
            check_texts(texts)


def test_masks_paths_and_other_tensors() -> None:
    check_mask(Takes((2,)), torch.tensor([True, False]))
    for mask, given in (
        (None, "None"),
        ([True, False], "a list"),
        (np.ones(2, bool), "a ndarray"),
        (torch.ones(2), r"\(2,\), float32"),
    ):
        with pytest.raises(
            InvalidInput, match=rf"takes a mask of shape \(2,\), bool; given {given}"
        ):
            check_mask(Takes((2,)), mask)
    z = torch.zeros(3)
    check_path(Takes(), z, z, 2)
    for ends, message in (
        ((z, None, 2), r"takes two latents of shape \(3,\), floats; given None"),
        ((z, torch.zeros(1, 3), 2), r"given \(1, 3\), float32"),
        ((torch.zeros(2), z, 2), r"takes latents of shape \(B, 3\), floats; given \(1, 2\)"),
        ((z, z, 1), "steps is 1; expected a whole number of steps, 2 or more"),
        ((z, z, 2.0), r"steps is 2\.0"),
    ):
        with pytest.raises(InvalidInput, match=message):
            check_path(Takes(), *ends)  # type: ignore[arg-type]
    boxes = torch.zeros(2, 5, 4, dtype=torch.int64)
    check_tensor("boxes", boxes, (2, None, 4), torch.int64)
    for wrong, given in (
        (boxes.float(), r"\(2, 5, 4\), float32"),
        (boxes[0], r"\(5, 4\), int64"),
        (None, "None"),
    ):
        with pytest.raises(
            InvalidInput, match=rf"boxes of shape \(2, any, 4\), int64; given {given}"
        ):
            check_tensor("boxes", wrong, (2, None, 4), torch.int64)
    check_whole("variable", 3, "the number of a variable", 0, 3)
    with pytest.raises(
        InvalidInput, match="variable is 4; expected the number of a variable, 0 to 3"
    ):
        check_whole("variable", 4, "the number of a variable", 0, 3)


@pytest.mark.parametrize("case", cases(), ids=str)
def test_more_samples_than_memory_holds_are_refused(case: Case) -> None:
    model = case.fresh()
    if isinstance(model, Generator):
        with pytest.raises(InvalidInput, match=r"n is 1,000,000,000,000: .* GB of memory"):
            model.sample(10**12)


def test_an_entry_refuses_what_it_gave_nats_for() -> None:
    model = zoo_core.load("nade.mnist")
    for x in (
        torch.zeros(2, 3, 64, 64),
        torch.zeros(2, 1, 32, 32),
        torch.full((1, 1, 28, 28), 255.0),
    ):
        with pytest.raises(InvalidInput, match="NADE takes"):
            model.log_prob(x)


def test_where_data_are_trusted_nothing_is_looked_at() -> None:
    with trusted():
        check_inputs(Takes(), torch.full((2, 7), math.nan))
    with pytest.raises(InvalidInput):
        check_inputs(Takes(), torch.full((2, 7), math.nan))


@pytest.mark.parametrize(
    "model",
    [
        NADE((1, 4, 4), hidden=5),
        PixelCNN((1, 4, 4), levels=4, hidden=4, layers=1),
        Attention((1, 4, 4), blocks=1, d=8),
    ],
    ids=lambda model: type(model).__name__,
)
def test_gradients_and_graphs_go_through(model: nn.Module) -> None:
    levels: Any = model.levels
    x = (torch.rand(3, 1, 4, 4) * (levels - 1)).round() / (levels - 1)
    log_prob: Any = model.log_prob
    log_prob(x).sum().backward()
    assert all(p.grad is not None and p.grad.any() for p in model.parameters())
    model.eval()
    with torch.no_grad():
        graph = torch.export.export(_LogProb(model), (x,), strict=False)
        assert torch.allclose(graph.module()(x), log_prob(x), atol=1e-4)


def test_a_compiled_model_has_one_graph_without_checks() -> None:
    model = NADE((1, 4, 4), hidden=5).eval()
    seen: list[torch.fx.GraphModule] = []

    def backend(graph: torch.fx.GraphModule, _: object) -> Any:
        seen.append(graph)
        return graph.forward

    x = torch.zeros(2, 1, 4, 4)
    compiled: Any = torch.compile(_Conditionals(model), backend=backend)
    assert torch.allclose(compiled(x), model.conditionals(x))
    assert "amax" not in "".join(str(graph.graph) for graph in seen)


class _LogProb(nn.Module):
    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model: Any = model

    def forward(self, x: Tensor) -> Tensor:
        """log p(x)."""
        log_p: Tensor = self.model.log_prob(x)
        return log_p


class _Conditionals(_LogProb):
    def forward(self, x: Tensor) -> Tensor:
        """log p of each variable."""
        log_p: Tensor = self.model.conditionals(x)
        return log_p


class _Columns:
    event_shape = (2,)
    levels = None
    columns = (
        Column("job", "categorical", ("clerk", "nurse")),
        Column("age", "real", mean=40.0, std=10.0),
    )


@pytest.mark.parametrize("row", [[0.0, -3.5], [1.0, 100.0], [float("nan"), float("nan")]])
def test_rows_of_columns(row: list[float]) -> None:
    check_rows(_Columns(), torch.tensor([row]))


@pytest.mark.parametrize(
    ("row", "what"),
    [
        ([2.0, 0.0], r"the column job is a number from 0 to 1; given 2 at \[0, 0\]"),
        ([0.5, 0.0], r"given 0.5 at \[0, 0\]"),
        ([-1.0, 0.0], r"given -1 at \[0, 0\]"),
        ([0.0, float("inf")], r"the column age is finite; given inf at \[0, 1\]"),
        ([0.0], r"encoded rows of shape \(B, 2\), floats; given \(1, 1\)"),
    ],
)
def test_what_are_no_rows_of_columns(row: list[float], what: str) -> None:
    with pytest.raises(InvalidInput, match=what):
        check_rows(_Columns(), torch.tensor([row]))
    if len(row) == 2 and row[0] in (2.0, 0.5, -1.0):
        check_rows(_Columns(), torch.tensor([row]), torch.tensor([False, True]))
