"""A family is written from the template, keeps every law, and is told which one it breaks."""

import filecmp
import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path

import packaging.specifiers  # noqa: F401 - before the path changes
import pytest
from click.testing import CliRunner, Result

from zoo_core import plugins
from zoo_core.cli import project, root
from zoo_core.testing import FAMILY_LAWS, LAWS, Verdict, check

ROOT = Path(__file__).parent.parent
TEMPLATE = ROOT / "examples" / "plugin-template"


def zoo(*arguments: str) -> Result:
    return CliRunner().invoke(root, ["plugin", *arguments])


def files(folder: Path) -> set[str]:
    return {
        str(path.relative_to(folder))
        for path in folder.rglob("*")
        if path.is_file() and "cache" not in str(path)
    }


# Writing one


def test_under_its_own_name_the_template_is_written_as_it_is(tmp_path: Path) -> None:
    folder = tmp_path / "new"
    result = zoo("new", "my-family", "--path", str(folder))
    assert result.exit_code == 0, result.output
    assert files(folder) == files(TEMPLATE)
    _, differing, missing = filecmp.cmpfiles(TEMPLATE, folder, files(TEMPLATE), shallow=False)
    assert not differing
    assert not missing
    assert result.stdout.split() == sorted(str(folder / file) for file in files(folder))


