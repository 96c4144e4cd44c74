"""Large weights through two buffers, on a device that a test can look into."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from zoo_core.header import read_header
from zoo_core.loading import weights
from zoo_core.loading.pinned import read_tensors


class Lazy:
    """A device that copies no sooner than it is waited for, and counts."""

    def __init__(self) -> None:
        self.waiting: list[list[tuple[Tensor, Tensor]]] = [[], []]
        self.buffers = self.copies = 0

    def buffer(self, size: int) -> Tensor:
        self.buffers += size
        return torch.zeros(size, dtype=torch.uint8)

    def empty(self, size: int) -> Tensor:
        return torch.zeros(size, dtype=torch.uint8)

    def copy(self, to: Tensor, of: Tensor, place: int) -> None:
        assert not self.waiting[place], "a buffer was filled before it was copied"
        self.waiting[place].append((to, of))
        self.copies += 1

    def wait(self, place: int) -> None:
        for to, of in self.waiting[place]:
            to.copy_(of)
        self.waiting[place].clear()


TENSORS = {
    "a": torch.arange(1000, dtype=torch.float32).view(10, 100),
    "b": torch.arange(7).to(torch.bfloat16),
    "c": torch.tensor(3),
    "d": torch.tensor([True, False, True]),
    "e": torch.empty(0, 4),
}


@pytest.mark.parametrize("buffer", [3, 64, 10_000])
def test_tensors_are_those_of_the_file(tmp_path: Path, buffer: int) -> None:
    save_file(TENSORS, path := tmp_path / "x.safetensors")
    device, wanted = Lazy(), read_header(path).tensors
    found = read_tensors(path, wanted, device, buffer)
    assert found.keys() == TENSORS.keys()
    for name, tensor in TENSORS.items():
        assert found[name].dtype == tensor.dtype
        assert torch.equal(found[name], tensor)
    sizes = (info.end - info.begin for info in wanted.values())
    assert device.copies == sum(-(-size // buffer) for size in sizes)
    assert device.buffers == 2 * buffer


def test_only_what_is_wanted_is_read(tmp_path: Path) -> None:
    save_file(TENSORS, path := tmp_path / "x.safetensors")
    device, tensors = Lazy(), read_header(path).tensors
    assert list(read_tensors(path, {"mine": tensors["b"]}, device)) == ["mine"]
    assert device.copies == 1


def test_a_file_that_became_shorter_is_refused(tmp_path: Path) -> None:
    save_file(TENSORS, path := tmp_path / "x.safetensors")
    tensors = read_header(path).tensors
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(OSError, match="ends before its tensors do"):
        read_tensors(path, tensors, Lazy())


def test_a_gpu_gets_large_files_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_file(TENSORS, path := tmp_path / "x.safetensors")
    header, device = read_header(path), Lazy()
    monkeypatch.setattr("zoo_core.loading.pinned.Cuda", lambda _: device)
    monkeypatch.setattr(weights, "_LARGE", header.bytes)
    found = weights._read(path, header, {"x": "a"}, torch.device("cuda"))
    assert torch.equal(found["x"], TENSORS["a"])
    assert device.copies == 1
    weights._read(path, header, {"x": "a"}, torch.device("cpu"))
    assert device.copies == 1


PEAK = """
import resource, sys
from pathlib import Path
import torch
from zoo_core.header import read_header
from zoo_core.loading.pinned import read_tensors
class Nowhere:
    def buffer(self, size): return torch.zeros(size, dtype=torch.uint8)
    def empty(self, size): return torch.empty(size, dtype=torch.uint8, device="meta")
    def copy(self, to, of, place): to.copy_(of)
    def wait(self, place): pass
path = Path(sys.argv[1])
torch.zeros(2**20).sum()
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
read_tensors(path, read_header(path).tensors, Nowhere())
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="peak memory is counted in other units")
def test_the_host_holds_two_buffers_of_two_gib(tmp_path: Path) -> None:
    size = 2**28
    tensors = {
        f"{i}": {"dtype": "BF16", "shape": [size // 2], "data_offsets": [i * size, (i + 1) * size]}
        for i in range(8)
    }
    head = json.dumps(tensors).encode()
    with (path := tmp_path / "x.safetensors").open("wb") as file:
        file.write(len(head).to_bytes(8, "little") + head)
        file.truncate(8 + len(head) + 8 * size)  # without a byte on the disk
    done = subprocess.run(
        [sys.executable, "-c", PEAK, str(path)], capture_output=True, text=True, check=True
    )
    assert int(done.stdout) * 1024 < 2**27, done.stdout
