from collections.abc import Callable
from pathlib import Path

import pytest
from click.shell_completion import ShellComplete
from click.testing import Result

import zoo_core
from zoo_core import plugins, tasks
from zoo_core.cli import root
from zoo_core.hookspecs import Task

Zoo = Callable[..., Result]

MODEL = "nade.safetensors"


@pytest.fixture(autouse=True)
def _models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A density model and a GAN in the current folder."""
    monkeypatch.chdir(tmp_path)
    zoo_core.save(zoo_core.create("nade", shape=(1, 4, 4), hidden=5), MODEL)
    zoo_core.save(zoo_core.create("gan", shape=(1, 4, 4), z=3, hidden=(4,)), "gan.safetensors")


def completed(*words: str) -> list[str]:
    """What a shell offers for the last of some words."""
    *before, last = words
    shell = ShellComplete(root, {}, "zoo", "_ZOO_COMPLETE")
    return [item.value for item in shell.get_completions(list(before), last)]


def test_tasks_flags_and_choices_are_completed(zoo: Zoo) -> None:
    assert completed("run", "--task", "s") == ["sample", "score"]
    assert completed("run", "--task", "g") == ["growth"]
    assert completed("run", MODEL, "--task", "") == [
        *("sample", "score", "explain", "detect", "complete", "nearest")
    ]
    assert completed("run", "gan.safetensors", "-t", "interpolate", "--st") == ["--steps"]
    assert completed("run", "gan.safetensors", "-t", "interpolate", "--path", "") == [
        *("auto", "line", "arc")
    ]
    assert completed("run", MODEL, "--te") == ["--temperature"]
    assert completed("run", "no-such.entry", "--see") == ["--seed"]


def test_the_help_lists_each_task_with_its_flags(zoo: Zoo) -> None:
    text = " ".join(zoo("run", "--help").output.split())
    for name, record in plugins.offers(Task).items():
        flags = " ".join(option.flags[0] for option in tasks.options_of(record).values())
        assert f"{name} {record.summary}: {flags}" in text
    assert "--set" not in text


@pytest.mark.parametrize("name", plugins.offers(Task))
def test_the_help_of_a_task_has_each_option_with_its_default(zoo: Zoo, name: str) -> None:
    record = tasks.find(name)
    text = " ".join(zoo("run", "--task", name, "--help").output.split())
    assert f"{record.summary}. Options of {name}: " in text
    for option in tasks.options_of(record).values():
        assert option.flags[0] in text and option.help in text
        if option.default and not option.multiple:
            assert f"[default: {option.default}]" in text
    assert "Tasks" not in text


def test_the_help_of_a_model_lists_what_it_can(zoo: Zoo) -> None:
    text = " ".join(zoo("run", MODEL, "--help").output.split())
    assert "Options of sample: -n INTEGER" in text
    listed = text.partition("Tasks of nade: ")[2]
    assert "complete Complete inputs" in listed and "nearest Find" in listed
    assert "encode" not in listed


def test_flags_stand_anywhere(zoo: Zoo) -> None:
    for arguments in (
        ["-n", "2", MODEL],
        ["--seed", "1", "-n", "2", "--task", "sample", MODEL],
    ):
        result = zoo("run", *arguments)
        assert result.exit_code == 0, result.output
        assert "2 samples from nade" in result.stderr