@pytest.mark.parametrize("given", ["row-of-2-suns", "zoo-row-of-2-suns"])
def test_the_name_is_everywhere(
    given: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = zoo("new", given)
    assert result.exit_code == 0, result.output
    folder = tmp_path / "zoo-row-of-2-suns"
    text = "".join((folder / file).read_text() for file in files(folder)) + str(files(folder))
    assert not re.search("my-family|my_family|MyFamily", text)
    described = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
    assert described["name"] == "zoo-row-of-2-suns"
    points = described["entry-points"]["zoo.families.v1"]
    assert points == {"row-of-2-suns": "zoo_row_of_2_suns.plugin"}
    assert "class RowOf2Suns(" in (folder / "zoo_row_of_2_suns" / "model.py").read_text()
    assert "zoo plugin check ." in result.stderr


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("My-Family", "expected lower case letters, digits and single hyphens"),
        ("my--family", "cannot name a family"),
        ("2-suns", "from a letter on"),
        ("../up", "cannot name a family"),
        ("zoo-core", "zoo-core is zoo itself"),
        ("autoregressive-nade", None),
        ("nade", "'nade' is an architecture of zoo-autoregressive"),
    ],
)
def test_names_are_checked(
    name: str, text: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = zoo("new", name)
    assert result.exit_code == (0 if text is None else 2)
    assert (text or "") in result.stderr
    assert len(list(tmp_path.glob("zoo-*"))) == (text is None)


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("mine")
    result = zoo("new", "mine", "--path", str(tmp_path))
    assert result.exit_code == 2
    assert "exists and is not empty; nothing was written" in result.stderr
    assert files(tmp_path) == {"precious"}
    result = zoo("new", "mine", "--path", str(tmp_path / "absent" / "mine"))
    assert "is no folder; make it first" in result.stderr


# Checking one

Make = Callable[[str], Path]


@pytest.fixture
def make(tmp_path: Path, install_project: Callable[[Path], None]) -> Make:
    """Write a family from the template, found as if it were installed."""

    def write(name: str) -> Path:
        folder = tmp_path / name
        project.write(name, folder)
        install_project(folder)
        return folder

    return write


def failures(name: str, *laws: str) -> dict[str, Verdict]:
    return {v.law: v for v in check(name, laws or None) if v.outcome == "failed"}


def test_the_template_keeps_every_law(make: Make) -> None:
    make("broken")
    verdicts = list(check("broken"))
    assert {verdict.outcome for verdict in verdicts} == {"passed"}, failures("broken")
    assert set(FAMILY_LAWS) < {verdict.law for verdict in verdicts} <= {*FAMILY_LAWS, *LAWS}


@pytest.mark.parametrize("name", ["adversarial", "autoregressive", "features", "latent"])
def test_our_families_keep_the_laws_of_families(name: str) -> None:
    assert failures(name, *FAMILY_LAWS) == {}


def change(folder: Path, file: str, old: str, new: str) -> None:
    path = next(folder.glob(f"zoo_*/{file}"))
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


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
        (MODEL, "torch.bernoulli(p, generator=generator)", "torch.bernoulli(p)"),
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
        "declared ['sample']",
    ),
    "trainer-that-does-not-learn": (
        ("plugin.py", "        )\n", '            trainer="zoo_broken.trainer:Idle",\n        )\n'),
        "training_makes_progress",
        "nll 6.238 -> 6.238",
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
def test_a_broken_family_is_told_which_law_it_breaks(breakage: str, make: Make) -> None:
    edit, law, text = BREAKAGES[breakage]
    folder = make("broken")
    (folder / "zoo_broken" / "trainer.py").write_text(TRAINERS)
    change(folder, *edit)
    # the quick laws in any case: only one that has to do with the breakage may speak up
    broken = failures("broken", law, "family_loads", "event_shape", "config_round_trip")
    assert law in broken
    assert text in broken[law].text
    assert f"breaks the law {law}: " in broken[law].text
    assert "expected: " in broken[law].text
    assert set(broken) - {law} <= {"family_loads"}


def test_a_trainer_that_the_data_do_not_fit_is_not_said_to_pass(make: Make) -> None:
    folder, fits = make("broken"), 'check=Check(config={"shape": [1, 2, 2]}),'
    change(folder, "plugin.py", 'detect"),\n', f'detect"),\n            {fits}\n')
    change(folder, "plugin.py", "Architecture, ", "Architecture, Check, ")
    (verdict,) = check("broken", ["training_makes_progress"])
    assert verdict.outcome == "skipped"
    assert "bars-and-stripes has rows of shape (1, 3, 3)" in verdict.text


def test_a_family_claimed_twice_is_told(make: Make, install_family: Callable[..., Path]) -> None:
    make("broken")
    install_family("broken", "", distribution="another")
    (told,) = failures("broken", "family_name_is_its_own").values()
    assert "'broken' is claimed by" in told.text
    assert "another 1.0" in told.text


def test_a_project_is_checked_without_being_installed(tmp_path: Path) -> None:
    """From the command line: what passes, what fails, and what the model declares that it skips."""
    folder = tmp_path / "fresh"
    project.write("fresh", folder)
    skips = 'check=Check(skips={"sums_to_one": "it is a toy"}),\n        )\n'
    change(folder, "plugin.py", "        )\n", f"            {skips}")
    change(folder, "plugin.py", "Architecture, hookimpl", "Architecture, Check, hookimpl")
    change(folder, "model.py", "return x.reshape", "return 2 * x.reshape")
    laws = ["event_shape", "sums_to_one", "samples_have_shape_and_range"]
    options = [word for law in laws for word in ("--law", law)]
    command = [sys.executable, "-m", "zoo_core", "plugin", "check", str(folder), *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 4
    assert "ok    event_shape  fresh()" in done.stdout
    assert "skip  sums_to_one  fresh()\n      it is a toy" in done.stdout
    assert "FAIL  samples_have_shape_and_range  fresh()" in done.stdout
    assert "measured: values from 0 to 2" in done.stdout
    assert "error: family 'fresh' breaks samples_have_shape_and_range (1 passed" in done.stderr


def test_check_by_name_gives_json() -> None:
    result = zoo("check", "autoregressive", "--law", "hooks_are_known", "--json")
    assert result.exit_code == 0, result.output
    (row,) = json.loads(result.stdout)
    assert (row["law"], row["outcome"]) == ("hooks_are_known", "passed")


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        (["autoregresive"], 4, "Did you mean autoregressive?"),
        (["autoregressive", "--law", "sums_to_two"], 3, "Did you mean sums_to_one?"),
        (["./nowhere/at/all"], 3, "holds no pyproject.toml"),
    ],
)
def test_what_cannot_be_checked_is_said(arguments: list[str], code: int, text: str) -> None:
    result = zoo("check", *arguments)
    assert result.exit_code == code
    assert text in result.stderr


def test_a_project_without_a_family_is_refused(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "x"')
    result = zoo("check", str(tmp_path))
    assert result.exit_code == 2
    assert 'expected [project.entry-points."zoo.families.v1"]' in result.stderr


# The pytest plugin


def test_the_pytest_plugin_runs_the_laws(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = make("broken")
    monkeypatch.setenv("PYTHONPATH", ":".join(sys.path))
    command = ["-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", "hooks or event or start"]
    done = subprocess.run(
        [sys.executable, *command, "--strict-markers", str(folder)],
        capture_output=True, text=True, check=False, cwd=folder,
    )  # fmt: skip
    assert "3 passed" in done.stdout, done.stdout + done.stderr


def test_pytest_without_the_mark_imports_no_torch() -> None:
    code = "import sys, zoo_core.pytest_plugin; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


@pytest.fixture(autouse=True)
def _forget() -> Iterator[None]:
    yield
    plugins.forget()
