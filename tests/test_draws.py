"""Random numbers: torch's own from any generator, and a stream for each sample from Streams."""

import pytest
import torch

from zoo_core import draws
from zoo_core.draws import Rows, Streams, batch_rows


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
    some, all_ = Streams(5).take([6, 2]), Streams(5).take(range(7))
    assert torch.equal(draws.rand(2, 6, generator=some), draws.rand(7, 6, generator=all_)[[6, 2]])
    assert not seven.shared


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
@pytest.mark.parametrize("D", [0, 1, 5, 16, 50])
def test_how_many_are_sampled_at_once_changes_no_bit(D: int, dtype: torch.dtype) -> None:
    for draw in (draws.rand, draws.randn):
        whole = draw(12, D, generator=Streams(5), dtype=dtype)
        assert whole.dtype == dtype and whole.shape == (12, D) and whole.is_contiguous()
        for n in (1, 5, 11):
            first = draw(n, D, generator=Streams(5), dtype=dtype)
            rest = draw(12 - n, D, generator=Streams(5, first=n), dtype=dtype)
            assert torch.equal(torch.cat([first, rest]), whole)
    assert D == 0 or draws.rand(4000, D, generator=Streams(5), dtype=dtype).max() < 1


def test_a_stream_goes_on_whichever_samples_are_beside_it() -> None:
    streams, others = Streams(5), Streams(5)
    first = draws.rand(4, 3, generator=streams)
    odd, even = streams.take([1, 3]), streams.take([0, 2])
    second = torch.stack([draws.rand(2, 3, generator=s) for s in (even, odd)], 1).reshape(4, 3)
    third = draws.rand(4, 3, generator=streams)
    fourth = draws.rand(4, 3, generator=streams.take([0, 1, 2, 3]))
    everything = [first, second, third, fourth]
    assert len(torch.cat(everything).unique()) == 48
    again = [draws.rand(4, 3, generator=others)]
    again.append(draws.rand(4, 3, generator=others.take([0, 1, 2, 3])))
    again.append(draws.rand(4, 3, generator=others))
    again.append(draws.rand(4, 3, generator=others.take([3, 0, 1, 2]))[[1, 2, 3, 0]])
    assert torch.equal(torch.stack(everything), torch.stack(again))
    two = [draws.rand(2, 3, generator=odd), draws.rand(1, 3, generator=odd.take([1]))]
    assert len(torch.cat([*everything, *two]).unique()) == 48 + 9
    assert draws.rand(0, 3, generator=streams.take([])).shape == (0, 3)


def test_other_counts_of_numbers_are_other_numbers() -> None:
    two, three = (draws.rand(2, D, generator=Streams(5)) for D in (2, 3))
    assert len(torch.cat([two.flatten(), three.flatten()]).unique()) == 10


def test_each_sample_has_a_generator_of_its_own() -> None:
    streams = Streams(5)
    whole = [torch.rand(2, generator=one) for one in streams.of(3)]
    (last,) = Streams(5).take([1, 2]).take([1]).of(1)
    assert torch.equal(torch.rand(2, generator=last), whole[2])
    assert len(torch.cat([*whole, torch.rand(2, generator=streams.of(1)[0])]).unique()) == 8


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
    z = draws.randn(n, 3, generator=Streams(2))
    assert z.mean(0).abs().max() < 0.03 and (z.std(0) - 1).abs().max() < 0.02
    assert z.pow(4).mean() == pytest.approx(3, abs=0.15)
    assert torch.corrcoef(z.T).triu(1).abs().max() < 0.03
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


@pytest.mark.parametrize("places", [slice(0, None, 2), slice(1, None, 2), slice(None)])
def test_rows_of_a_batch_have_the_numbers_that_one_process_draws(places: slice) -> None:
    whole, own = seeded(), torch.Generator().manual_seed(9)
    rows = Rows(own, whole=seeded())
    n = len(range(7)[places])
    for _ in range(2):  # each draw goes on where the last one ended, in each part of a step
        rows.begin(7, places)
        assert batch_rows(rows, n) == 7
        expected = torch.randn(7, 3, generator=whole)[places]
        assert torch.equal(draws.randn(n, 3, generator=rows), expected)
        expected = torch.rand(3, 7, generator=whole)[:, places]
        assert torch.equal(draws.rand(3, n, dim=1, generator=rows), expected)
    # what is not of rows, or not drawn by these functions, is the process's own
    assert torch.equal(draws.rand(9, generator=rows), torch.rand(9, generator=own))
    assert torch.equal(torch.rand(2, generator=rows), torch.rand(2, generator=own))
