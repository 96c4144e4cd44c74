import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from zoo_core.errors import InvalidWeights
from zoo_core.header import MAX_HEADER, MAX_TENSORS, read_header, stray


def tensor(dtype: str = "F32", shape: Any = (2,), offsets: Any = (0, 8)) -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": offsets}


def written(path: Path, header: Any, data: bytes = b"") -> Path:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + data)
    return path


def complaint(path: Path) -> str:
    with pytest.raises(InvalidWeights) as caught:
        read_header(path)
    assert str(path) in str(caught.value)
    return str(caught.value)


def test_agrees_with_the_safetensors_library(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    tensors = {
        "weight": torch.zeros(3, 4),
        "half": torch.zeros(5, dtype=torch.bfloat16),
        "order": torch.arange(7),
        "scalar": torch.tensor(1.0),
        "empty": torch.zeros(0, 2),
    }
    save_file(tensors, path, metadata={"architecture": "nade"})
    header = read_header(path)
    assert header.metadata == {"architecture": "nade"}
    assert {k: t.shape for k, t in header.tensors.items()} == {
        k: tuple(t.shape) for k, t in tensors.items()
    }
    assert header.parameters == 12 + 5 + 1
    assert header.bytes == sum(t.nbytes for t in tensors.values())


def test_a_file_without_metadata_or_tensors_is_sound(tmp_path: Path) -> None:
    header = read_header(written(tmp_path / "a", {}))
    assert (header.metadata, header.tensors, header.bytes, header.parameters) == ({}, {}, 0, 0)


def test_needs_neither_torch_nor_numpy(tmp_path: Path) -> None:
    path = written(tmp_path / "a", {"x": tensor()}, bytes(8))
    code = (
        "import sys; from zoo_core.header import read_header; "
        f"assert read_header({str(path)!r}).parameters == 2; "
        "print({'torch', 'numpy', 'safetensors'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


@pytest.mark.parametrize(
    ("header", "data", "text"),
    [
        (b"[1]", b"", "header is a JSON list; an object is expected"),
        (b"{nope", b"", "header is not JSON"),
        (b"\xff\xfe", b"", "header is not JSON"),
        (b"[" * 100_000, b"", "header is not JSON"),
        (
            b'{"__metadata__": {"a": 1}}',
            b"",
            "__metadata__ must be an object",
        ),
        (b'{"__metadata__": []}', b"", "__metadata__ must be an object"),
        (b'{"__metadata__": {"a": "1", "a": "2"}}', b"", "gives 'a' twice"),
        ({"x": 3}, b"", "tensor 'x' must have dtype, shape and data_offsets"),
        ({"x": {**tensor(), "more": 1}}, bytes(8), "and no more"),
        ({"x": tensor("F4")}, bytes(8), "has the dtype 'F4'; known are BOOL"),
        ({"x": tensor(["F32"])}, bytes(8), "has the dtype ['F32']"),  # type: ignore[arg-type]
        ({"x": tensor(shape=[-2])}, bytes(8), "has the shape [-2]"),
        ({"x": tensor(shape=[True, 2])}, bytes(8), "has the shape [True, 2]"),
        ({"x": tensor(shape=[2.0])}, bytes(8), "has the shape [2.0]"),
        ({"x": tensor(offsets=[8, 0])}, bytes(8), "has data_offsets [8, 0]; [begin, end]"),
        ({"x": tensor(offsets=[0])}, bytes(8), "has data_offsets [0]"),
        ({"x": tensor(shape=[3])}, bytes(8), "takes 12 bytes, and the header gives it 8"),
        ({"x": tensor(shape=[2**62, 2**62])}, bytes(8), "and the header gives it 8"),
        (
            {"x": tensor(), "y": tensor(offsets=[4, 12])},
            bytes(12),
            "begins at byte 4 and overlaps",
        ),
        ({"x": tensor(offsets=[4, 12])}, bytes(12), "byte 4 and leaves a hole"),
        ({"x": tensor()}, bytes(7), "tensors take 8 bytes and the file holds 7"),
        ({"x": tensor()}, bytes(9), "1 bytes follow the last tensor"),
    ],
)
def test_a_lying_header_is_refused(tmp_path: Path, header: Any, data: bytes, text: str) -> None:
    assert text in complaint(written(tmp_path / "a", header, data))


def test_a_short_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"1234567")
    assert "it has 7 bytes" in complaint(path)


def test_a_header_longer_than_the_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes((100).to_bytes(8, "little") + b"{}")
    assert "claims a header of 100 bytes and only 2 follow" in complaint(path)


def test_a_huge_header_is_refused_before_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a"
    with path.open("wb") as file:
        file.write((MAX_HEADER + 1).to_bytes(8, "little"))
        file.truncate(MAX_HEADER + 9)
    assert f"claims a header of {MAX_HEADER + 1} bytes; at most" in complaint(path)


def test_too_many_tensors_are_refused(tmp_path: Path) -> None:
    text = "{" + ",".join(f'"{i}":0' for i in range(MAX_TENSORS + 1)) + "}"
    path = written(tmp_path / "a", text.encode())
    assert f"lists {MAX_TENSORS + 1} tensors" in complaint(path)


def test_a_name_given_twice_is_found_in_time(tmp_path: Path) -> None:
    names = (f'"{i}":0' for i in [*range(60_000), 59_999])
    path = written(tmp_path / "a", ("{" + ",".join(names) + "}").encode())
    began = time.process_time()
    assert "gives '59999' twice" in complaint(path)
    assert time.process_time() - began < 2, "comparing each name with all took a minute and more"


def test_a_shape_that_no_file_holds_is_refused_in_time(tmp_path: Path) -> None:
    began = time.process_time()
    vast = tensor(shape=[2**62] * 100_000)
    assert "takes at least 8507059173" in complaint(written(tmp_path / "a", {"x": vast}, bytes(8)))
    empty = tensor(shape=[2**62] * 100_000 + [0], offsets=[0, 0])
    assert read_header(written(tmp_path / "a", {"x": empty})).parameters == 0
    assert time.process_time() - began < 2


@pytest.mark.parametrize("name", ["\x1b[2J", "x" * 100_000, "a\nb", "\ud800"])
def test_names_are_shown_with_care(tmp_path: Path, name: str) -> None:
    for header in ({name: 3}, {name: tensor(name)}, {name: tensor(shape=[name])}):
        text = complaint(written(tmp_path / "a", header, bytes(8)))
        assert text.isprintable()
        assert len(text) < 1500


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    assert "No such file" in complaint(tmp_path / "a")


@pytest.mark.parametrize(
    ("head", "text"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0", "Git LFS pointer"),
        (b"/annex/objects/SHA256E-s10--0.safetensors\n", "git-annex pointer"),
        (b"\n <!DOCTYPE html><title>Sign in</title>", "web page"),
        (b"<html>", "web page"),
        (b"PK\x03\x04archive/data.pkl", "pickle"),
        (b"\x80\x02}q\x00", "pickle"),
    ],
)
def test_what_is_met_in_place_of_weights_is_named(tmp_path: Path, head: bytes, text: str) -> None:
    path = tmp_path / "a"
    path.write_bytes(head)
    assert text in complaint(path)


def test_a_header_whose_length_looks_like_a_pickle_is_read(tmp_path: Path) -> None:
    text = b"{}".ljust(0x0280)
    assert stray(len(text).to_bytes(8, "little") + text) == ""
    assert read_header(written(tmp_path / "a", text)).tensors == {}
