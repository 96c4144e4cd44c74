"""The laws of the protocols: sampling, densities, the chain rule, completion, training.

Models are stirred (all parameters far from their start) wherever a law would hold trivially for
one that is near uniform. Seeds are fixed, so a law that holds once holds always.

Over 400 lines: it is a list of short functions, each a law, on the one page that says what a model
must obey.
"""

from __future__ import annotations

import json
import math
from itertools import product
from typing import Any

import torch
from torch import Tensor, nn

from zoo_core import loading, plugins
from zoo_core.errors import InvalidInput
from zoo_core.hookspecs import Task
from zoo_core.protocols import (
    Autoregressive,
    Bound,
    Completer,
    Decoder,
    DensityModel,
    Encoder,
    Explainable,
    Generator,
    Pathfinder,
    Scored,
    Traversable,
    narrow,
    shape_of,
)
from zoo_core.tasks import implements
from zoo_core.tasks.explain import parts
from zoo_core.testing.case import Case
from zoo_core.testing.law import discrete, expect, law, p_value, real
from zoo_core.training.protocols import step_of

__all__: list[str] = []  # reached through LAWS

_TOLERANCE = 1e-4
_LEAST_P = 1e-3
_DRAWS = 20_000
_INTEGRAL = 0.02
"""What a sum over a grid may be off by."""
_FINE, _COARSE = 256, 8
"""Cells along each variable over which a density is summed, and into which samples are counted."""
_WEIGHTS = 2000
"""Importance weights of each state; where the posterior is too narrow their tails are heavy."""


def _few_variables(model: nn.Module) -> bool:
    """Whether a grid over all variables can be summed over."""
    return torch.Size(shape_of(model)).numel() <= 2


# Every model


@law(nn.Module)
def config_round_trip(case: Case) -> None:
    """A config that went through JSON builds the same model."""
    again = json.loads(json.dumps(dict(case.config)))
    model = case.fresh()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        other = loading.build(case.cls, again)
    differing = _differences(model.state_dict(), other.state_dict())
    expect(not differing, f"differing tensors: {differing}", "equal tensors from equal seeds")


@law(nn.Module)
def event_shape(case: Case) -> None:
    """The event shape is the configured one."""
    wanted = tuple(case.config["shape"])
    given = case.fresh().event_shape
    expect(given == wanted, f"event_shape = {given!r}", f"the tuple {wanted!r}")


@law(nn.Module)
def tasks_are_implemented(case: Case) -> None:
    """Each task that the architecture declares has its protocol, and the reverse."""
    model, ours = case.fresh(), plugins.own(Task)
    can = {name for name, task in ours.items() if implements(task, model)}
    must = {name for name in can if ours[name].declared}
    declared = set(case.architecture.tasks) & set(ours)
    check = case.architecture.check.config
    if any(case.config.get(key) != value for key, value in check.items()):
        declared &= can  # another config than the record's own may rule a task out
    for name in sorted(declared - can):
        try:
            narrow(model, plugins.import_object(ours[name].protocol))
        except InvalidInput as error:
            wanted = f"what {name} needs, or no {name} among the tasks of its record"
            expect(False, f"{name} is declared, but {error}", wanted)
    undeclared = sorted(must - declared)
    expect(
        not undeclared,
        f"declared {sorted(declared)}, without {', '.join(undeclared)}",
        "every task that is implemented, among the tasks of its record",
    )


@law(Scored)
def gradient_reaches_each_parameter(case: Case) -> None:
    """A training step gives every trainable parameter a finite gradient that is not all zero."""
    model = case.stirred().train()
    x = _inputs(16, case)
    trainer = case.trainer(model)
    update = dict.fromkeys(trainer.networks, _backward)
    step_of(trainer)(x, update, torch.Generator().manual_seed(0), None, 1)
    trained = {name: p for name, p in model.named_parameters() if _is_trained(p)}
    gradients = {name: parameter.grad for name, parameter in trained.items()}
    without = [name for name, g in gradients.items() if g is None or not g.any()]
    wrong = [name for name, g in gradients.items() if g is not None and not g.isfinite().all()]
    expect(not without, f"no gradient at {', '.join(without)}", "a gradient at each parameter")
    expect(not wrong, f"not finite at {', '.join(wrong)}", "finite gradients")


