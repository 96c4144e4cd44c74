from collections.abc import Callable
from pathlib import Path

import packaging.specifiers  # noqa: F401 - before the path changes
import pytest
from click.testing import CliRunner

from factories import change_file, failures
from zoo_core.cli import root
from zoo_core.errors import PluginError, UnknownName
from zoo_core.testing import FAMILY_LAWS, LAWS, check

Make = Callable[[str], Path]


def test_the_template_keeps_every_law(make_family: Make) -> None:
    make_family("broken")
    verdicts = list(check("broken"))
    assert {verdict.outcome for verdict in verdicts} == {"passed"}, failures("broken")
    assert set(FAMILY_LAWS) < {verdict.law for verdict in verdicts} <= {*FAMILY_LAWS, *LAWS}


MODEL = "model.py"


BREAKAGES = {
    "typo-in-a-hook": (
        ("plugin.py", "def zoo_architectures", "def zoo_architecture"),
        "hooks_are_known",
        "Did you mean zoo_architectures?",
    ),
    "argument-of-a-hook": (
        ("plugin.py", "zoo_architectures()", "zoo_architectures(config)"),
        "hooks_are_known",
        "zoo_architectures asks for config",
    ),
    "torch-at-import": (
        ("plugin.py", "from zoo_core", "import torch\nfrom zoo_core"),
        "describing_imports_nothing_heavy",
        "imports torch",
    ),
    "not-normalised": (
        (MODEL, "self.conditionals(x).sum(1)", "self.conditionals(x).sum(1) + 1"),
        "sums_to_one",
        "a sum of 2.71",
    ),
    "ignores-its-seed": (
        (MODEL, "bernoulli(p, generator)", "bernoulli(p, None)"),
        "same_seed_same_sample",
        "two samples from one seed differ",
    ),
    "config-does-not-round-trip": (
        (MODEL, "torch.Size(shape).numel()", "shape.numel()"),
        "models_are_built_from_plain_configs",
        "'list' object has no attribute 'numel'",
    ),
    "wrong-shape": (
        (MODEL, "return x.reshape(n, *self.event_shape)", "return x"),
        "samples_have_shape_and_range",
        "measured: shape (1, 9)",
    ),
    "weights-without-a-buffer": (
        (
            MODEL,
            "self.b = torch.nn.Parameter(torch.zeros(D))",
            'self.register_buffer("b", torch.rand(D), persistent=False)',
        ),
        "meta_load_equals_eager_load",
        "left on the meta device: b",
    ),
    "wrong-range": (
        (MODEL, "return x.reshape", "return 255 * x.reshape"),
        "samples_have_shape_and_range",
        "values from 0 to 255",
    ),
    "wrong-order": (
        (MODEL, "torch.arange(len(self.b), device=self.b.device)", "torch.arange(8, -1, -1)"),
        "jacobian_is_triangular",
        "by a later variable",
    ),
    "gradient-misses-a-parameter": (
        (MODEL, "+ self.b", "+ self.b.detach()"),
        "gradient_reaches_each_parameter",
        "no gradient at b",
    ),
    "name-clash": (
        ("plugin.py", 'name="broken"', 'name="nade"'),
        "names_are_its_own",
        "nade of zoo-broken 0.1.0 and of zoo-autoregressive",
    ),
    "undeclared-task": (
        ("plugin.py", '("sample", "score", "detect")', '("sample",)'),
        "tasks_are_implemented",
        "declared ['sample'], without detect",
    ),
    "task-without-its-method": (
        (
            "plugin.py",
            '("sample", "score", "detect")',
            '("sample", "score", "detect", "interpolate")',
        ),
        "tasks_are_implemented",
        "interpolate is declared, but Broken is not a generator that maps latent variables to samp",
    ),
    "trainer-that-does-not-learn": (
        ("plugin.py", "        )\n", '            trainer="zoo_broken.trainer:Idle",\n        )\n'),
        "training_makes_progress",
        "give another in the record, as Check(lr=0.001)",
    ),
    "resume-that-differs": (
        (
            "plugin.py",
            "        )\n",
            '            trainer="zoo_broken.trainer:Counts",\n        )\n',
        ),
        "resumed_training_ends_the_same",
        "differing tensors: model.W, model.b",
    ),
}


