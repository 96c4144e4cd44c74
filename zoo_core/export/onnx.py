"""Functions of a model as ONNX files, by `torch.onnx.export(dynamo=True)`.

Each function is a file of its own, which needs nothing beside it. Its metadata, one JSON text under
the key `zoo`, holds the names, shapes and ranges of inputs and outputs, and which model it is of.
"""

from __future__ import annotations

import io
import json
import logging
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from zoo_core import loading
from zoo_core.columns import table_columns
from zoo_core.errors import InvalidInput, UnknownName, did_you_mean
from zoo_core.export import runtime
from zoo_core.export.function import Function, functions
from zoo_core.export.runtime import KEY, require
from zoo_core.files import make_folder
from zoo_core.output import files

if TYPE_CHECKING:
    from torch.export import ExportedProgram
    from torch.onnx import ONNXProgram

__all__ = [
    "KEY",
    "NotExported",
    "convert",
    "metadata",
    "require",
    "session",
    "takes_one_input",
    "write",
]

_WORTH = 1024
"""Elements of a tensor from which it is stored in half precision where that loses nothing."""
_LARGEST = 1 << 26
"""Elements of a tensor that is computed from weights alone, up to which it is stored computed."""


class NotExported(InvalidInput):
    """A function of a model has operations that cannot be written as ONNX."""


def convert(model: nn.Module, function: Function) -> ONNXProgram:
    """Write a function of a model as ONNX, for any number of inputs where it can be.

    Where the code makes a Python number of it, as `len(x)` does, the file takes one input at a
    time, and its metadata say so.

    Raises NotExported where it cannot be written, with torch's reason.
    """
    require()
    with torch.no_grad(), _quiet():
        try:
            program, fixed = _trace(model, function)
            program = program.run_decompositions(_decompositions())
            names = [[value.name for value in side] for side in (function.inputs, function.outputs)]
            converted = torch.onnx.export(
                program, dynamo=True, verbose=False, input_names=names[0], output_names=names[1]
            )
        except Exception as error:  # torch raises some twenty types here
            raise NotExported(
                f"{function.name} of {type(model).__name__} cannot be written as ONNX: "
                f"{_reason(error)}"
            ) from error
        assert converted is not None
        _compact(converted)
    said = metadata(model, function) | ({"n": 1} if fixed else {})
    converted.model.metadata_props[KEY] = json.dumps(said)
    return converted


def write(
    model: nn.Module,
    folder: Path,
    names: Sequence[str] = (),
    *,
    force: bool = False,
    say: Callable[[str], None] = lambda _: None,
) -> Iterator[tuple[str, Path | NotExported]]:
    """Write functions of a model into a folder, `decode.onnx` and so on; yield each one's path.

    names: which ones; without any all that there are, and what cannot be written is yielded with
        its reason.
    say: is called before each function is exported, which may take minutes.

    Raises UnknownName for a function that the model does not have, InvalidInput for a folder that
    cannot be made, OutputExists for a file that is there, and NotExported for one of `names` that
    cannot be written.
    """
    offered = functions(model)
    for name in names:
        if name not in offered:
            has = ", ".join(offered) or "none that can be exported"
            raise UnknownName(
                f"{loading.info(model).name} has no function '{name}'.{did_you_mean(name, offered)}"
                f" It has {has}."
            )
    make_folder(folder)
    chosen = list(names or offered)
    for name in chosen:
        files.check_free(folder / f"{name}.onnx", force=force)
    for i, name in enumerate(chosen, 1):
        say(f"exporting {name}, {i} of {len(chosen)}")
        try:
            content = _bytes(convert(model, offered[name]))
        except NotExported as error:
            if names:
                raise
            yield name, error
            continue
        path = folder / f"{name}.onnx"
        files.write(path, content, force=force)
        yield name, path


def metadata(model: nn.Module, function: Function) -> dict[str, Any]:
    """What a file says of itself: the function, and the model that it is of."""
    known, order = loading.info(model), getattr(model, "order", None)
    keys = ("event_shape", "levels", "latent_dim", "classes", "domains", "prior", "alphabet")
    facts = {
        key: value
        for key in keys
        if (value := getattr(model, key, None)) is not None
        and isinstance(value, int | str | tuple | list)
    }
    if isinstance(order, Tensor) and "step" in function.name:
        facts["order"] = order.tolist()
    if columns := table_columns(model):
        facts["columns"] = [column.table() for column in columns]
    licence = known.licence
    return {
        "function": function.as_dict(),
        "model": facts,
        "name": known.name,
        "architecture": known.architecture,
        "config": dict(known.config),
        "weights_sha256": known.sha256,
        "licence": {"code": licence.code, "weights": licence.weights} if licence else {},
        "torch": torch.__version__,
    }


def takes_one_input(converted: ONNXProgram) -> bool:
    """Whether a file takes one input at a time."""
    return "n" in json.loads(converted.model.metadata_props[KEY])


