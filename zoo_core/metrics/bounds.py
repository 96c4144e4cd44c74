"""What a latent-variable model tells of its likelihood: bounds, their terms, its active latents.

The protocol is that of a likelihood; its `seed` is that of the draws of the latents, too. `k` is
the number of draws for each row.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor, nn

from zoo_core.errors import InvalidInput
from zoo_core.metrics.likelihood import held_out, values
from zoo_core.metrics.measured import Measured
from zoo_core.metrics.rows import Root, seeded
from zoo_core.protocols import Bound, Encoder

__all__ = ["active_units", "elbo", "iw_bound", "prior_fitting"]

_ACTIVE = 0.01
"""Variance, over the rows, of a latent's posterior mean from which it is active (Burda et al.)."""


def iw_bound(model: nn.Module, protocol: Mapping[str, Any], data_root: Root = None) -> Measured:
    """Mean of −log 1/k ∑ w_i, in expectation at least −log p(x), in nats (Burda et al. 2015)."""
    bound, k, random = _bound(model), int(protocol["k"]), seeded(protocol, model)
    return Measured.of(
        -_over_rows(
            model, protocol, data_root, lambda x: bound.log_prob_bound(x, k, generator=random)
        )
    )


def elbo(model: nn.Module, protocol: Mapping[str, Any], data_root: Root = None) -> Measured:
    """Mean of the negative evidence lower bound, in nats."""
    bound, random = _bound(model), seeded(protocol, model)
    return Measured.of(
        -_over_rows(model, protocol, data_root, lambda x: bound.elbo(x, generator=random).bound)
    )


def prior_fitting(
    model: nn.Module, protocol: Mapping[str, Any], data_root: Root = None
) -> Measured:
    """Mean of the ELBO's second term, the KL of the posterior to the prior, in nats."""
    bound, random = _bound(model), seeded(protocol, model)
    return Measured.of(
        _over_rows(
            model, protocol, data_root, lambda x: bound.elbo(x, generator=random).prior_fitting
        )
    )


def active_units(model: nn.Module, protocol: Mapping[str, Any], data_root: Root = None) -> Measured:
    """How many latents follow the input: those whose posterior mean varies by more than 0.01."""
    if not isinstance(model, Encoder):
        raise InvalidInput(f"{type(model).__name__} has no encoder: there are no latents to count.")
    means = _over_rows(model, protocol, data_root, model.encode)
    return Measured(float((means.var(0) > _ACTIVE).sum()), 0.0, len(means))


def _bound(model: nn.Module) -> Bound:
    if not isinstance(model, Bound):
        raise InvalidInput(
            f"{type(model).__name__} offers no bound of its likelihood (elbo, log_prob_bound). "
            "An explicit model is measured by test_nll."
        )
    return model


def _over_rows(
    model: nn.Module,
    protocol: Mapping[str, Any],
    data_root: Root,
    value: Callable[[Tensor], Tensor],
) -> Tensor:
    """The value of each row that the protocol names, (N, ...), float64."""
    rows = held_out({key: v for key, v in protocol.items() if key != "k"}, data_root)
    return values(model, rows, value)
