"""The laws of what a model is given: what it does not take is refused, and how precise it is."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from zoo_core.draws import Streams
from zoo_core.errors import InvalidInput, UnknownName
from zoo_core.protocols import (
    Autoregressive,
    Bound,
    Classifier,
    Completer,
    Conditional,
    Decoder,
    DensityModel,
    Encoder,
    Featurizer,
    Generator,
    PartCompleter,
    Prompted,
    Scored,
    Translator,
    narrow,
    shape_of,
)
from zoo_core.testing.case import Case
from zoo_core.testing.law import LawSkipped, expect, law
from zoo_core.text import printable

__all__: list[str] = []  # reached through LAWS

_Call = Callable[[Any, Tensor], object]
"""A method of a model, given inputs."""
_BOXES = torch.tensor([0, 0, 1, 1]).expand(2, 1, 4)
"""A box in each of two inputs."""

_METHODS: tuple[tuple[type, str, _Call], ...] = (
    (DensityModel, "log_prob", lambda model, x: model.log_prob(x)),
    (Autoregressive, "conditionals", lambda model, x: model.conditionals(x)),
    (Bound, "elbo", lambda model, x: model.elbo(x)),
    (Bound, "log_prob_bound", lambda model, x: model.log_prob_bound(x)),
    (Encoder, "encode", lambda model, x: model.encode(x)),
    (Classifier, "classify", lambda model, x: model.classify(x)),
    (Featurizer, "features", lambda model, x: model.features(x)),
    (Translator, "translate", lambda model, x: model.translate(x, model.domains[0])),
    (Completer, "complete", lambda model, x: model.complete(x, _all_known(model))),
    (PartCompleter, "find_parts", lambda model, x: model.find_parts(x)),
    (PartCompleter, "complete_from", lambda model, x: model.complete_from(x, _BOXES)),
)
_REMEDIES = {
    "label": "check_labels(self, label, n)",
    "prompt": "check_prompt(self, prompt, n, code)",
    "generator": "check_sampling, and draw by zoo_core.draws, which refuses what is no generator",
}
"""What refuses the arguments of `sample`, by their names."""
_MOST_OFF = 0.05
"""Share of a log-probability by which a network in half precision may change it, of nine."""


@law(nn.Module)
def wrong_inputs_are_refused(case: Case) -> None:
    """Inputs of another type or shape, out of [0, 1] or between levels are InvalidInput.

    So is a domain that is no name; an unknown name is UnknownName.
    """
    model = case.fresh().eval()
    for protocol, name, call in _METHODS:
        if isinstance(model, protocol) and _outcome(call, model, _right(model)) is None:
            for what, x in _wrong(model):
                _expect_refusal(f"{name} of {what}", "check_inputs(self, x)", call, model, x)
    if isinstance(model, Translator):
        _expect_names_only(model)


@law(Decoder)
def wrong_latents_are_refused(case: Case) -> None:
    """Latents of another type or shape, and NaN, are refused by InvalidInput."""
    model = case.fresh().eval()
    Z = narrow(model, Decoder).latent_dim
    for what, z in (
        (f"latents (2, {Z + 1})", torch.zeros(2, Z + 1)),
        (f"latents ({Z},)", torch.zeros(Z)),
        ("NaN", torch.full((2, Z), math.nan)),
        *_no_tensors(torch.zeros(2, Z)),
    ):
        remedy = "check_latents(self, z)"
        _expect_refusal(f"decode of {what}", remedy, lambda m, z: m.decode(z), model, z)


@law(Generator)
def wrong_conditions_are_refused(case: Case) -> None:
    """A number, temperature, generator, label or prompt that is none is refused by InvalidInput.

    Of a generator torch's own TypeError will do: a model may draw by torch's functions.
    """
    model = case.fresh().eval()
    wrong: list[dict[str, Any]] = [{"n": n} for n in (-1, 1.5, 2.0, True, "2", None)]
    wrong += [{"n": 2, "temperature": t} for t in (0.0, -1.0, math.nan, "1", None)]
    wrong += [{"n": 2, "generator": generator} for generator in (5, "5")]
    if isinstance(model, Conditional):
        labels: tuple[Any, ...] = (-1, model.classes + 1, 0.5, torch.zeros(3, dtype=torch.int64))
        wrong += [{"n": 2, "label": label} for label in (*labels, "0", True, 0.0)]
    if isinstance(model, Prompted):
        wrong += [{"n": 2, "prompt": prompt} for prompt in (["a"], ("a", "b"), 5, b"a")]
    for given in wrong:
        n = given.pop("n")
        said = ", ".join([repr(n), *(f"{key}={value!r}" for key, value in given.items())])
        remedy = _REMEDIES.get(
            next(iter(given), "n"), "check_sampling(n, temperature, self.event_shape)"
        )

        def call(model: Any, x: Tensor, n: Any = n, given: Any = given) -> object:
            return model.sample(n, **given)

        if "generator" in given and isinstance(_outcome(call, model, torch.empty(0)), TypeError):
            continue
        _expect_refusal(f"sample({said})", remedy, call, model, torch.empty(0))


@law(Completer)
def wrong_masks_are_refused(case: Case) -> None:
    """A mask of another type or shape is refused by InvalidInput."""
    model = case.fresh().eval()
    x, known = _right(model), _all_known(model)
    wrong = [("floats", known.float()), ("a batch", known.expand(2, *known.shape))]
    wrong += [(what, mask) for what, mask in _no_tensors(known) if mask is not None]
    for what, mask in wrong:

        def call(model: Any, x: Tensor, mask: Any = mask) -> object:
            return model.complete(x, mask)

        _expect_refusal(f"complete, the mask {what}", "check_mask(self, known)", call, model, x)


@law(Scored)
def log_probabilities_are_in_single_precision(case: Case) -> None:
    """With its weights in bfloat16, a model gives log-probabilities in float32 or better."""
    half = case.stirred().eval().bfloat16()
    single = copy.deepcopy(half).float()  # the same weights
    x = _right(half, n=16)
    try:
        with torch.no_grad():
            found, wanted = _nats(half, x.bfloat16()), _nats(single, x)
    except RuntimeError as error:  # not every operation has a half precision
        raise LawSkipped(f"it does not run in bfloat16: {error}") from None
    kinds = {tensor.dtype for tensor in found} & {torch.bfloat16, torch.float16}
    remedy = "zoo_core.precision.single(logits) before they become log-probabilities"
    expect(not kinds, f"log-probabilities in {', '.join(map(str, kinds))}", remedy)
    for one, other in zip(found, wanted, strict=True):
        rounded = torch.equal(one.bfloat16().to(one.dtype), one) and bool(one.any())
        expect(not rounded, "values that were rounded to bfloat16", remedy)
        if isinstance(half, DensityModel):  # bounds draw other latents in another precision
            off = float((one - other).abs().max() / other.abs().max().clamp_min(1))
            most = f"less than {_MOST_OFF:.0%}"
            expect(off < _MOST_OFF, f"{off:.1%} from single precision", most)


@law(Generator)
def each_sample_has_its_own_stream(case: Case) -> None:
    """Of one seed, three samples are the first three of seven."""
    model: Any = case.stirred().eval()
    streams = Streams(1), Streams(1), Streams(1, first=3)
    with torch.no_grad():
        all_, three, rest = (
            model.sample(n, generator=s) for n, s in zip((7, 3, 4), streams, strict=True)
        )
    if streams[0].shared:
        raise LawSkipped(
            "it takes all samples from one stream, so more samples are others: sample by "
            "zoo_core.draws.rand, randn, bernoulli or categorical, which have a stream for each"
        )
    # how many rows are multiplied at once decides the last bits of a product
    for name, other, own in (("first", three, all_[:3]), ("next", rest, all_[3:])):
        off = float((own - other).abs().max())
        expect(off < 1e-4, f"the {name} samples differ by {off:.2g}", "equal ones")


def _no_tensors(x: Tensor) -> Iterator[tuple[str, Any]]:
    """What is handed over in place of a tensor that is in memory, and such values."""
    yield "a NumPy array", x.numpy()
    yield "a list", x.tolist()
    yield "None", None
    yield "a sparse tensor", x.to_sparse()
    yield "a tensor without values", x.to("meta")


def _wrong(model: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """What is wrong, and inputs that are so."""
    x = _right(model)
    yield f"one input {tuple(x.shape[1:])} without a batch", x[0]
    larger = torch.cat([x, x], -1)
    yield f"inputs {tuple(larger.shape)}", larger
    yield "whole numbers", (x * 2).long()
    yield from _no_tensors(x)
    unbounded = getattr(model, "unbounded", False)
    for value in (math.nan,) if unbounded else (255.0, -1.0, math.nan):
        yield f"a value of {value:g}", _with(x, value)
    levels = getattr(model, "levels", None)
    if levels:
        between = 0.5 / (levels - 1)
        yield f"a value of {between:g}, between two of {levels} levels", _with(x, between)


def _with(x: Tensor, value: float) -> Tensor:
    x = x.clone()
    x[-1].view(-1)[-1] = value
    return x


def _right(model: nn.Module, n: int = 2) -> Tensor:
    """Inputs that the model takes, (n, *event_shape)."""
    u = torch.rand(n, *shape_of(model), generator=torch.Generator().manual_seed(3))
    levels = getattr(model, "levels", None)
    return (u * levels).floor() / (levels - 1) if levels else 0.05 + 0.9 * u


def _all_known(model: nn.Module) -> Tensor:
    return torch.ones(shape_of(model), dtype=torch.bool)


@torch.no_grad()
def _outcome(call: _Call, model: nn.Module, x: Tensor) -> Exception | None:
    try:
        call(model, x)
    except Exception as error:
        return error
    return None


def _expect_names_only(model: nn.Module) -> None:
    """A domain that is no name is InvalidInput, an unknown name UnknownName."""
    for to in (0, None, ["a"], "no domain of any model"):

        def call(model: Any, x: Tensor, to: Any = to) -> object:
            return model.translate(x, to)

        kind = UnknownName if isinstance(to, str) else InvalidInput
        error = _outcome(call, model, _right(model))
        expect(isinstance(error, kind), f"translate to {to!r}: {_describe(error)}", kind.__name__)


def _describe(error: Exception | None) -> str:
    return "no error" if error is None else f"{type(error).__name__}: {printable(error)}"


def _expect_refusal(what: str, remedy: str, call: _Call, model: nn.Module, x: Tensor) -> None:
    error = _outcome(call, model, x)
    measured = _describe(error)
    wanted = f"InvalidInput: begin the method with zoo_core.checks.{remedy}"
    expect(isinstance(error, InvalidInput), f"{what}: {measured}", wanted)


def _nats(model: Any, x: Tensor) -> list[Tensor]:
    if not isinstance(model, DensityModel):
        elbo = model.elbo(x, generator=torch.Generator().manual_seed(0))
        bound = model.log_prob_bound(x, generator=torch.Generator().manual_seed(0))
        return [elbo.reconstruction, elbo.prior_fitting, bound]
    found = [model.log_prob(x)]
    return [*found, model.conditionals(x)] if isinstance(model, Autoregressive) else found
