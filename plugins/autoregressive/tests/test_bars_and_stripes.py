"""A trained model held against the truth: the entropy of bars and stripes is known."""

import torch
from zoo_autoregressive.nade import NADE

from zoo_core.data import bars_and_stripes_entropy, load_dataset


def test_nade_approaches_the_entropy_from_above() -> None:
    # every image as often as the distribution has it: the mean is the exact cross-entropy
    x = load_dataset("bars-and-stripes:test").floats()
    entropy = bars_and_stripes_entropy(3)
    torch.manual_seed(0)
    model = NADE(shape=(1, 3, 3), hidden=32)
    model.begin(x.mean(0))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.03)
    nll = []
    for _ in range(600):
        loss = -model.log_prob(x).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        nll.append(float(loss.detach()))
    assert min(nll) > entropy - 1e-4, "below the entropy: log_prob is no probability"
    assert nll[0] > entropy + 1
    assert nll[-1] < entropy + 0.05
