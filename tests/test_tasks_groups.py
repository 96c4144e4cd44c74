"""Options that tasks share have one name, flag and default in all of them."""

import pytest

from zoo_core import options, tasks
from zoo_core.hookspecs import Task
from zoo_core.plugins import own
from zoo_core.tasks.groups import Inputs, OptionalInputs, Samples


@pytest.mark.parametrize("group", [Inputs, OptionalInputs])
def test_inputs_are_given_by_one_flag(group: type) -> None:
    (inputs,) = options.read(group).values()
    assert inputs.flags == ("--input", "-i")
    assert inputs.default == () and inputs.multiple


def test_samples_have_a_number_a_temperature_and_a_label() -> None:
    group = Samples()
    assert (group.n, group.temperature, group.label) == (16, 1.0, None)
    assert options.read(Samples)["n"].flags == ("-n",)


def test_an_option_of_several_tasks_has_one_flag_in_all() -> None:
    flags: dict[str, set[tuple[str, ...]]] = {}
    for record in own(Task).values():
        for name, option in tasks.options_of(record).items():
            flags.setdefault(name, set()).add(tuple(option.flags))
    assert [name for name, found in flags.items() if len(found) > 1] == []
