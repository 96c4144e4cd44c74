"""The core's own records: each agrees with its function, and describing them imports nothing."""

import subprocess
import sys
from dataclasses import fields

import pytest

from zoo_core import plugins, tasks
from zoo_core.hookspecs import Task
from zoo_core.options import annotation

TASKS = plugins.own(Task).values()
EVERY = plugins.offers(Task).values()


@pytest.mark.parametrize("record", EVERY, ids=lambda record: record.name)
def test_a_record_and_its_function_agree(record: Task) -> None:
    function = tasks.function_of(record)
    assert annotation(function, 0) == plugins.import_object(record.protocol)
    assert function.__doc__
    assert function.__name__ == record.name
    cls = tasks.options_class(record)
    assert cls.__module__ == function.__module__
    assert list(tasks.options_of(record)) == [field.name for field in fields(cls)]


@pytest.mark.parametrize("record", EVERY, ids=lambda record: record.name)
def test_each_option_says_in_a_line_what_it_is(record: Task) -> None:
    flags = [flag for option in tasks.options_of(record).values() for flag in option.flags]
    assert len(set(flags)) == len(flags)
    for option in tasks.options_of(record).values():
        assert option.help and option.help[0].isupper() and option.help[-1] not in ". "
        option.check(option.default, option.name)


def test_the_options_of_all_tasks_are_known_without_torch() -> None:
    program = (
        "import sys\n"
        "from zoo_core import plugins, tasks\n"
        "from zoo_core.hookspecs import Task\n"
        "known = {name: tasks.options_of(task) for name, task in plugins.own(Task).items()}\n"
        "heavy = 'torch numpy matplotlib PIL zoo_adversarial'.split()\n"
        "print(len(known), [name for name in heavy if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout == f"{len(TASKS)} []\n", done.stderr