def session(source: ONNXProgram | Path) -> Callable[..., list[Any]]:
    """A function as onnxruntime runs it: arrays in the order of its inputs -> arrays."""
    return runtime.load(source if isinstance(source, Path) else _bytes(source))[0]


def _bytes(converted: ONNXProgram) -> bytes:
    content: bytes = converted.model_proto.SerializeToString()
    return content


class _Call(nn.Module):
    """The model as a module whose forward pass is the function."""

    def __init__(self, model: nn.Module, function: Function) -> None:
        super().__init__()
        self.model, self.function = model, function

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        return self.function(*inputs)


def _trace(model: nn.Module, function: Function) -> tuple[ExportedProgram, bool]:
    """The graph of a function, and whether it takes one input alone."""
    call = _Call(model, function).eval()
    # torch 2.7 wants n to be less than the largest number that it has
    n = torch.export.Dim("n", min=1, max=2**31 - 1)
    sizes = tuple({0: n} if "n" in value.shape else None for value in function.inputs)
    examples = function.examples(3)
    try:
        traced = torch.export.export(call, examples, dynamic_shapes=(sizes,), strict=False)
    except Exception:  # the reasons are of many types; one that has another cause comes again
        return torch.export.export(call, function.examples(1), strict=False), True
    return traced, False


def _decompositions() -> dict[Any, Callable[..., Any]]:
    """Operations that the exporter would write as log(sigmoid(x)), which is −inf at −100."""
    aten = torch.ops.aten
    return {
        aten.log_sigmoid.default: lambda x: -functional.softplus(-x),
        aten.log_sigmoid_forward.default: lambda x: (-functional.softplus(-x), x),
        aten.binary_cross_entropy_with_logits.default: _cross_entropy,
        aten.adaptive_max_pool2d.default: _adaptive_max_pool,
    }


def _cross_entropy(
    logits: Tensor,
    x: Tensor,
    weight: Tensor | None = None,
    pos_weight: Tensor | None = None,
    reduction: int = 1,
) -> Tensor:
    loss = functional.softplus(logits) - x * logits
    if pos_weight is not None:
        loss = loss + (pos_weight - 1) * x * functional.softplus(-logits)
    loss = loss if weight is None else loss * weight
    return (loss, loss.mean(), loss.sum())[reduction] if reduction else loss


def _adaptive_max_pool(x: Tensor, size: Sequence[int]) -> tuple[Tensor, Tensor]:
    """Where each cell has as many pixels, which ONNX can say."""
    sides = [have // wanted for have, wanted in zip(x.shape[-2:], size, strict=True)]
    if [side * wanted for side, wanted in zip(sides, size, strict=True)] != list(x.shape[-2:]):
        raise NotImplementedError("adaptive_max_pool2d with cells of several sizes")
    return functional.max_pool2d(x, sides, return_indices=True)


def _compact(converted: ONNXProgram) -> None:
    """Compute what depends on weights alone, once, and store halves where nothing is lost."""
    from onnx_ir.passes import common
    from onnxscript import optimizer

    model = converted.model
    optimizer.optimize(model, input_size_limit=_LARGEST, output_size_limit=_LARGEST)
    common.LiftConstantsToInitializersPass(lift_all_constants=False)(model)
    common.DeduplicateInitializersPass(size_limit=_LARGEST)(model)
    _store_halves(model.graph)
    for node in model.graph:
        node.metadata_props.clear()  # where in the code it was, as long as the weights
        node.doc_string = None
    for value in (*model.graph.inputs, *model.graph.outputs):
        value.metadata_props.clear()


def _store_halves(graph: Any) -> None:
    """Store weights in half precision that have it, as those of many entries do."""
    import numpy as np
    import onnx_ir as ir

    for name, value in list(graph.initializers.items()):
        if value.const_value.dtype != ir.DataType.FLOAT or value.const_value.size < _WORTH:
            continue
        full = value.const_value.numpy()
        with np.errstate(over="ignore"):
            half = full.astype(np.float16)
        if not np.array_equal(half.astype(np.float32), full):
            continue
        stored = ir.Value(name=f"{name}_half", const_value=ir.tensor(half, name=f"{name}_half"))
        graph.register_initializer(stored)
        cast = ir.node("Cast", [stored], {"to": ir.DataType.FLOAT})
        whole = cast.outputs[0]
        whole.name, whole.shape, whole.dtype = f"{name}_float", value.shape, ir.DataType.FLOAT
        graph.insert_before(graph[0], cast)
        value.replace_all_uses_with(whole)
        del graph.initializers[name]


def _reason(error: BaseException) -> str:
    """The first line of the deepest cause that says something."""
    lines: list[str] = []
    seen: Sequence[BaseException] | Iterator[BaseException] = _causes(error)
    for cause in seen:
        lines += [line.strip() for line in str(cause).splitlines() if line.strip()][:1]
    return lines[-1] if lines else type(error).__name__


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the exporter's remarks on its own code."""
    loggers = [logging.getLogger(name) for name in ("torch", "onnxscript", "onnx_ir")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