TRAINERS = """
from zoo_core.training.likelihood import MaximumLikelihood

class Idle(MaximumLikelihood):
    def training_step(self, x, update, *rest):
        return super().training_step(x, {"model": lambda loss: None}, *rest)

class Counts(MaximumLikelihood):
    steps = 0
    def training_step(self, x, update, *rest):
        self.steps += 1
        if self.steps % 3:
            update = {"model": lambda loss: None}
        return super().training_step(x, update, *rest)
"""


@pytest.mark.parametrize("breakage", BREAKAGES)
def test_a_broken_family_is_told_which_law_it_breaks(breakage: str, make_family: Make) -> None:
    edit, law, text = BREAKAGES[breakage]
    folder = make_family("broken")
    (folder / "zoo_broken" / "trainer.py").write_text(TRAINERS)
    change_file(folder, *edit)
    # the quick laws in any case: only one that has to do with the breakage may speak up
    broken = failures("broken", law, "family_loads", "event_shape", "config_round_trip")
    assert law in broken
    assert text in broken[law].text
    assert f"breaks the law {law}: " in broken[law].text
    assert "expected: " in broken[law].text
    assert set(broken) - {law} <= {"family_loads"}


def test_a_trainer_that_the_data_do_not_fit_is_not_said_to_pass(make_family: Make) -> None:
    folder, fits = make_family("broken"), 'check=Check(config={"shape": [1, 2, 2]}),'
    change_file(folder, "plugin.py", 'detect"),\n', f'detect"),\n            {fits}\n')
    change_file(folder, "plugin.py", "Architecture, ", "Architecture, Check, ")
    (verdict,) = check("broken", ["training_makes_progress"])
    assert verdict.outcome == "skipped"
    assert "bars-and-stripes has rows of shape (1, 3, 3)" in verdict.text


def test_laws_that_one_error_breaks_name_one_cause(make_family: Make) -> None:
    folder = make_family("broken")
    change_file(folder, MODEL, "x = x.flatten(1)", "x = x.flattened(1)")
    laws = ("sums_to_one", "conditionals_sum_to_log_prob", "event_shape")
    verdicts = failures("broken", *laws)
    assert set(verdicts) == set(laws[:2])
    (cause,) = {verdict.cause for verdict in verdicts.values()}
    assert cause.startswith("AttributeError at ") and cause.endswith(", in conditionals")
    result = CliRunner().invoke(
        root, ["plugin", "check", "broken", "--law", laws[0], "--law", laws[1]]
    )
    assert result.exit_code == 4
    assert result.stdout.count("has no attribute 'flattened'") == 1
    assert "for the same cause as sums_to_one: AttributeError at" in result.stdout


OWN = """
from zoo_core.testing import expect

def bias_is_positive(case):
    \"\"\"Every bias is above 0.\"\"\"
    expect((case.fresh().b > 0).all(), "0", "more")
"""


def test_an_architecture_has_laws_of_its_own(make_family: Make) -> None:
    folder, own = make_family("broken"), 'check=Check(laws=("zoo_broken.own:bias_is_positive",)),'
    (folder / "zoo_broken" / "own.py").write_text(OWN)
    change_file(folder, "plugin.py", 'detect"),\n', f'detect"),\n            {own}\n')
    change_file(folder, "plugin.py", "Architecture, ", "Architecture, Check, ")
    (verdict,) = check("broken", ["bias_is_positive"])
    text = "broken() breaks the law bias_is_positive: Every bias is above 0."
    assert verdict.text == f"{text}\n  measured: 0\n  expected: more"
    result = CliRunner().invoke(root, ["plugin", "check", "broken", "--law", "bias_is_positive"])
    assert result.exit_code == 4


def test_one_architecture_is_checked_without_the_laws_of_the_family() -> None:
    verdicts = list(check("autoregressive", ["family_loads", "event_shape"], ["nade"]))
    assert {(v.law, v.case.partition("(")[0]) for v in verdicts} == {("event_shape", "nade")}


def test_an_architecture_of_a_family_that_does_not_load_is_refused_with_the_reason(
    make_family: Make,
) -> None:
    change_file(make_family("broken"), "plugin.py", "import Architecture", "import Architektur")
    with pytest.raises(PluginError, match=r"'broken' .* did not load: ImportError: .*Architektur"):
        list(check("broken", architectures=["broken"]))
    with pytest.raises(UnknownName, match=r"has no architecture 'nad'\. Did you mean nade"):
        list(check("autoregressive", architectures=["nad"]))
