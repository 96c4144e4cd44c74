"""Arguments that commands share: completion of their values, and flags of options."""

from pathlib import Path

import click
import pytest

from zoo_core.cli import arguments
from zoo_core.errors import InvalidInput
from zoo_core.options import read
from zoo_core.tasks.interpolate import Options

CONTEXT = click.Context(click.Command("x"))
PARAMETER = click.Argument(["name"])


def values(found: list[object]) -> list[str]:
    return [getattr(item, "value", item) for item in found]  # type: ignore[misc]


def test_entries_complete_by_their_names_and_paths_as_files(two: Path) -> None:
    complete = arguments.complete_entry
    assert values(complete(CONTEXT, PARAMETER, "na")) == ["nade.mnist"]
    assert values(complete(CONTEXT, PARAMETER, "x")) == []
    assert complete(CONTEXT, PARAMETER, "./na")[0].type == "file"


def test_fields_complete_by_what_entries_hold(two: Path) -> None:
    assert arguments.complete_field("tasks")(CONTEXT, PARAMETER, "s") == ["sample", "score"]
    assert arguments.complete_field("family")(CONTEXT, PARAMETER, "") == ["autoregressive"]


def test_a_registry_that_cannot_be_read_completes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "bad.toml").write_text("schema = 9")
    monkeypatch.setenv("ZOO_REGISTRY", str(tmp_path / "bad.toml"))
    assert arguments.complete_entry(CONTEXT, PARAMETER, "") == []
    assert arguments.complete_field("family")(CONTEXT, PARAMETER, "") == []


def test_metrics_complete_by_their_names() -> None:
    assert values(arguments.complete_metric(CONTEXT, PARAMETER, "test_n")) == ["test_nll"]


def test_an_option_is_a_flag_with_its_checks_and_choices() -> None:
    options = read(Options)
    steps, path = (arguments.option_flag(options[name]) for name in ("steps", "path"))
    assert steps.opts == ["--steps"] and steps.default == options["steps"].default
    assert steps.type.convert("5", steps, CONTEXT) == 5
    with pytest.raises(InvalidInput, match=r"--steps is 1; expected a whole number of at least 2"):
        steps.type.convert("1", steps, CONTEXT)
    assert values(path.type.shell_complete(CONTEXT, path, "a")) == ["auto", "arc"]


@pytest.mark.parametrize(
    ("stated", "expected"),
    [
        ("age=real,id=skip", {"age": "real", "id": "skip"}),
        ('"height, cm"=real,id=skip', {"height, cm": "real", "id": "skip"}),
        ('"height, cm=real",a=b=skip', {"height, cm": "real", "a=b": "skip"}),
        ("", {}),
    ],
)
def test_a_name_with_a_comma_stands_in_quotes(stated: str, expected: dict[str, str]) -> None:
    command = arguments.columns_option()(click.Command("train", callback=lambda columns: columns))
    assert command.main(["--columns", stated], standalone_mode=False) == expected
