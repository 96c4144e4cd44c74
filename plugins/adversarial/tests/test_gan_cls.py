"""GAN-CLS: its encoder of texts, what each loss moves, and that a run can be stopped."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Callable, Sequence
from copy import deepcopy
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest
import torch
from click.testing import CliRunner
from torch import Tensor, nn
from toy_training import moved
from zoo_adversarial import text
from zoo_adversarial.gan_cls import GANCLS
from zoo_adversarial.gan_cls_trainer import Matching
from zoo_adversarial.text import WORDS, Characters, Sentences, Whitening

from zoo_core import loading
from zoo_core.cli import root
from zoo_core.data import Dataset
from zoo_core.errors import InvalidInput
from zoo_core.protocols import Decoder, Prompted
from zoo_core.training.protocols import CaptionReader, Preview

SHAPE = (3, 16, 16)
TEXTS = ("red apple", "cat", "green apple", "dog face", "cat face", "1st place medal", "ox", "cat")


def random(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def model(**config: Any) -> GANCLS:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        small = {"z": 4, "channels": 4, "compressed": 6, "code": 8}
        return GANCLS(SHAPE, **{**small, **config})


def batch() -> tuple[Tensor, Tensor]:
    """Images and what is read of their captions."""
    x = torch.rand(len(TEXTS), *SHAPE, generator=random())
    return x, model().text.tokens(TEXTS)


# Texts


def test_an_alphabet_of_more_characters_than_a_byte_counts_is_refused() -> None:
    characters = "".join(map(chr, range(0x4E00, 0x4E00 + 300)))
    assert Characters(characters[:255], 8, 4).tokens([characters[254]])[0, 0] == 255
    with pytest.raises(
        InvalidInput, match=r"config\.alphabet has 300 characters; expected at most"
    ):
        Characters(characters, 8, 4)


def test_tokens_are_places_in_the_alphabet_and_nothing_behind_the_text() -> None:
    tokens = Characters("ab ", 6, 4).tokens(["ab", " B  a "])
    assert tokens.tolist() == [[1, 2, 0, 0, 0, 0], [2, 3, 1, 0, 0, 0]]
    marked = Characters("ab -", 6, 4).tokens(["a, b-", "A-b!"])
    assert marked.tolist() == [
        [1, 3, 2, 4, 0, 0],
        [1, 4, 2, 0, 0, 0],
    ]  # the alphabet has the hyphen
    cased = Characters("aA", 3, 4).tokens(["aA"])
    assert cased.tolist() == [[1, 2, 0]]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"^the text '' is empty; expected some words out of the characters ' 0123456789abc"),
        ("  ", r"is empty; expected some words"),
        ("café & tea", r"'café & tea' has 'é', which this model does not read; it reads ' 01"),
        ("x" * 49, r"has 49 characters; this model reads up to 48\.$"),
    ],
)
def test_a_text_that_cannot_be_read_says_what_can(text: str, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        model().read([text])


def test_a_code_is_of_each_text_alone_and_texts_differ() -> None:
    encoder = model()
    codes = encoder.read(TEXTS)
    assert codes.shape == (len(TEXTS), 8)
    alone = torch.cat([encoder.read([text]) for text in TEXTS])
    assert torch.allclose(codes, alone, atol=1e-6)
    apart = torch.cdist(codes, codes)
    assert torch.equal(apart[1], apart[7])  # one text twice
    assert float((apart + torch.eye(8))[:7, :7].min()) > 1e-4


def test_the_order_of_characters_matters_and_the_case_does_not() -> None:
    encoder = model()
    assert not torch.allclose(encoder.read(["cat"]), encoder.read(["act"]), atol=1e-3)
    assert torch.equal(encoder.read(["cat"]), encoder.read([" Cat "]))


# A sentence encoder


class Encoder(nn.Linear):
    """Stands for sentence-transformers, whose encoders are modules: five features."""

    asked: ClassVar[list[str]] = []

    def __init__(self, name: str) -> None:
        if not name.endswith("tiny"):
            raise OSError(f"There is no {name}.")
        super().__init__(2, 2)

    def encode(self, texts: Sequence[str], convert_to_tensor: bool) -> Tensor:
        self.asked.extend(texts)
        return torch.tensor([[float(len(text) + i) for i in range(5)] for text in texts])


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sentence-transformers, whether it is installed or not."""
    quiet = SimpleNamespace(disable_progress_bar=lambda: None)
    monkeypatch.setitem(sys.modules, "transformers.utils.logging", quiet)
    package = SimpleNamespace(SentenceTransformer=Encoder)
    monkeypatch.setitem(sys.modules, "sentence_transformers", package)


