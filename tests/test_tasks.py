from typing import Any

import pytest
from torch import nn

from toy_models import Copyist, Invertible, Logistic, Sampler, nade, run
from zoo_core import tasks
from zoo_core.errors import InvalidInput, UnknownName


def test_a_task_is_available_when_its_protocol_is() -> None:
    assert tasks.able(nade()) == ("sample", "score", "explain", "detect", "complete", "nearest")
    assert tasks.able(Sampler()) == ("sample", "nearest")
    assert tasks.able(nn.Linear(1, 1)) == ()


def test_sampling_is_the_default_where_it_is_possible() -> None:
    assert tasks.choose(None, nade(), "m").name == "sample"
    assert tasks.first(["detect", "growth", "score"]) == "score"
    assert tasks.first(["growth"]) == "growth"
    assert tasks.first(["of a family that is not here"]) is None
    with pytest.raises(InvalidInput, match="m can do none of the tasks"):
        tasks.choose(None, nn.Linear(1, 1), "m")


def test_a_task_that_the_model_cannot_do_is_refused_with_what_it_can() -> None:
    with pytest.raises(
        InvalidInput, match=r"^gan\.x cannot score: .* is bounded\. gan\.x can sample, nearest\.$"
    ):
        tasks.choose("score", Sampler(), "gan.x")
    with pytest.raises(UnknownName, match=r"no task 'smaple'\. Did you mean sample\? gan\.x can"):
        tasks.choose("smaple", Sampler(), "gan.x")


TASKS = ("encode", "reconstruct", "interpolate", "traverse", "manifold")


def test_a_task_needs_its_protocol() -> None:
    decodes = ("sample", "interpolate", "traverse", "manifold", "nearest")
    assert tasks.able(Logistic()) == decodes
    assert tasks.able(Invertible()) == ("sample", *TASKS, "nearest")
    with pytest.raises(
        InvalidInput, match=r"gan\.x cannot reconstruct: .* gan\.x can sample, inter"
    ):
        tasks.choose("reconstruct", Logistic(), "gan.x")


@pytest.mark.parametrize(
    ("task", "setting", "text"),
    [
        ("interpolate", {"steps": 1}, "steps is 1; expected a whole number of at least 2."),
        ("interpolate", {"path": "zigzag"}, "path is 'zigzag'; expected auto or line or arc."),
        ("interpolate", {"pairs": 0}, "pairs is 0; expected a whole number of at least 1."),
        ("traverse", {"rows": 0}, "rows is 0; expected a whole number of at least 1."),
        ("traverse", {"starts": -1}, "starts is -1; expected a whole number of at least 1."),
        ("manifold", {"side": 0}, "side is 0; expected a whole number of at least 1."),
        ("interpolate", {"temperature": 0.5}, "temperature is for paths between two prompts"),
        ("traverse", {"temperature": 0.5}, "the task traverse does not use temperature: name one"),
    ],
)
def test_options_that_do_not_work_are_explained(
    task: str, setting: dict[str, Any], text: str
) -> None:
    with pytest.raises(InvalidInput, match=f"^{text}"):
        run(task, Logistic(), **setting)


def test_no_architecture_declares_the_copy_check() -> None:
    assert not tasks.find("nearest").declared
    assert tasks.able(Copyist()) == ("sample", "nearest")
    assert tasks.choose("nearest", Copyist(), "m").name == "nearest"
    assert not tasks.implements(tasks.find("nearest"), nn.Linear(1, 1))
