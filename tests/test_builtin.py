"""The core's own records: each agrees with its function, and describing them imports nothing."""

import subprocess
import sys
from dataclasses import fields

import pytest

from zoo_core import plugins, tasks
from zoo_core.hookspecs import DataSet, Metric, Task
from zoo_core.metrics import complete, function
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


LISTED = """
import sys
from zoo_core import plugins
from zoo_core.hookspecs import DataSet, Metric
print(len(plugins.own(Metric)), len(plugins.own(DataSet)), "torch" in sys.modules)
"""


@pytest.mark.parametrize("metric", plugins.own(Metric).values(), ids=list(plugins.own(Metric)))
def test_a_metric_is_a_typed_function(metric: Metric) -> None:
    found = function(metric.name)
    assert found.call.__doc__ and next(iter(found.options)) == "data"
    assert metric.protocol == {}  # defaults are the dataclass's
    assert complete(metric.name, {"data": "mnist:test"})["data"] == "mnist:test"
    assert all(not option.help.endswith(".") for option in found.options.values())


@pytest.mark.parametrize("data", plugins.own(DataSet).values(), ids=list(plugins.own(DataSet)))
def test_a_data_set_has_a_loader(data: DataSet) -> None:
    assert callable(plugins.import_object(data.path))


def test_listing_them_imports_no_torch() -> None:
    done = subprocess.run([sys.executable, "-c", LISTED], capture_output=True, text=True)
    metrics, data, torch = done.stdout.split()
    assert int(metrics) >= 21 and int(data) >= 7 and torch == "False"