@pytest.mark.usefixtures("library")
def test_a_sentence_encoder_is_taken_by_its_name() -> None:
    encoder = model(encoder="tiny", code=5)
    assert encoder.text.tokens(["ab"]).tolist() == [[2, 3, 4, 5, 6]]
    assert encoder.sample(2, generator=random(), prompt="a sentence, even!").shape == (2, *SHAPE)
    with pytest.raises(InvalidInput, match=r"tiny gives 5 features; config.code is 8. Set it to 5"):
        Sentences("tiny", 8).tokens(["ab"])
    with pytest.raises(InvalidInput, match=r"^the text '  ' is empty"):
        encoder.read(["  "])


@pytest.mark.usefixtures("library")
def test_a_text_is_encoded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Encoder, "asked", [])
    encoder = Sentences("tiny", 5)
    rows = encoder.tokens(["ab", "abc", "ab"])
    assert [name for name, _ in encoder.named_parameters()] == ["last.weight"]
    assert rows[:, 0].tolist() == [2, 3, 2]
    assert Encoder.asked == ["ab", "abc"]


@pytest.mark.usefixtures("library")
def test_a_package_can_carry_a_sentence_encoder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    folder = tmp_path / "carrier" / "models" / "tiny"
    folder.mkdir(parents=True)
    (folder / "modules.json").write_text("[]")
    (tmp_path / "carrier" / "__init__.py").touch()
    (tmp_path / "idle.py").touch()
    monkeypatch.syspath_prepend(str(tmp_path))
    assert text._place("carrier") == str(folder)
    for other in ("idle", "no_such_package", "some-one/encoder", str(folder)):
        assert text._place(other) == other
    assert Sentences("carrier", 5).tokens(["ab"]).shape == (1, 5)


@pytest.mark.usefixtures("library")
def test_a_sentence_encoder_is_not_looked_for_in_a_network_that_is_forbidden(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("ZOO_OFFLINE", "1")
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")  # so that it is put back
    monkeypatch.delenv("HF_HUB_OFFLINE")
    Sentences("tiny", 5).tokens(["ab"])
    assert os.environ["HF_HUB_OFFLINE"] == "1"


@pytest.mark.usefixtures("library")
def test_a_sentence_encoder_that_is_not_known_says_what_may_be_named() -> None:
    with pytest.raises(
        InvalidInput,
        match=r"the encoder other could not be loaded: There is no other\. Expected a name that",
    ):
        Sentences("other", 5).tokens(["ab"])


def test_a_sentence_encoder_that_is_not_there_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "sentence_transformers", None)
    with pytest.raises(
        InvalidInput, match=r"tiny needs .* pip install 'zoo-adversarial\[sentences"
    ):
        Sentences("tiny", 5).tokens(["ab"])


# The model


def test_a_prompt_decides_the_image_and_the_noise_the_rest() -> None:
    G = model().eval().requires_grad_(False)
    assert isinstance(G, Prompted) and isinstance(G, Decoder)
    for parameter in G.network.parameters():
        parameter.mul_(5)  # the paper's initial weights hardly let anything through
    cat, again, ox = (G.sample(3, generator=random(), prompt=p) for p in ("cat", "cat", "ox"))
    assert cat.shape == (3, *SHAPE)
    assert 0 <= float(cat.min()) < float(cat.max()) <= 1
    assert torch.equal(cat, again)
    assert not torch.allclose(cat, ox)
    assert not torch.allclose(cat[0], cat[1])
    one = G.sample(3, generator=random(), prompt="cat", temperature=1e-6)
    assert torch.allclose(one[0], one[1], atol=1e-4)
    assert torch.equal(G.sample(3, generator=random(), prompt=G.read(["cat"])), cat)


