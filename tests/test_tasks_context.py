import torch
from torch import nn

from zoo_core import draws
from zoo_core.tasks.context import Context


def test_the_same_seed_gives_the_same_stream_each_time() -> None:
    one, other = Context(seed=1), Context(seed=2)
    model = nn.Linear(1, 1)
    first, again = (torch.rand(3, generator=one.generator(model)) for _ in range(2))
    assert torch.equal(first, again)
    assert not torch.equal(first, torch.rand(3, generator=other.generator(model)))


def test_batches_hold_every_row_once_and_progress_is_told_of_each() -> None:
    told: list[tuple[int, int]] = []
    context = Context(batch_size=3, progress=lambda done, n: told.append((done, n)))
    x = torch.arange(8)
    assert [part.tolist() for part in context.batches(x)] == [[0, 1, 2], [3, 4, 5], [6, 7]]
    assert told == [(3, 8), (6, 8), (8, 8)]
    assert list(context.sizes(3)) == [3]
    assert list(context.sizes(0)) == []


def test_a_sample_depends_on_the_seed_and_its_number_alone() -> None:
    def numbers(n: int, batch_size: int, again: int = 0) -> torch.Tensor:
        samples = Context(seed=7, batch_size=batch_size).samples(nn.Linear(1, 1), n, again)
        return torch.cat([draws.rand(size, 3, generator=streams) for size, streams in samples])

    twelve = numbers(12, 256)
    for n, batch_size in ((5, 256), (5, 2), (11, 4)):
        assert torch.equal(numbers(n, batch_size), twelve[:n])
    assert not torch.equal(numbers(5, 256, again=1), twelve[:5])


def test_draws_from_one_stream_go_on_and_are_noted_once() -> None:
    context = Context(batch_size=2)
    parts = [
        torch.rand(size, generator=streams)
        for again in range(2)
        for size, streams in context.samples(nn.Linear(1, 1), 6, again)
    ]
    assert torch.equal(
        torch.cat(parts[:3]), torch.rand(6, generator=torch.Generator().manual_seed(0))
    )
    assert len(torch.cat(parts).unique()) == 12
    (note,) = context.notes
    assert note.startswith("this model takes all samples from one stream of random numbers")
