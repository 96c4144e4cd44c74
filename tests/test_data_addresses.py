"""Inputs at an address: copied once, anew where they changed, and read as files are."""

import hashlib
import io
import tarfile
from pathlib import Path

import fsspec
import numpy as np
import pytest
import torch

from factories import picture
from zoo_core.data import load_dataset, load_images
from zoo_core.data.addresses import fetch, is_address
from zoo_core.data.streams import open_stream
from zoo_core.errors import DiskError, InvalidInput, NetworkError


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZOO_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("ZOO_OFFLINE", raising=False)
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    fetch.cache_clear()


def put(address: str, data: bytes) -> None:
    with fsspec.open(address, "wb") as file:
        file.write(data)
    fetch.cache_clear()


def npy(x: np.ndarray) -> bytes:
    np.save(file := io.BytesIO(), x)
    return file.getvalue()


def test_tables_and_shards_are_inputs(tmp_path: Path) -> None:
    x = np.eye(20, dtype=np.uint8)
    put("memory://rows/x.npy", npy(x))
    put("memory://rows/x.csv", "\n".join(",".join(map(str, row)) for row in x).encode())
    with tarfile.open(tmp_path / "x.tar", "w") as tar:
        tar.add(picture(tmp_path / "a.png"), "a.png")
    put("memory://rows/x.tar", (tmp_path / "x.tar").read_bytes())
    for address in ("memory://rows/x.npy", "memory://rows/x.csv"):
        stream = open_stream(address, shape=(20,))
        (part,) = stream.read([range(3, 5)])
        assert torch.equal(part.data.x, torch.from_numpy(x[3:5]))
        assert part.names == (f"{address}[3]", f"{address}[4]")
    loaded = load_images(["memory://rows/x.tar"], shape=(1, 8, 8))
    assert loaded.data.x.unique().tolist() == [200]
    (part,) = open_stream("memory://rows/x.tar", shape=(1, 8, 8)).read([range(1)])
    assert loaded.names == part.names == ("memory://rows/x.tar/a.png",)  # not that of the copy
    put("memory://rows/a.png", (tmp_path / "a.png").read_bytes())
    assert load_images(["memory://rows/a.png"], shape=(1, 8, 8)).names == ("memory://rows/a.png",)
    assert len(load_dataset("memory://rows/x.csv:train[0:3]")) == 3


def test_a_copy_is_made_once_and_anew_where_the_file_changed() -> None:
    put("memory://x.npy", npy(np.zeros((3, 2), np.uint8)))
    first = fetch("memory://x.npy")
    assert first is not None
    before, digest = first.stat(), open_stream("memory://x.npy", shape=(2,)).digest
    fetch.cache_clear()
    assert fetch("memory://x.npy") == first
    assert (first.stat().st_ino, first.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    put("memory://x.npy", npy(np.ones((4, 2), np.uint8)))
    assert fetch("memory://x.npy") == first
    assert np.load(first).sum() == 8
    assert open_stream("memory://x.npy", shape=(2,)).digest != digest


def test_another_machine_has_the_same_digest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put("memory://x.npy", npy(np.zeros((3, 2), np.uint8)))
    here = open_stream("memory://x.npy", shape=(2,)).digest
    monkeypatch.setenv("ZOO_HOME", str(tmp_path / "other"))
    fetch.cache_clear()
    assert open_stream("memory://x.npy", shape=(2,)).digest == here
    assert len(list((tmp_path / "other" / "inputs").iterdir())) == 1


def test_where_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    assert fetch("memory://none.npy") is None
    with pytest.raises(InvalidInput, match=r"nosuch://x\.npy: .* 'zoo-core\[buckets\]'"):
        fetch("nosuch://x.npy")
    monkeypatch.setenv("ZOO_OFFLINE", "1")
    with pytest.raises(NetworkError, match=r"s3://b/x\.npy is not here yet, and ZOO_OFF"):
        fetch("s3://b/x.npy")


def test_rows_and_splits_of_a_copy_need_no_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ZOO_OFFLINE", "1")
    address, x = "s3://bucket/x.npy", np.eye(20, dtype=np.uint8)
    folder = tmp_path / "home" / "inputs" / hashlib.sha256(address.encode()).hexdigest()[:16]
    folder.mkdir(parents=True)
    (folder / "x.npy").write_bytes(npy(x))
    for rows in ("", ":test", "[0:2]", ":train[1:3]"):
        loaded = load_images([address + rows], shape=(20,))
        (part,) = open_stream(address + rows, shape=(20,)).read([range(len(loaded.names))])
        assert part.names == loaded.names
        assert torch.equal(part.data.x, loaded.data.x)
    assert load_images([f"{address}[0:2]"], shape=(20,)).data.x.tolist() == x[:2].tolist()
    assert len(load_dataset(f"{address}:test")) == 2
    for rows in ("", ":test", "[0:2]"):
        with pytest.raises(NetworkError, match=r"s3://bucket/y\.npy is not here yet, and ZOO_OFF"):
            load_dataset(f"s3://bucket/y.npy{rows}")


def test_a_server_that_fails_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> bool:
        raise PermissionError("no key")

    monkeypatch.setattr("fsspec.implementations.memory.MemoryFileSystem.isfile", fail)
    with pytest.raises(NetworkError, match=r"memory://x\.npy could not be read: no key"):
        fetch("memory://x.npy")


def test_a_server_that_does_not_answer_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def connect(address: str) -> None:
        raise ConnectionRefusedError(111, "Connection refused")

    monkeypatch.setattr("zoo_core.data.addresses.file_system", connect)
    with pytest.raises(NetworkError, match=r"ftp://…@host/x\.csv could not be read: .*refused"):
        fetch("ftp://me:secret@host/x.csv")


def test_a_copy_without_room_is_no_matter_of_the_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def copy(*_: object) -> None:
        raise OSError(28, "No space left on device")

    put("memory://x.npy", npy(np.zeros((3, 2), np.uint8)))
    monkeypatch.setattr("shutil.copyfileobj", copy)
    with pytest.raises(DiskError, match=r"cannot write \S+x\.npy: No space left on device"):
        fetch("memory://x.npy")


def test_a_folder_at_an_address_is_refused() -> None:
    put("memory://images/a.png", b"")
    with pytest.raises(InvalidInput, match="memory://images is a folder, and only files are read"):
        fetch("memory://images")


def test_the_version_that_an_address_asks_for_is_not_of_the_name() -> None:
    put("memory://x.npy?versionId=3", npy(np.zeros((3, 2), np.uint8)))
    copy = fetch("memory://x.npy?versionId=3")
    assert copy is not None and copy.name == "x.npy"


def test_addresses_that_others_read() -> None:
    kinds = ("s3://b/x.csv", "memory://x.csv", "hf://user/name", "https://a/x.csv", "mnist:test")
    assert [is_address(name) for name in kinds] == [True, True, False, False, False]