def test_without_a_prompt_texts_are_drawn_that_are_known_from_training() -> None:
    G = model().eval()
    G.remember(G.text.tokens(["cat", "ox"]))
    codes = G.latent(50, generator=random())[:, G.z :]
    nearest = torch.cdist(codes, G.read(["cat", "ox"])).min(1)
    assert float(nearest.values.max()) < 0.01
    assert set(nearest.indices.tolist()) == {0, 1}


def test_as_many_texts_are_remembered_as_there_is_room_for() -> None:
    G = model()
    for start in range(0, 80, 16):
        G.remember(G.text.tokens([f"thing {i}" for i in range(start, start + 16)]))
    assert int(G.held) == 64
    assert torch.equal(G.known, G.text.tokens([f"thing {i}" for i in range(64)]))


def test_a_shape_that_cannot_be_halved_four_times_is_refused() -> None:
    with pytest.raises(InvalidInput, match="sides that are multiples of 16"):
        GANCLS((3, 24, 24))


@pytest.mark.parametrize(
    ("prompts", "code", "message"),
    [
        ([""], 2, "the text '' is empty; expected some words out of the characters ' 0123"),
        (
            ["cat", "猫"],
            2,
            "the text '猫' has '猫', which this model does not read; it reads",
        ),
        (["cat", "ox"], 0, "2 paths between prompts by"),
    ],
)
def test_prompts_at_the_terminal(
    prompts: list[str], code: int, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    config = {"shape": list(SHAPE), "z": 3, "channels": 2, "code": 4}
    described = {
        "name": "gan-cls.tiny",
        "family": "adversarial",
        "requires": "zoo-adversarial>=0.1",
        "architecture": "gan-cls",
        "config": config,
    }
    loading.save(GANCLS(**config), Path("tiny.safetensors"), described)  # type: ignore[arg-type]
    task = ["--task", "interpolate", "--pairs", "2"] if not code else ["-n", "2"]
    given = [word for prompt in prompts for word in ("--prompt", prompt)]
    done = CliRunner().invoke(root, ["run", "tiny.safetensors", *task, *given, "-o", "out.png"])
    assert done.exit_code == code, done.stderr
    assert message in done.stderr
    assert Path("out.png").is_file() != bool(code)


# Training


def test_the_discriminator_teaches_the_encoder_and_the_generator_gets_a_copy() -> None:
    trainer = Matching(model())
    G, D = trainer._generator, trainer._matcher
    with torch.no_grad():
        D.text.last.weight.add_(1)
    reached, values = moved(trainer, *batch())
    parts = {f"discriminator.{part}" for part in ("text", "compress", "trunk", "head", "embedding")}
    assert reached["discriminator"] == parts
    assert reached["model"] == {"model.compress", "model.network"}
    assert all(math.isfinite(value) for value in values.values())
    for copy, learnt in zip(G.text.parameters(), D.text.parameters(), strict=True):
        assert torch.equal(copy, learnt)
        assert learnt.requires_grad and not copy.requires_grad


def test_the_discriminators_loss_is_the_papers() -> None:
    trainer = Matching(model())
    G, D = trainer._generator, trainer._matcher
    x, tokens = batch()
    with torch.no_grad():
        code, noise = D.read(tokens), G.noise(8, generator=random())
        both = torch.cat([code, (code + code.roll(1, 0)) / 2])
        fake = G(torch.cat([torch.cat([noise, noise]), both], 1))[:8]
        z, h = 2 * x - 1, D.features(2 * x - 1)
        right, wrong, drawn = D(h, code), D(h, code.roll(1, 0)), D(D.features(fake), code)
        assert z.shape == fake.shape
        log = torch.nn.functional.logsigmoid
        # the last text is the second one too, but no two neighbours have the same
        expected = -log(right).mean() - (log(-wrong).mean() + log(-drawn).mean()) / 2
    # the batch norms of a second pass see the same images, so that their outputs are the same
    _, values = moved(trainer, *batch())
    assert float(values["loss_D"]) == pytest.approx(float(expected), rel=1e-4)


def discriminator_loss(step: int, r1: float = 0.0) -> float:
    """Of one step on the same images and weights, with a penalty at every second step."""
    losses: dict[str, float] = {}
    torch.manual_seed(0)  # of the discriminator's weights
    trainer = Matching(model(norm="none"), w_between=0, w_joint=0, r1=r1, penalty_every=2)
    updates: dict[str, Any] = {
        name: lambda loss, name=name: losses.update({name: float(loss.detach())})
        for name in trainer.networks
    }
    x, tokens = batch()
    trainer.training_step(x, updates, random(), tokens, step)
    return losses["discriminator"]


def test_slopes_are_penalised_at_real_images_every_second_step() -> None:
    plain = discriminator_loss(2)
    assert discriminator_loss(1, 1.0) == plain
    slopes = discriminator_loss(2, 1.0) - plain
    assert slopes > 0
    assert discriminator_loss(2, 3.0) - plain == pytest.approx(3 * slopes, rel=1e-3)


@pytest.mark.parametrize(
    ("setting", "known"),
    [
        ("up", "transposed or nearest"),
        ("norm", "batch or none"),
        ("match", "concatenation or projection"),
    ],
)
def test_a_layer_that_there_is_not_is_refused(setting: str, known: str) -> None:
    with pytest.raises(InvalidInput, match=f"{setting} is 'other'; expected {known}"):
        model(**{setting: "other"})


def test_maps_are_enlarged_by_neighbours_too() -> None:
    G = model(up="nearest").eval()
    assert G.sample(2, generator=random()).shape == (2, *SHAPE)


def test_a_pair_of_one_text_is_no_mismatch() -> None:
    trainer, (x, tokens) = Matching(model()), batch()
    losses: dict[str, float] = {}
    alike = tokens[:1].expand(len(x), -1)
    updates: dict[str, Any] = {
        "discriminator": lambda loss: losses.update(D=float(loss.detach())),
        "model": lambda loss: losses.update(G=float(loss.detach())),
    }
    trainer.training_step(x, updates, random(), alike)
    D = trainer._matcher
    with torch.no_grad():
        right = D(D.features(2 * x - 1), D.read(alike))
    # the real and the generated term alone, each near log 2 at the start
    assert losses["D"] < float(torch.nn.functional.softplus(-right).mean()) + 0.6


def test_the_discriminator_sees_images_moved_where_that_is_asked_for() -> None:
    x, _ = batch()
    seen: list[Tensor] = []
    for shift in (0.0, 0.2):
        trainer = Matching(model(), shift=shift, turn=50 * shift, zoom=shift)
        trunk = trainer._matcher.trunk
        trunk.register_forward_pre_hook(lambda module, given: seen.append(given[0].detach()))
        moved(trainer, *batch())
        real, drawn, again = seen
        seen.clear()
        same = (real == 2 * x - 1).flatten(1).all(1)
        assert same.all() if not shift else not same.any()
        assert (len(drawn), len(again)) == (8, 16)  # the generator's step sees halfway codes too
        assert torch.equal(drawn, again[:8]) == (not shift)


def test_the_joint_embedding_finds_texts_by_images_and_images_by_texts() -> None:
    trainer, (x, tokens) = Matching(model()), batch()
    D = trainer._matcher
    with torch.no_grad():
        h, code = D.features(2 * x - 1), D.read(tokens)
        products = D.embedding(h.mean((2, 3))) @ code.T / math.sqrt(8)
    expected = 0.0
    for i in range(len(TEXTS)):
        others = [j for j in range(len(TEXTS)) if j == i or TEXTS[j] != TEXTS[i]]
        expected -= float(products[i, others].log_softmax(0)[others.index(i)])
        expected -= float(products[others, i].log_softmax(0)[others.index(i)])
    _, values = moved(trainer, *batch())
    assert float(values["joint"]) == pytest.approx(expected / len(TEXTS), rel=1e-4)


def test_the_discriminator_is_kept_where_it_is_asked_for() -> None:
    plain, keeping = Matching(model()), Matching(model(judge=True))
    kept = [key for key in keeping._generator.state_dict() if key.startswith("judge.")]
    assert kept and not any(key in plain._generator.state_dict() for key in kept)
    reached, _ = moved(keeping, *batch())
    assert reached["model"] == {"model.compress", "model.network"}
    G, D = keeping._generator, keeping._matcher
    assert G.judge is not None
    for copy, learnt in zip(G.judge.parameters(), D.parameters(), strict=True):
        assert torch.equal(copy, learnt)
        assert learnt.requires_grad and not copy.requires_grad
    x, tokens = batch()
    for network in (G, D):
        network.eval()
    with torch.no_grad():
        expected = D(D.features(x * 2 - 1), D.read(tokens))
        assert torch.equal(G.fits(x, TEXTS), expected)
        with pytest.raises(InvalidInput, match=r"not kept its discriminator.*config\.judge = true"):
            plain._generator.fits(x, TEXTS)
    with pytest.raises(InvalidInput, match=r"trainer\.channels is 8, but a model that .*: 4\."):
        Matching(model(judge=True), channels=8)
    Matching(model(judge=True), channels=4)


def test_a_preview_is_inputs_beside_images_of_their_texts() -> None:
    trainer, (x, tokens) = Matching(model()), batch()
    assert isinstance(trainer, Preview)
    trainer._generator.eval()
    with torch.no_grad():
        shown = trainer.preview(x, random(), tokens)
        again = trainer.preview(x, random(), tokens)
    assert torch.equal(shown[0::2], x)
    assert shown.shape == (16, *SHAPE)
    assert torch.equal(shown, again)
    assert trainer.remark({"diversity": 0.6}) == ""
    assert "samples are 20% as far from each other" in trainer.remark({"diversity": 0.2})


def test_data_without_captions_are_refused() -> None:
    x, _ = batch()
    for labels in (None, torch.zeros(8, dtype=torch.int64)):
        with pytest.raises(InvalidInput, match="the data have no captions; expected a data set"):
            Matching(model()).training_step(x, {}, random(), labels)


# A pretrained encoder of texts


def pretrained(step: int, **settings: Any) -> tuple[Matching, dict[str, set[str]], dict[str, Any]]:
    """A trainer after one of its steps, the parts that moved and the values that it returned."""
    torch.manual_seed(0)
    trainer = Matching(model(match="projection", judge=True), pretrain=2, w_between=0, **settings)
    both = {name: trainer.networks[name] for name in ("model", "discriminator")}
    before = {name: deepcopy(network.state_dict()) for name, network in both.items()}
    updates = {name: partial(descend, network) for name, network in both.items()}
    x, tokens = batch()
    values = trainer.training_step(x, updates, random(), tokens, step)
    reached = {
        name: {
            key.partition(".")[0]
            for key, value in network.named_parameters()
            if not torch.equal(value, before[name][key])
        }
        for name, network in both.items()
    }
    return trainer, reached, values


def descend(network: nn.Module, loss: Tensor) -> None:
    parameters = [value for value in network.parameters() if value.requires_grad]
    slopes = torch.autograd.grad(loss, parameters, allow_unused=True)
    with torch.no_grad():
        for parameter, slope in zip(parameters, slopes, strict=True):
            if slope is not None:
                parameter.sub_(0.1 * slope)


def test_at_first_the_joint_embedding_alone_is_trained() -> None:
    _, reached, values = pretrained(1)
    assert reached == {"model": set(), "discriminator": {"text", "trunk", "embedding"}}
    assert list(values) == ["joint"]


def test_words_can_be_predicted_from_both_places_while_the_embedding_is_trained() -> None:
    trainer, reached, values = pretrained(1, w_words=0.1)
    assert reached["discriminator"] == {"text", "trunk", "embedding", "words"}
    layer, (_, tokens) = trainer._matcher.words, batch()
    words = narrow_text(trainer).words(tokens)
    assert layer is not None
    p = (words.sum(0) + 0.1) / (len(words) + 0.2)  # of words as frequent as in the batch
    expected = -2 * (torch.xlogy(words, p) + torch.xlogy(1 - words, 1 - p)).sum(1).mean()
    assert float(values["words"]) == pytest.approx(float(expected), rel=1e-4)
    G = pretrained(2, w_words=0.1)[0]._generator
    assert G.judge is not None and G.judge.words is None


def test_words_of_texts_are_known_by_hashes_of_themselves_and_of_pairs() -> None:
    text = narrow_text(pretrained(1)[0])
    half = WORDS // 2
    a, b, c = text.words(text.tokens(["red hat", "hat red", "red"]))
    assert torch.equal(a[:half], b[:half]) and int(a[:half].sum()) == 2
    assert not torch.equal(a[half:], b[half:]) and int(a[half:].sum()) == 2
    assert int(c.sum()) == 2 and bool((a[c.bool()]).all())  # a first word is a pair with nothing


def narrow_text(trainer: Matching) -> Characters:
    text = trainer._matcher.text
    assert isinstance(text, Characters)
    return text


def test_the_last_step_of_pretraining_whitens_codes_and_hands_the_encoder_over() -> None:
    trainer, reached, _ = pretrained(2)
    G, D = trainer._generator, trainer._matcher
    assert reached["model"] == {"text", "judge"}
    assert not D.embedding.weight.any()
    assert G.judge is not None
    for key, value in D.text.state_dict().items():
        assert torch.equal(value, G.text.state_dict()[key])
        assert torch.equal(value, G.judge.text.state_dict()[key])
    assert not torch.equal(D.text.get_buffer("whitening.matrix"), torch.eye(8))


def test_a_pretrained_encoder_stays_as_it_is() -> None:
    _, reached, _ = pretrained(3)
    learnt = {"compress", "trunk", "projection", "embedding", "head"}
    assert reached == {"model": {"compress", "network", "judge"}, "discriminator": learnt}


def test_a_generator_can_be_held_to_the_place_of_its_images_in_the_joint_embedding() -> None:
    losses = [pretrained(3, w_predict=weight)[2] for weight in (0.0, 1.0, 3.0)]
    assert len({float(values["loss_D"]) for values in losses}) == 1
    plain, one, three = (float(values["loss_G"]) for values in losses)
    assert one > plain
    assert three - plain == pytest.approx(3 * (one - plain), rel=1e-4)


def test_projection_adds_an_inner_product_to_the_score_of_an_image() -> None:
    D = model(match="projection").opponent()
    assert D.projection is not None
    x, tokens = batch()
    with torch.no_grad():
        h, code = D.features(2 * x - 1), D.read(tokens)
        products = (D.projection(h.flatten(1)) * D.compress(code)).sum(1) / math.sqrt(6)
        expected = D.head(h) + products
        assert torch.allclose(D(h, code), expected, atol=1e-6)
        assert torch.allclose(
            D(h, code) - D(h, code.roll(1, 0)),
            products
            - (D.projection(h.flatten(1)) * D.compress(code.roll(1, 0))).sum(1) / math.sqrt(6),
            atol=1e-5,
        )


def test_whitened_codes_have_mean_0_and_variance_1_in_each_direction() -> None:
    whitening = Whitening(3)
    code = torch.randn(4000, 3, generator=random()) @ torch.tensor(
        [[1.0, 0.5, 0.0], [0.0, 0.5, 0.0], [0.2, 0.0, 0.3]]
    ) + torch.tensor([3.0, 0.0, -1.0])
    for _ in range(500):
        whitening.observe(code)
    assert torch.equal(whitening(code), code)
    whitening.settle()
    white = whitening(code)
    assert torch.allclose(white.mean(0), torch.zeros(3), atol=0.01)
    assert torch.allclose(torch.cov(white.T), torch.eye(3), atol=0.02)


@pytest.mark.parametrize(("match", "pretrain"), [("projection", 0), ("concatenation", 5)])
def test_projection_and_pretraining_go_together(match: str, pretrain: int) -> None:
    message = f"trainer.pretrain is {pretrain}, but config.match is '{match}': codes of a pre"
    with pytest.raises(InvalidInput, match=message):
        Matching(model(match=match), pretrain=pretrain)


def test_codes_are_predicted_after_pretraining_alone() -> None:
    with pytest.raises(
        InvalidInput, match=r"trainer\.w_predict is 2\.0, but codes are predicted of"
    ):
        Matching(model(), w_predict=2.0)


@pytest.mark.parametrize("settings", [{}, {"pretrain": 2}])
def test_words_are_predicted_in_pretraining_of_characters_alone(settings: dict[str, int]) -> None:
    encoder = {"encoder": "none", "match": "projection"} if settings else {}
    with pytest.raises(InvalidInput, match=r"trainer\.w_words is 0\.1, but words are predicted"):
        Matching(model(**encoder), w_words=0.1, **settings)


def loop(
    start: Callable[..., Any],
    folder: Path,
    stop: int | None = None,
    *,
    epochs: int = 1,
    pretrain: int = 0,
) -> Any:
    """Pictures that are dark or light, and say so."""
    torch.manual_seed(3)
    match = "projection" if pretrain else "concatenation"
    trainer = Matching(model(match=match), pretrain=pretrain)
    assert isinstance(trainer, CaptionReader)
    light = torch.arange(64) % 2
    x = (torch.rand(64, *SHAPE, generator=random()) + 3 * light.view(-1, 1, 1, 1)) / 4
    texts = tuple(("light" if i else "dark") for i in light.tolist())
    data = Dataset("grey", "train", (255 * x).to(torch.uint8), 256, texts=texts)
    adam = {"lr": 0.005}
    return start(trainer, data, folder, stop, architecture="gan-cls", epochs=epochs, optimizer=adam)


def test_a_run_that_was_stopped_ends_as_one_that_was_not(
    start: Callable[..., Any], ends_alike: Callable[..., dict[str, Tensor]]
) -> None:
    ends_alike(partial(loop, start), 5)


@pytest.mark.parametrize("stop", [2, 5])
def test_a_pretraining_run_that_was_stopped_ends_as_one_that_was_not(
    start: Callable[..., Any], ends_alike: Callable[..., dict[str, Tensor]], stop: int
) -> None:
    ends_alike(partial(loop, start, pretrain=4), stop)


def test_texts_come_to_mean_something(start: Callable[..., Any], tmp_path: Path) -> None:
    run = loop(start, tmp_path / "run", epochs=6)
    run.run()
    # neighbours of one text are equal in this, not preferred
    tokens = run.batches.validation.labels
    assert tokens is not None
    differ = float((tokens != tokens.roll(1, 0)).any(1).float().mean())
    assert run.measure()["prefers_own"] > 0.95 * differ


@pytest.mark.parametrize(("name", "value"), [("held", 65), ("held", -1), ("known", 250)])
def test_weights_with_texts_of_no_characters_are_refused(name: str, value: int) -> None:
    network = GANCLS((1, 16, 16), z=2, channels=1, compressed=2, code=4)
    state = network.state_dict()
    network.load_state_dict(state)
    state[name] = torch.full_like(state[name], value)
    with pytest.raises(ValueError, match="not texts that the model can read"):
        network.load_state_dict(state)