@law(DensityModel, discrete)
def one_batch_can_be_overfitted(case: Case) -> None:
    """Trained on four inputs only, the model comes to give each about a quarter."""
    model = case.fresh().train()
    x = case.states()[_few(4, case)]
    trainer = case.trainer(model)
    trainer.begin(x.mean(0))
    generator = torch.Generator().manual_seed(0)
    # what is fitted by counting has no parameter for an optimiser
    trained = [*filter(_is_trained, model.parameters())] or [nn.Parameter(torch.zeros(()))]
    optimizer = torch.optim.Adam(trained, lr=case.lr)
    update = dict.fromkeys(trainer.networks, _backward)
    batch = torch.cat([x] * 16)  # a random objective is averaged over the copies
    training_step = step_of(trainer)
    for number in range(1, 401):
        optimizer.zero_grad()
        training_step(batch, update, generator, None, number)
        optimizer.step()
    nll = float(-_log_prob(model.eval(), x).mean())
    least = math.log(len(x))
    expect(
        least - _TOLERANCE < nll < least + 0.3,
        f"{nll:.3f} nats",
        f"{least:.3f}, or up to 0.3 more; another learning rate than {case.lr:g} is given in the "
        "record as Check(lr=...)",
    )


# Generators


@law(Generator)
def samples_have_shape_and_range(case: Case) -> None:
    """Samples are floats (n, *event_shape) in [0, 1], also untrained, and in `torch.autocast`."""
    for model, n, mixed in product((case.fresh(), case.stirred()), (1, 7), (False, True)):
        with torch.autocast("cpu", torch.bfloat16, enabled=mixed):
            x = _sample(model, n)
        _expect_shape(x, (n, *case.config["shape"]))
        expect(x.is_floating_point(), f"type {x.dtype}", "a floating type")
        _expect_range(x)


@law(Generator)
def same_seed_same_sample(case: Case) -> None:
    """The generator decides the sample: the same one gives the same, another gives another."""
    model = case.stirred()
    first, again, other = (_sample(model, 64, seed) for seed in (1, 1, 2))
    expect(torch.equal(first, again), "two samples from one seed differ", "equal samples")
    expect(not torch.equal(first, other), "seeds 1 and 2 give one sample", "different samples")


@law(Generator)
def no_hidden_randomness(case: Case) -> None:
    """With a generator given, torch's default one is neither read nor moved."""
    model = case.stirred()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        before = torch.get_rng_state()
        first = _sample(model, 64)
        moved = not torch.equal(before, torch.get_rng_state())
        torch.manual_seed(2)
        second = _sample(model, 64)
    expect(not moved, "the default generator moved", "that it stays where it was")
    expect(torch.equal(first, second), "the sample depends on the default generator", "no effect")


@law(Generator, DensityModel, discrete)
def temperature_sharpens(case: Case) -> None:
    """Towards temperature 0, samples become more probable and fewer are distinct."""
    model = case.stirred()
    warm, cold = _sample(model, 500, temperature=1.0), _sample(model, 500, temperature=0.01)
    distinct = [len(x.flatten(1).unique(dim=0)) for x in (warm, cold)]
    means = [float(_log_prob(model, x).mean()) for x in (warm, cold)]
    measured = (
        f"mean log p {means[0]:.2f} -> {means[1]:.2f}, distinct {distinct[0]} -> {distinct[1]}"
    )
    sharper = means[1] > means[0] and distinct[1] < distinct[0]
    expect(sharper, measured, "a higher mean and fewer distinct samples at 0.01")


@law(Generator, DensityModel, discrete)
def sampler_agrees_with_log_prob(case: Case) -> None:
    """Samples are distributed as log_prob says, by a chi-square test over all states."""
    model, states = case.stirred(), case.states()
    p = p_value(_counts(_sample(model, _DRAWS), states), _log_prob(model, states).double().exp())
    expect(p > _LEAST_P, f"p = {p:.2g} over {_DRAWS} samples", f"p > {_LEAST_P}")


