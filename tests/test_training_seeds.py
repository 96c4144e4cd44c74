"""Random streams: all different, and the same for ever, since published weights depend on them."""

import torch

from zoo_core.training.seeds import seed_default, seed_for, stream


def test_each_stream_is_another() -> None:
    streams = [(s, p, n) for s in (0, 1) for p in ("epoch", "step of 0") for n in (0, 1, 2)]
    assert len({seed_for(*each) for each in streams}) == len(streams)
    assert all(0 <= seed_for(*each) < 2**63 for each in streams)


def test_streams_stay_what_they_were() -> None:
    assert seed_for(0, "begin") == 8_362_370_695_238_938_182
    assert seed_for(7, "step of 0", 1000) == 1_310_934_174_038_073_827


def test_a_stream_begins_at_its_seed_each_time() -> None:
    first, again = (torch.rand(3, generator=stream(0, "x", 4)) for _ in range(2))
    assert torch.equal(first, again)
    assert not torch.equal(first, torch.rand(3, generator=stream(0, "x", 5)))


def test_the_default_stream_is_seeded() -> None:
    state = torch.get_rng_state()
    try:
        seed_default(3, torch.device("cpu"))
        first = torch.rand(3)
        seed_default(3, torch.device("cpu"))
        assert torch.equal(first, torch.rand(3))
    finally:
        torch.set_rng_state(state)
