"""The full joint table of n binary variables: 2^n - 1 parameters, the top of the ladder.

    p(x) = (count of x, + α) / (count of inputs, + 2^n α)

No structure is assumed, so states that are not in the training data all get the same probability,
α / (N + 2^n α). Choose α on validation data. The weights hold the log-odds of each state against
the first one, all zeros.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from zoo_autoregressive.counting import check_alpha
from zoo_autoregressive.layers import keep_order
from zoo_core import draws
from zoo_core.checks import check_inputs, check_mask, check_sampling
from zoo_core.errors import InvalidInput
from zoo_core.precision import single

__all__ = ["Joint"]

_MOST = 24
"""Variables of the largest table: 2^24 numbers are 64 MB, and as many as torch samples from."""


class Joint(nn.Module):
    """A probability table over all states.

    Args:
        shape: shape of one input, (C, H, W) for images or (D,) for tables; at most 24 variables.
        alpha: added to the count of each state.
    """

    levels = 2
    order: Tensor

    def __init__(self, shape: tuple[int, ...] = (16,), alpha: float = 0.03) -> None:
        super().__init__()
        D = torch.Size(shape).numel()
        if D > _MOST:
            raise InvalidInput(
                f"a joint table of {D} binary variables has 2^{D} - 1 = {_number(D)} parameters; "
                f"it is possible up to {_MOST} ({2**_MOST - 1:,}). Use a model that factorises: "
                "chow-liu, fvsbn or nade."
            )
        self.event_shape = tuple(shape)
        self.alpha = check_alpha(alpha)
        keep_order(self, torch.arange(D))
        self.log_odds = nn.Parameter(torch.zeros(2**D - 1), requires_grad=False)

    def log_p(self, temperature: float = 1.0) -> Tensor:
        """The logarithm of each state's probability, (2^D,); the first variable counts most."""
        return functional.pad(single(self.log_odds), (1, 0)).div(temperature).log_softmax(0)

    def states(self, x: Tensor) -> Tensor:
        """The number of each row's state, (B,), int64, for rows (B, any) of bits."""
        places = torch.arange(x.shape[1] - 1, -1, -1, device=x.device)
        return (x.round().long() * 2**places).sum(1)  # shifts cannot be exported

    def bits(self, states: Tensor, n: int) -> Tensor:
        """The rows (B, n) of the states (B,)."""
        places = torch.arange(n - 1, -1, -1, device=states.device)
        return (states.unsqueeze(1) >> places & 1).to(self.log_odds.dtype)

    def statistics(self, x: Tensor) -> Tensor:
        """Count of each state: (2^D,), int64."""
        check_inputs(self, x)
        return torch.bincount(self.states(x.flatten(1)), minlength=2 ** len(self.order))

    def fit(self, counts: Tensor) -> None:
        """Set the log-odds from the sum of the statistics, (2^D,)."""
        log = (counts.cpu().double() + self.alpha).log()
        self.log_odds.data.copy_(log[1:] - log[0])

    def conditionals(self, x: Tensor) -> Tensor:
        """log p(x_i | x_1 … x_{i-1}) of each variable: (B, D), nats.

        x: inputs, (B, *event_shape), in {0, 1}.
        """
        check_inputs(self, x)
        log_p, state, values = self.log_p(), self.states(x.flatten(1)), []
        for _ in range(len(self.order)):
            # what is summed over is the last variable that is left
            before = log_p.reshape(-1, 2).logsumexp(1)
            values.append(log_p[state] - before[state >> 1])
            log_p, state = before, state >> 1
        return torch.stack(values[::-1], 1)

    def log_prob(self, x: Tensor) -> Tensor:
        """Exact log-probability of each input, (B,), nats.

        x: inputs, (B, *event_shape), in {0, 1}.
        """
        check_inputs(self, x)
        return self.log_p()[self.states(x.flatten(1))]

    def sample(
        self, n: int, *, generator: torch.Generator | None = None, temperature: float = 1.0
    ) -> Tensor:
        """Return n samples, (n, *event_shape), in {0, 1}."""
        check_sampling(n, temperature, self.event_shape)
        states = draws.categories(self.log_p(temperature).exp(), n, generator)
        return self.bits(states, len(self.order)).reshape(n, *self.event_shape)

    def complete(
        self,
        x: Tensor,
        known: Tensor,
        *,
        generator: torch.Generator | None = None,
        temperature: float = 1.0,
    ) -> Tensor:
        """Sample the unknown variables of each input from their conditional distribution.

        x: inputs, (B, *event_shape), in {0, 1}.
        known: mask of the known variables, event_shape, bool; any.
        """
        check_mask(self, known)
        check_inputs(self, x, known)
        check_sampling(len(x), temperature)
        D, x = len(self.order), x.flatten(1).clone()
        given, free = (mask.nonzero().flatten() for mask in (known.flatten(), ~known.flatten()))
        table = self.log_p(temperature).reshape((2,) * D).permute(*given.tolist(), *free.tolist())
        rows = table.reshape(2 ** len(given), 2 ** len(free))
        kinds, kind = self.states(x[:, given]).unique(return_inverse=True)
        for i, row in enumerate(kinds.tolist()):
            alike = (kind == i).nonzero()
            stream = draws.of_samples(generator, alike.flatten())
            sampled = draws.categories(rows[row].softmax(0), len(alike), stream)
            x[alike, free.to(x.device)] = self.bits(sampled, len(free))
        return x.reshape(len(x), *self.event_shape)


def _number(D: int) -> str:
    """2^D - 1 in digits, or as a power of ten where it is long."""
    return f"{2**D - 1:,}" if D <= 64 else f"about 10^{D * 0.30103:.0f}"
