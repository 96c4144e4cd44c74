"""What functions a model exports."""

from torch import nn

from factories import case_of
from zoo_core.export import Function, Value, functions


def test_functions_follow_from_protocols() -> None:
    assert list(functions(case_of("nade").fresh())) == ["conditionals", "step"]
    assert list(functions(case_of("eonade").fresh())) == ["log_prob"]
    assert list(functions(case_of("vae", "latent").fresh())) == ["decode", "encode"]
    assert functions(nn.Linear(2, 2)) == {}


def test_a_model_names_functions_of_its_own() -> None:
    class Doubled(nn.Module):
        def exports(self) -> list[Function]:
            x = Value("x", ("n", 2), 0.0, 1.0)
            return [Function("double", "Twice", lambda x: 2 * x, (x,), (Value("y", ("n", 2)),))]

    assert list(functions(Doubled())) == ["double"]


def test_shapes_and_ranges_are_described() -> None:
    step = functions(case_of("nade").fresh())["step"]
    assert [value.as_dict() for value in step.inputs[:2]] == [
        {"name": "t", "shape": (), "low": 0, "high": 8, "dtype": "int64"},
        {"name": "x", "shape": ("n",), "low": 0, "high": 1, "levels": 2, "dtype": "float32"},
    ]
    assert [value.name for value in step.outputs] == ["logits", "next_state_0"]
    t, x, state = step.examples(5)
    assert (t.shape, x.shape) == ((), (5,))
    assert not state.any()
