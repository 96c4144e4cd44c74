"""What the exercises are held to beside the laws of zoo: functions of a case, named in plugin.py.

The docstring's first line is the law's sentence. `expect` takes what must hold, what was measured
and what was expected; what it says is what a student sees.
"""

from itertools import combinations

import torch

from zoo_core.testing import Case, expect


def tree_is_the_most_probable(case: Case) -> None:
    """The edges span a tree, and no other tree has a greater likelihood."""
    model, D = case.cls(**case.config), 5
    for seed in range(5):
        random = torch.Generator().manual_seed(seed)
        x = torch.rand(400, D, generator=random) < 0.5
        for i in range(1, D):  # a variable is one before it, or its opposite, but for some noise
            j = int(torch.randint(i, (), generator=random))
            flips = torch.rand(400, generator=random) < 0.1 + 0.2 * torch.rand((), generator=random)
            x[:, i] = x[:, j] ^ flips ^ bool(i % 2)
        information = model.information(x.float())
        found = [(int(i), int(j)) for i, j in model.edges(x.float())]
        expect(_spans(found, D), f"edges {found}", f"{D - 1} edges that connect 0 … {D - 1}")
        trees = (t for t in combinations(combinations(range(D), 2), D - 1) if _spans([*t], D))
        best = max(sum(float(information[i, j]) for i, j in tree) for tree in trees)
        total = sum(float(information[i, j]) for i, j in found)
        expect(abs(total - best) < 1e-6, f"{total:.4f} nats of information", f"{best:.4f}")


def _spans(edges: list[tuple[int, int]], D: int) -> bool:
    """Whether D − 1 edges connect all variables."""
    if len(edges) != D - 1:
        return False
    reached = {0}
    for _ in range(D):
        reached |= {k for edge in edges if reached & set(edge) for k in edge}
    return reached == set(range(D))


def sample_has_the_gradient(case: Case) -> None:
    """Samples are distributed as N(μ, σ²), and the gradient of E[z²] by μ is 2μ, by σ it is 2σ."""
    μ = torch.tensor([[0.5, -1.0]], requires_grad=True)
    σ = torch.tensor([[0.5, 2.0]], requires_grad=True)
    n, random = 100_000, torch.Generator().manual_seed(0)
    z = case.cls(**case.config).draw(μ.expand(n, 2), σ.square().log().expand(n, 2), random)
    expect(tuple(z.shape) == (n, 2), f"shape {tuple(z.shape)}", "that of μ")
    spread = z.detach().std(0)
    near = torch.allclose(spread, σ.detach()[0], rtol=0.05)
    expect(near, f"standard deviations {spread.tolist()}", f"{σ[0].tolist()}")
    expect(z.requires_grad, "a sample without a gradient", "one that is a function of μ and σ")
    slopes = torch.autograd.grad(z.square().mean(0).sum(), (μ, σ), allow_unused=True)
    for name, slope, at in zip("μσ", slopes, (μ, σ), strict=True):
        expect(slope is not None, f"no gradient by {name}", "one")
        close = slope is not None and torch.allclose(slope, 2 * at.detach(), atol=0.1)
        expect(close, f"a gradient by {name} of {slope}", f"{(2 * at).tolist()}")


def loss_does_not_saturate(case: Case) -> None:
    """The loss is the mean of −log σ(l), finite, and falls by 1 a logit where D is sure."""
    for logit, value, slope in ((0.0, 0.6931, -0.5), (-9.0, 9.0001, -1.0), (-200.0, 200.0, -1.0)):
        logits = torch.full((4,), logit, requires_grad=True)
        loss = case.cls(**case.config).loss(logits)
        expect(loss.shape == (), f"shape {tuple(loss.shape)}", "one number")
        near = abs(loss.item() - value) < 1e-3
        expect(near, f"{loss.item():.4f} at the logit {logit:g}", f"{value:.4f}")
        (found,) = torch.autograd.grad(loss, logits)
        close = abs(float(found.sum()) - slope) < 1e-3
        expect(close, f"a slope of {float(found.sum()):.4f} at the logit {logit:g}", f"{slope:g}")


def cycles_close_in_both_directions(case: Case) -> None:
    """Inverses cost 0, and each direction that does not close costs its mean absolute error."""
    model = case.cls(**case.config)
    x, y = torch.full((2, 1, 3, 3), 0.25), torch.full((4, 1, 3, 3), 0.75)
    for name, F, G, cost in (
        ("inverses", lambda v: 1 - v, lambda v: 1 - v, 0.0),
        ("F = v / 2 and G = v", lambda v: v / 2, lambda v: v, 0.125 + 0.375),
        ("F = v² and G = 2v", lambda v: v**2, lambda v: 2 * v, 0.125 + 1.5),
    ):
        found = float(model.loss(x, y, F, G))
        expect(abs(found - cost) < 1e-5, f"{found:.4f} for {name}", f"{cost:.4f}")
