"""`zoo metrics`, and `zoo eval --metric`."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from zoo_core import plugins
from zoo_core.cli import root
from zoo_core.hookspecs import Metric


def zoo(*args: str) -> Result:
    return CliRunner().invoke(root, args, prog_name="zoo")


def test_each_metric_has_a_row() -> None:
    head, *rows = zoo("metrics").stdout.splitlines()
    assert head.split() == ["METRIC", "UNIT", "MODEL", "SUMMARY"]
    assert [row.split()[0] for row in rows] == list(plugins.offers(Metric))
    assert any(row.split()[:3] == ["fid", "distance²", "Generator"] for row in rows)


def test_one_metric_has_its_options() -> None:
    shown = zoo("metrics", "kid").stdout
    assert shown.startswith("kid: Kernel distance")
    assert "subsets   100      a whole number of at least 1" in shown
    assert "true" in zoo("metrics", "shuffled_prompt_attributes").stdout  # the record's own default


def test_json_has_everything() -> None:
    known = {row["metric"]: row for row in json.loads(zoo("metrics", "--json").stdout)}
    assert set(known) == set(plugins.offers(Metric))
    options = {option["name"]: option for option in known["iw_bound"]["options"]}
    assert options["k"]["default"] == 5000 and known["iw_bound"]["model"] == "Bound"
    assert known["parzen_data"]["model"] is None


def test_an_unknown_metric() -> None:
    result = zoo("metrics", "fdi")
    assert result.exit_code == 3 and "Did you mean fid" in result.stderr


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = str(tmp_path_factory.mktemp("runs") / "bernoulli.bars")
    train = ("train", "bernoulli", "--data", "bars-and-stripes", "--epochs", "1", "-q")
    assert zoo(*train, "-o", folder).exit_code == 0
    return folder


def test_a_metric_that_no_registry_states(run: str) -> None:
    options = ("--metric", "sliced_wasserstein", "--set", "samples=64", "--set", "seed=1")
    result = zoo("eval", run, *options)
    assert result.exit_code == 0, result.output
    head, row = result.stdout.splitlines()
    assert head.split()[0] == "METRIC" and row.split()[-1] == "-"
    (figure,) = json.loads(zoo("eval", run, *options, "--json").stdout)
    assert figure["registry"] is None and figure["within"] is None
    assert figure["protocol"]["samples"] == 64 and figure["protocol"]["seed"] == 1


def test_weights_without_an_entry_are_measured_by_a_metric(run: str, tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(Path(run, "model.safetensors").read_bytes())
    assert zoo("eval", str(path)).exit_code == 2
    result = zoo("eval", str(path), "--metric", "test_nll")
    assert result.exit_code == 0, result.output


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        (("--metric", "tset_nll"), 3, "Did you mean test_nll"),
        (("--metric", "fid"), 2, "the protocol names no feature net"),
        (("--metric", "elbo"), 2, "Of Bernoulli: test_nll, bits_per_dim"),
        (("--metric", "test_nll", "--set", "seed"), 2, "expected OPTION=VALUE"),
        (("--set", "sed=1"), 2, "test_nll has no option 'sed'. Did you mean seed?"),
        (("--set", "seed=x"), 2, "--set seed is 'x'; expected a whole number of at least 0"),
        (("--metric", "bits_per_dim", "--check"), 2, "there is nothing to check"),
    ],
)
def test_what_cannot_be_measured(
    arguments: tuple[str, ...], code: int, text: str, run: str
) -> None:
    result = zoo("eval", run, *arguments)
    assert result.exit_code == code, result.output
    assert text in result.stderr
