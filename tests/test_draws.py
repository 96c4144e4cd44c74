"""Random numbers: torch's own from any generator, and a stream for each sample from Streams."""

import pytest
import torch

from zoo_core import draws
from zoo_core.draws import Streams


def seeded() -> torch.Generator:
    return torch.Generator().manual_seed(3)


def test_from_a_plain_generator_the_numbers_are_torchs() -> None:
    p = torch.rand(4, 5, 3, generator=seeded()).softmax(-1)
    assert torch.equal(
        draws.rand(4, 5, dim=1, generator=seeded()), torch.rand(4, 5, generator=seeded())
    )
    assert torch.equal(draws.randn(4, 5, generator=seeded()), torch.randn(4, 5, generator=seeded()))
    assert torch.equal(
        draws.randint(7, 9, generator=seeded()), torch.randint(7, (9,), generator=seeded())
    )
    assert torch.equal(draws.bernoulli(p, seeded()), torch.bernoulli(p, generator=seeded()))
    assert torch.equal(
        draws.categorical(p, seeded()).flatten(),
        p.flatten(0, 1).multinomial(1, generator=seeded()).flatten(),
    )
    assert torch.equal(
        draws.categories(p[0], 6, seeded()), p[0].multinomial(6, True, generator=seeded()).t()
    )
    generator = seeded()
    assert draws.of_samples(generator, torch.tensor([1])) is generator


def test_a_sample_has_the_same_numbers_among_any_others() -> None:
    seven, four = Streams(5), Streams(5, first=3)
    for dim, draw in ((0, draws.rand), (1, draws.randn)):
        whole = draw(*((7, 6) if dim == 0 else (6, 7)), dim=dim, generator=seven)
        rest = draw(*((4, 6) if dim == 0 else (6, 4)), dim=dim, generator=four)
        assert torch.equal(whole.movedim(dim, 0)[3:], rest.movedim(dim, 0))
        assert whole.is_contiguous()
    some = Streams(5).take([6, 2])
    assert torch.equal(
        draws.rand(2, 6, generator=some), draws.rand(7, 6, generator=Streams(5))[[6, 2]]
    )
    assert not seven.shared


def test_seeds_samples_and_rounds_have_streams_of_their_own() -> None:
    rows = [
        draws.rand(50, 4, generator=Streams(seed, again=again))
        for seed, again in ((0, 0), (1, 0), (0, 1), (2**63 - 1, 0))
    ]
    assert len(torch.cat(rows).unique(dim=0)) == 200
    assert len({draws._seed(123 << 40, i) for i in range(100_000)}) == 100_000


def test_streams_say_whether_they_were_drawn_from_as_one() -> None:
    streams = Streams(4)
    draws.rand(3, generator=streams)
    assert not streams.shared
    one = torch.rand(3, generator=streams)
    assert streams.shared
    assert torch.equal(one, torch.rand(3, generator=torch.Generator().manual_seed(4)))


def test_the_draws_of_streams_are_distributed_as_they_should_be() -> None:
    n = 20_000
    u = draws.rand(n, 3, generator=Streams(1))
    assert u.mean(0).sub(0.5).abs().max() < 0.01 and u.min() >= 0 and u.max() < 1
    assert torch.corrcoef(u.T).triu(1).abs().max() < 0.03
    assert draws.randn(n, generator=Streams(2)).std() == pytest.approx(1, abs=0.02)
    p = torch.tensor([0.2, 0.0, 0.5, 0.3])
    for drawn in (
        draws.categories(p, n, Streams(3)),
        draws.categorical(p.expand(n, 4), Streams(4)),
        draws.categories(p.expand(2, 4), n, Streams(5))[:, 1],
    ):
        shares = torch.bincount(drawn, minlength=4) / n
        assert (shares - p).abs().max() < 0.015 and shares[1] == 0
    assert draws.bernoulli(torch.full((n,), 0.3), Streams(6)).mean() == pytest.approx(0.3, abs=0.02)
    assert set(draws.randint(3, n, generator=Streams(7)).tolist()) == {0, 1, 2}
    assert draws.rand(0, 3, generator=Streams(8)).shape == (0, 3)