# Densities


@law(DensityModel, discrete)
def sums_to_one(case: Case) -> None:
    """The probabilities of all states sum to one."""
    for model in (case.fresh(), case.stirred()):
        total = float(_log_prob(model, case.states()).double().exp().sum())
        expect(abs(total - 1) < _TOLERANCE, f"a sum of {total:.6f}", "1")


@law(DensityModel, real, _few_variables)
def density_integrates_to_one(case: Case) -> None:
    """The density of one or two real variables integrates to one over [0, 1]."""
    for model in (case.fresh(), case.stirred()):
        total = float(_log_prob(model, _cells(model)).double().exp().mean())
        expect(abs(total - 1) < _INTEGRAL, f"an integral of {total:.4f}", f"1 ± {_INTEGRAL}")


@law(Generator, DensityModel, real, _few_variables)
def sampler_agrees_with_density(case: Case) -> None:
    """Samples of one or two real variables fall where the density says, by a chi-square test."""
    model = case.stirred()
    cells = _cells(model)
    D = cells[0].numel()
    place = (cells.flatten(1) * _COARSE).long().clamp(0, _COARSE - 1)
    weight = _COARSE ** torch.arange(D)
    shares = torch.zeros(_COARSE**D, dtype=torch.float64)
    shares.index_add_(0, (place * weight).sum(1), _log_prob(model, cells).double().exp())
    x = _sample(model, _DRAWS).flatten(1)
    sampled = ((x * _COARSE).long().clamp(0, _COARSE - 1) * weight).sum(1)
    p = p_value(torch.bincount(sampled, minlength=_COARSE**D), shares / shares.sum())
    expect(
        p > _LEAST_P, f"p = {p:.2g} over {_DRAWS} samples in {_COARSE**D} cells", f"p > {_LEAST_P}"
    )


@law(DensityModel)
def log_prob_is_of_each_input_alone(case: Case) -> None:
    """An input's log-probability does not depend on the batch that it is in."""
    model, x = case.stirred(), _inputs(16, case)
    together = _log_prob(model, x)
    alone = torch.cat([_log_prob(model, one) for one in x.split(1)])
    expect(together.shape == (len(x),), f"shape {tuple(together.shape)}", f"({len(x)},)")
    off = float((together - alone).abs().max())
    expect(off < _TOLERANCE, f"a difference of {off:.2g} nats", f"less than {_TOLERANCE}")


@law(Autoregressive)
def conditionals_sum_to_log_prob(case: Case) -> None:
    """The conditionals of each input sum to its log-probability."""
    model, x = narrow(case.stirred(), Autoregressive), case.states()
    with torch.no_grad():
        off = float((model.conditionals(x).sum(1) - model.log_prob(x)).abs().max())
    expect(off < _TOLERANCE, f"a difference of {off:.2g} nats", f"less than {_TOLERANCE}")


@law(Autoregressive)
def order_is_a_permutation(case: Case) -> None:
    """The order visits each variable once."""
    model = narrow(case.fresh(), Autoregressive)
    D = torch.Size(model.event_shape).numel()
    sound = torch.equal(model.order.sort().values, torch.arange(D))
    expect(sound, f"order = {model.order.tolist()}", f"each of 0 … {D - 1} once")


@law(Autoregressive)
def jacobian_is_triangular(case: Case) -> None:
    """In the model's order, no conditional has a derivative by a later variable."""
    model = narrow(case.stirred(), Autoregressive)
    x = case.states()[_few(8, case)]
    for one in x.split(1):
        J = torch.autograd.functional.jacobian(lambda v: model.conditionals(v).sum(0), one)
        J = J.flatten(1)[model.order][:, model.order]
        off = float(J.triu(1).abs().max())
        expect(off == 0, f"a derivative of {off:.2g} by a later variable", "0")


