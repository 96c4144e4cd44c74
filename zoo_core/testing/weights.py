"""The laws of weights files: what was saved is loaded, and what is not sound is refused."""

from __future__ import annotations

import json
import struct
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from zoo_core import loading
from zoo_core.errors import InvalidWeights
from zoo_core.protocols import DensityModel, Generator
from zoo_core.testing.case import Case
from zoo_core.testing.law import expect, law

__all__ = ["DAMAGES"]


@law(nn.Module)
def save_and_load_are_inverse(case: Case) -> None:
    """A saved model loads with identical tensors, on no meta device, in evaluation mode."""
    model = case.stirred()
    with tempfile.TemporaryDirectory() as folder:
        loaded = loading.load(_save(model, case, Path(folder)))
        state, again = model.state_dict(), loaded.state_dict()
        differing = [key for key in state if not torch.equal(state[key], again[key])]
    expect(not differing, f"differing tensors: {differing}", "identical ones")
    expect(not loaded.training, "a model in training mode", "one in evaluation mode")


@law(nn.Module)
def meta_load_equals_eager_load(case: Case) -> None:
    """Built on the meta device and filled, a model equals one built and filled on the CPU."""
    with tempfile.TemporaryDirectory() as folder:
        path = _save(case.stirred(), case, Path(folder))
        lazy = loading.load(path)
        eager = case.fresh(seed=7)
        loading.fill(eager, path)
    left = [name for name, tensor in _tensors(lazy).items() if tensor.is_meta]
    expect(not left, f"left on the meta device: {', '.join(left)}", "every tensor on the CPU")
    ours, theirs = _tensors(lazy), _tensors(eager)
    differing = [key for key in theirs if not torch.equal(ours[key], theirs[key])]
    expect(not differing, f"differing tensors: {differing}", "equal ones, buffers too")
    # tensors that are neither parameter nor buffer show in what the model does
    for act in (_scores, _draws):
        # where a tensor lies in memory decides the last bits of a convolution
        same = torch.allclose(act(lazy, case), act(eager.eval(), case), rtol=1e-4, atol=1e-5)
        expect(same, "different log-probabilities or samples", "equal ones")


@law(nn.Module)
def bad_files_are_refused(case: Case) -> None:
    """A damaged or lying weights file raises InvalidWeights with a text that names it."""
    for name, (damage, needle) in DAMAGES.items():
        with tempfile.TemporaryDirectory() as folder:
            path = _save(case.stirred(), case, Path(folder))
            damage(path)
            text = _refusal(path)
        expect(text is not None, f"{name}: the file was loaded", "InvalidWeights")
        clear = text is not None and needle in text and str(path) in text
        expect(clear, f"{name}: the text {text!r}", f"one with the path and {needle!r}")


@torch.no_grad()
def _scores(model: nn.Module, case: Case) -> Tensor:
    return model.log_prob(case.states()) if isinstance(model, DensityModel) else torch.empty(0)


def _draws(model: nn.Module, case: Case) -> Tensor:
    seeded = torch.Generator().manual_seed(0)
    return model.sample(9, generator=seeded) if isinstance(model, Generator) else torch.empty(0)


def _refusal(path: Path) -> str | None:
    try:
        loading.load(path)
    except InvalidWeights as error:
        return str(error)
    return None


def _save(model: nn.Module, case: Case, folder: Path) -> Path:
    path = folder / "model.safetensors"
    loading.save(model, path, case.metadata())
    return path


def _tensors(model: nn.Module) -> dict[str, Tensor]:
    return {**dict(model.named_parameters()), **dict(model.named_buffers())}


# Damages: each spoils a sound file

_Damage = Callable[[Path], None]


def _bytes(change: Callable[[bytes], bytes]) -> _Damage:
    """Change the bytes of the file."""

    def damage(path: Path) -> None:
        path.write_bytes(change(path.read_bytes()))

    return damage


def _header(change: Callable[[dict[str, Any]], None]) -> _Damage:
    """Change the first tensor's record in the header."""

    def damage(path: Path) -> None:
        data = path.read_bytes()
        length = int.from_bytes(data[:8], "little")
        header = json.loads(data[8 : 8 + length])
        change(next(record for key, record in header.items() if key != "__metadata__"))
        text = json.dumps(header).encode()
        path.write_bytes(struct.pack("<Q", len(text)) + text + data[8 + length :])

    return damage


def _state(change: Callable[[dict[str, Tensor], str], None]) -> _Damage:
    """Write the file again, sound, with its first floating tensor changed."""

    def damage(path: Path) -> None:
        from zoo_core.header import read_header

        state = load_file(path)
        change(state, next(key for key, tensor in state.items() if tensor.is_floating_point()))
        save_file(state, path, read_header(path).metadata)

    return damage


DAMAGES: dict[str, tuple[_Damage, str]] = {
    "cut short": (_bytes(lambda data: data[:-5]), "cut short"),
    "cut in its header": (_bytes(lambda data: data[:40]), "cut short"),
    "empty": (_bytes(lambda data: b""), "0 bytes"),
    "garbage": (_bytes(lambda data: struct.pack("<Q", 64) + b"\xff" * 128), "not JSON"),
    "a header's length beyond the file": (
        _bytes(lambda data: struct.pack("<Q", 2**60) + data[8:]),
        "claims a header",
    ),
    "bytes after the last tensor": (_bytes(lambda data: data + b"0000"), "follow the last tensor"),
    "a shape that its bytes do not fill": (
        _header(lambda record: record["shape"].append(2)),
        "takes",
    ),
    "offsets beyond the file": (
        _header(lambda record: record.update(data_offsets=[0, 2**40])),
        "bytes",
    ),
    "an unknown type": (_header(lambda record: record.update(dtype="F99")), "F99"),
    "a tensor of another shape": (
        _state(lambda state, key: state.update({key: state[key].unsqueeze(0).clone()})),
        "instead of",
    ),
    "a tensor of another type": (
        _state(lambda state, key: state.update({key: state[key].long()})),
        "instead of",
    ),
    "a tensor of another name": (
        _state(lambda state, key: state.update(renamed=state.pop(key))),
        "is missing",
    ),
    "a tensor too many": (
        _state(lambda state, key: state.update(surplus=torch.zeros(2))),
        "surplus is not expected",
    ),
}
"""Name -> what spoils the file, and words that the refusal must hold."""
