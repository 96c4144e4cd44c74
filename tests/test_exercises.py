"""Each exercise fails as it is handed out, and with a typical mistake; the right answer passes."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from textwrap import indent
from typing import NamedTuple

import packaging.specifiers  # noqa: F401 - before the path changes
import pytest

from zoo_core import plugins
from zoo_core.testing import FAMILY_LAWS, Verdict, check

HOMEWORK = Path(__file__).parent.parent / "examples" / "zoo-exercises"
GAP = re.compile(r"^ *raise NotImplementedError.*# your lines.*$", re.M)

ANCESTRAL = """
x = self.b.new_zeros(n, self.D)
for i in range(self.D):
    x[:, i] = bernoulli(torch.sigmoid(self.logits(x)[:, i] / temperature), generator)
return x.reshape(n, *self.event_shape)
"""
NADE = """
a, logits = self.c.expand(len(x), -1), []
for i in range(self.D):
    logits.append(torch.sigmoid(a) @ self.V[i] + self.b[i])
    a = a + x[:, i : i + 1] * self.W[:, i]
return torch.stack(logits, 1)
"""
MADE = """
return m.unsqueeze(1) >= i, i.unsqueeze(1) > m
"""
PIXELCNN = """
mask = torch.arange(9) < (4 if kind == "A" else 5)
return mask.view(3, 3)
"""
CHOW_LIU = """
D, edges, reached = len(I), [], {0}
while len(reached) < D:
    pairs = [(i, j) for i in reached for j in range(D) if j not in reached]
    i, j = max(pairs, key=lambda pair: I[pair])
    edges.append((i, j))
    reached.add(j)
return edges
"""
VAE = """
z = μ + (log_variance / 2).exp() * ε
kl = 0.5 * (μ.square() + log_variance.exp() - 1 - log_variance).sum(1)
return ELBO(self.log_likelihood(x, z), kl)
"""
REPARAMETRISED = """
ε = torch.randn(μ.shape, generator=generator)
return μ + (log_variance / 2).exp() * ε
"""
GAN = """
return nn.functional.softplus(-logits).mean()
"""
CYCLE = """
return (G(F(x)) - x).abs().mean() + (F(G(y)) - y).abs().mean()
"""


class Answer(NamedTuple):
    """To one exercise."""

    file: str
    right: str
    """The lines in the gap's place."""
    part: str
    """What of them a typical mistake has otherwise."""
    mistake: str
    law: str
    """The law that finds it."""


ITSELF = "torch.sigmoid(a + x[:, i : i + 1] * self.W[:, i])"
CAUSAL = "return torch.ones(self.D, self.D, dtype=torch.bool).tril()"
ANSWERS = {
    "ancestral-sampling": Answer(
        "ancestral",
        ANCESTRAL,
        "self.logits(x)",
        "self.logits(0 * x)",
        "sampler_agrees_with_log_prob",
    ),
    "nade-log-prob": Answer("nade", NADE, "torch.sigmoid(a)", ITSELF, "sums_to_one"),
    "made-masks": Answer("made", MADE, "> m", ">= m", "sums_to_one"),
    "causal-attention": Answer("attention", CAUSAL, ".tril()", "", "jacobian_is_triangular"),
    "pixelcnn-masks": Answer("pixelcnn", PIXELCNN, "4 if", "5 if", "sums_to_one"),
    "chow-liu-edges": Answer("chow_liu", CHOW_LIU, "max(", "min(", "tree_is_the_most_probable"),
    "vae-elbo": Answer("vae", VAE, "0.5 * (", "(", "bound_rises_with_k"),
    "reparametrised-gradient": Answer(
        "reparametrised", REPARAMETRISED, "return μ", "return μ.detach()", "sample_has_the_gradient"
    ),
    "gan-loss": Answer(
        "gan",
        GAN,
        "nn.functional.softplus(-logits)",
        "(1 - logits.sigmoid()).log()",
        "loss_does_not_saturate",
    ),
    "cycle-loss": Answer(
        "cyclegan", CYCLE, " + (F(G(y)) - y).abs().mean()", "", "cycles_close_in_both_directions"
    ),
}

Grade = Callable[..., dict[str, Verdict]]


@pytest.fixture
def grade(tmp_path: Path, install_project: Callable[[Path], None]) -> Grade:
    """Hand in an answer, and return the verdicts by law."""

    def handed_in(exercise: str, answer: str = "", law: str = "") -> dict[str, Verdict]:
        folder = tmp_path / "zoo-exercises"
        shutil.copytree(HOMEWORK, folder, ignore=shutil.ignore_patterns("__pycache__"))
        path = folder / "zoo_exercises" / f"{ANSWERS[exercise].file}.py"
        if answer:
            lines = indent(answer.strip(), 8 * " ")
            text, gaps = GAP.subn(lambda _: lines, path.read_text("utf-8"))
            assert gaps == 1
            path.write_text(text, "utf-8")
        install_project(folder)
        return {v.law: v for v in check("exercises", [law] if law else None, [exercise])}

    return handed_in


@pytest.mark.parametrize("exercise", ANSWERS)
def test_an_exercise_fails_as_it_is_handed_out(exercise: str, grade: Grade) -> None:
    law = ANSWERS[exercise].law
    verdict = grade(exercise, law=law)[law]
    assert verdict.outcome == "failed" and "NotImplementedError" in verdict.text


@pytest.mark.parametrize("exercise", ANSWERS)
def test_a_typical_mistake_is_found(exercise: str, grade: Grade) -> None:
    _, right, part, mistake, law = ANSWERS[exercise]
    assert right.count(part) == 1
    verdict = grade(exercise, right.replace(part, mistake), law)[law]
    assert verdict.outcome == "failed" and "Error" not in verdict.text


@pytest.mark.parametrize("exercise", ANSWERS)
def test_the_right_answer_keeps_every_law(exercise: str, grade: Grade) -> None:
    verdicts = grade(exercise, ANSWERS[exercise].right)
    assert [v for v in verdicts.values() if v.outcome == "failed"] == []
    assert verdicts[ANSWERS[exercise].law].outcome == "passed"


def test_the_family_has_these_exercises_and_is_sound(
    tmp_path: Path, install_project: Callable[[Path], None]
) -> None:
    shutil.copytree(HOMEWORK, tmp_path / "zoo-exercises")
    install_project(tmp_path / "zoo-exercises")
    assert list(plugins.load("exercises").architectures) == list(ANSWERS)
    laws = set(FAMILY_LAWS) - {"commands_run"}  # an exercise that is not done does not run
    assert [v for v in check("exercises", laws) if v.outcome == "failed"] == []