@law(Autoregressive)
def earlier_variables_matter(case: Case) -> None:
    """A change moves no conditional before it, and each is moved by some earlier variable."""
    model = narrow(case.stirred(), Autoregressive)
    order, x = model.order, case.states()[_few(32, case)]
    with torch.no_grad():
        moved = torch.stack([_influence(model, x, int(j)) for j in order])[:, order]
    ahead = float(moved.tril(-1).abs().max())
    expect(ahead < 1e-6, f"a later variable moves a conditional by {ahead:.2g}", "no change")
    deaf = [t for t in range(1, len(order)) if moved[:t, t].max() < 1e-6]
    expect(not deaf, f"no earlier variable matters at places {deaf} of the order", "that some do")


@law(Explainable)
def explanation_sums_to_nats(case: Case) -> None:
    """What `explain` gives for variables and latents sums to −log p, or to the negative ELBO."""
    model: Any = case.stirred()  # the law applies: it is one of the two
    x = case.states()[_few(16, case)]
    with torch.no_grad():
        found = parts(model, x, _seeded())
        whole = (
            model.log_prob(x)
            if isinstance(model, Autoregressive)
            else model.elbo(x, generator=_seeded()).bound
        )
    shape = (len(x), *case.config["shape"])
    expect(found.variables.shape == shape, f"shape {tuple(found.variables.shape)}", f"{shape}")
    off = float((found.total() + whole).abs().max())
    expect(off < _TOLERANCE, f"a difference of {off:.2g} nats", f"less than {_TOLERANCE}")


# Completion


@law(Completer, Autoregressive, discrete)
def completion_follows_the_conditional(case: Case) -> None:
    """Given the first variables of the order, the rest is sampled from its exact conditional."""
    model = case.stirred()
    order = narrow(model, Autoregressive).order
    for d in (0, len(order) // 2, len(order)):
        known = torch.zeros(len(order), dtype=torch.bool)
        known[order[:d]] = True
        _expect_exact(model, case, known.reshape(tuple(case.config["shape"])))


@law(Completer, DensityModel, discrete)
def completion_of_any_mask_is_exact_or_refused(case: Case) -> None:
    """A mask is either completed from its exact conditional, or refused with InvalidInput."""
    model, shape = case.stirred(), tuple(case.config["shape"])
    known = (torch.arange(torch.Size(shape).numel()) % 2 == 1).reshape(shape)
    try:
        _expect_exact(model, case, known)
    except InvalidInput as error:
        expect(len(str(error)) > 40, f"the refusal {str(error)!r}", "a text that says why")


def _expect_exact(model: nn.Module, case: Case, known: Tensor) -> None:
    states = case.states()
    x = _sample(model, 1, seed=5)
    generator = torch.Generator().manual_seed(0)
    # what stands at unknown places must not matter: they hold ones here, and zeros below
    given = torch.where(known, x, 1.0).expand(_DRAWS // 4, *known.shape)
    sampled = narrow(model, Completer).complete(given, known, generator=generator)
    kept = torch.equal(sampled[:, known], given[:, known])
    expect(kept, "known variables changed", "that they are returned as given")
    again = narrow(model, Completer).complete(
        torch.where(known, given, 0.0), known, generator=torch.Generator().manual_seed(0)
    )
    same = torch.equal(sampled, again)
    expect(same, "what stands at unknown places changes the completion", "that it is ignored")
    fits = (states == x).flatten(1)[:, known.flatten()].all(1)
    log_p = _log_prob(model, states).double().masked_fill(~fits, -math.inf)
    p = p_value(_counts(sampled, states), log_p.softmax(0))
    wanted = f"p > {_LEAST_P} with {int(known.sum())} known"
    expect(p > _LEAST_P, f"p = {p:.2g} over {len(sampled)} completions", wanted)


# Latent variables


@law(Encoder)
def latents_are_of_each_input_alone(case: Case) -> None:
    """Latents are (B, latent_dim), finite, the same each time, and of each input alone."""
    encoder, x = narrow(case.stirred(), Encoder), case.states()[_few(16, case)]
    with torch.no_grad():
        z, alone = encoder.encode(x), torch.cat([encoder.encode(one) for one in x.split(1)])
        sampled = [encoder.encode(x, generator=_seeded(s)) for s in (1, 1)]
    _expect_shape(z, (len(x), encoder.latent_dim))
    expect(z.isfinite().all(), "values that are not finite", "finite ones")
    off = float((z - alone).abs().max())
    expect(off < 1e-3, f"a difference of {off:.2g} to the input alone", "less than 0.001")
    expect(torch.equal(*sampled), "two samples of the latents from one seed differ", "equal ones")


@law(Decoder)
def latents_are_decoded_into_range(case: Case) -> None:
    """Latents sampled from the prior are (n, latent_dim), seeded, and decoded into [0, 1]."""
    for model in (case.fresh(), case.stirred()):
        decoder = narrow(model, Decoder)
        with torch.no_grad():
            first, again, other = (decoder.latent(7, generator=_seeded(s)) for s in (1, 1, 2))
            x = decoder.decode(first)
        _expect_shape(first, (7, decoder.latent_dim))
        sound = torch.equal(first, again) and not torch.equal(first, other)
        expect(sound, "latents that do not follow the seed", "equal ones from equal seeds alone")
        _expect_shape(x, (7, *case.config["shape"]), "decoded shape")
        _expect_range(x)


@law(Traversable)
def walks_are_through_the_models_latents(case: Case) -> None:
    """Each walk has a value for each latent that it sets, and is decoded into [0, 1]."""
    model = narrow(case.stirred(), Traversable)
    with torch.no_grad():
        found, start = model.traversals(), model.latent(1, generator=_seeded())
    expect(bool(found), "no walk", "one or more")
    for name, dims, values, added in found:
        known = sorted({*dims} & {*range(model.latent_dim)})
        wanted = f"different latents from 0 to {model.latent_dim - 1}"
        expect(known == sorted(dims) != [], f"{name} sets the latents {dims}", wanted)
        lengths = {len(step) for step in values}
        measured = f"{name} has {len(values)} steps of {sorted(lengths)} values"
        expect(lengths == {len(dims)}, measured, f"steps of {len(dims)}")
        z = start.repeat(len(values), 1)
        z[:, list(dims)] = torch.tensor(values).to(z) + added * z[:, list(dims)]
        with torch.no_grad():
            x = model.decode(z)
        _expect_range(x, f"{name} goes")


@law(Pathfinder)
def paths_end_where_they_should(case: Case) -> None:
    """A path has the requested number of steps, from one latent to the other."""
    model = narrow(case.stirred(), Pathfinder)
    for steps in (2, 5):
        with torch.no_grad():
            ends = model.latent(2, generator=_seeded())
            way = model.path(ends[0], ends[1], steps)
        _expect_shape(way, (steps, model.latent_dim))
        off = float((way[[0, -1]] - ends).abs().max())
        expect(off < _TOLERANCE, f"ends that are off by {off:.2g}", f"less than {_TOLERANCE}")


@law(Bound)
def bounds_are_seeded_and_split(case: Case) -> None:
    """Both bounds are (B,), finite, follow the seed, and the ELBO is its two terms."""
    bound, x = narrow(case.stirred(), Bound), case.states()[_few(16, case)]
    with torch.no_grad():
        elbo, again = (bound.elbo(x, generator=_seeded()) for _ in range(2))
        tight = [bound.log_prob_bound(x, 3, generator=_seeded()) for _ in range(2)]
    for values in (elbo.reconstruction, elbo.prior_fitting, tight[0]):
        expect(values.shape == (len(x),), f"shape {tuple(values.shape)}", f"({len(x)},)")
        expect(values.isfinite().all(), "values that are not finite", "finite ones")
    split = torch.equal(elbo.bound, elbo.reconstruction - elbo.prior_fitting)
    expect(split, "an ELBO that is not its terms", "reconstruction − prior_fitting")
    same = torch.equal(elbo.bound, again.bound) and torch.equal(*tight)
    expect(same, "two bounds from one seed differ", "equal ones")


@law(Bound)
def bound_rises_with_k(case: Case) -> None:
    """The mean bound rises with k, from the ELBO on."""
    bound = narrow(case.fresh(), Bound)
    x = case.states()[_few(16, case)].repeat_interleave(256, 0)
    with torch.no_grad():
        values = [bound.log_prob_bound(x, k, generator=_seeded(k)) for k in (1, 5, 25)]
        values = [bound.elbo(x, generator=_seeded()).bound, *values]
    elbo, *means = (float(value.mean()) for value in values)
    error = 5 * float((values[0].var() + values[1].var()).sqrt()) / len(x) ** 0.5
    same = abs(means[0] - elbo) < error + _TOLERANCE
    expect(same, f"{means[0]:.3f} nats at k = 1", f"the ELBO, {elbo:.3f} ± {error:.3f}")
    slack = 2e-3 + error / 50
    rises = means[0] < means[1] + slack and means[1] < means[2] + slack
    expect(rises, f"{means} nats at k = 1, 5, 25", "that they rise")


@law(Bound, discrete)
def importance_weights_sum_to_one(case: Case) -> None:
    """The weights' means estimate p(x) without bias: over all states they sum to one."""
    bound = narrow(case.fresh(), Bound)
    with torch.no_grad():
        log_p = bound.log_prob_bound(case.states(), _WEIGHTS, generator=_seeded())
    total = float(log_p.double().exp().sum())
    expect(abs(total - 1) < 0.1, f"a sum of {total:.4f}", "1")


# What the laws share


def _few(n: int, case: Case) -> Tensor:
    """Places of n different states, (n,)."""
    generator = torch.Generator().manual_seed(3)
    return torch.randperm(len(case.states()), generator=generator)[:n]


def _inputs(n: int, case: Case) -> Tensor:
    """n different inputs, (n, *event_shape): states, or real numbers away from 0 and 1."""
    model = case.fresh()
    if discrete(model):
        return case.states()[_few(n, case)]
    return 0.05 + 0.9 * torch.rand(n, *shape_of(model), generator=_seeded(3))


def _seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _cells(model: nn.Module) -> Tensor:
    """The midpoints of a fine grid over [0, 1], (K, *event_shape)."""
    shape = shape_of(model)
    D = torch.Size(shape).numel()
    side = (torch.arange(_FINE) + 0.5) / _FINE
    return torch.cartesian_prod(*[side] * D).reshape(-1, *shape)


def _expect_shape(x: Tensor, wanted: tuple[int, ...], what: str = "shape") -> None:
    expect(tuple(x.shape) == wanted, f"{what} {tuple(x.shape)}", f"shape {wanted}")


def _expect_range(x: Tensor, what: str = "values") -> None:
    inside = x.isfinite().all() and x.min() >= 0 and x.max() <= 1
    expect(inside, f"{what} from {x.min():g} to {x.max():g}", "finite values in [0, 1]")


def _backward(loss: Tensor) -> None:
    loss.backward()


def _is_trained(parameter: nn.Parameter) -> bool:
    return parameter.requires_grad


def _sample(model: nn.Module, n: int, seed: int = 0, temperature: float = 1.0) -> Tensor:
    return narrow(model, Generator).sample(n, generator=_seeded(seed), temperature=temperature)


@torch.no_grad()
def _log_prob(model: nn.Module, x: Tensor) -> Tensor:
    return narrow(model, DensityModel).log_prob(x)


def _counts(x: Tensor, states: Tensor) -> Tensor:
    """How often each state is among x, (K,); a sample that is no state fails."""
    both = torch.cat([states, x]).flatten(1)
    _, place = both.unique(dim=0, return_inverse=True)
    counts = torch.bincount(place[len(states) :], minlength=int(place.max()) + 1)
    found = counts[place[: len(states)]]
    expect(found.sum() == len(x), f"{len(x) - int(found.sum())} samples are no state", "none")
    return found


def _influence(model: Autoregressive, x: Tensor, j: int) -> Tensor:
    """By how much each conditional moves, at most, when variable j is flipped, (D,)."""
    flipped = x.flatten(1).clone()
    flipped[:, j] = 1 - flipped[:, j]
    change = model.conditionals(flipped.view_as(x)) - model.conditionals(x)
    return change.abs().amax(0)


def _differences(state: dict[str, Tensor], other: dict[str, Tensor]) -> list[str]:
    unlike = [name for name in state if name in other and not torch.equal(state[name], other[name])]
    return sorted({*unlike, *(state.keys() ^ other.keys())})
