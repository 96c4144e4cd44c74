import os
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import tomli_w

from zoo_core import environment, registry_files, transfer
from zoo_core.errors import InvalidInput, InvalidRegistry, NetworkError
from zoo_core.registry import Registry
from zoo_core.registry_files import MAX_BYTES, origin_of
from zoo_core.sources import SourceError

Make = Callable[..., dict[str, Any]]


Write = Callable[..., Path]


def test_the_cached_result_is_the_parsed_one(entry: Make, write_registry: Write) -> None:
    path = write_registry(entry(), mirrors=["mirror"])
    first, second = Registry.load([path]).entries, Registry.load([path]).entries
    assert first == second


def test_a_cached_result_is_not_parsed_again(
    entry: Make, write_registry: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_registry(entry())
    Registry.load([path])
    monkeypatch.setattr("zoo_core.schema.parse", lambda *_: pytest.fail("parsed again"))
    assert list(Registry.load([path]).entries) == ["nade.mnist"]


def test_a_changed_file_is_parsed_again(entry: Make, write_registry: Write) -> None:
    Registry.load([write_registry(entry())])
    path = write_registry(entry(name="nade.dna"))
    assert list(Registry.load([path]).entries) == ["nade.dna"]


@pytest.mark.parametrize("damage", [b"", b"[]", b"{}", b"{", b"\xff\xfe"])
def test_a_damaged_cache_is_ignored(
    entry: Make, write_registry: Write, tmp_path: Path, damage: bytes
) -> None:
    path = write_registry(entry())
    Registry.load([path])
    (cache,) = (tmp_path / "zoo-home" / "registries").iterdir()
    key = cache.read_bytes().partition(b"\n")[0]
    cache.write_bytes(key + b"\n" + damage)
    assert list(Registry.load([path]).entries) == ["nade.mnist"]


def test_a_cache_folder_that_cannot_be_written_is_ignored(
    entry: Make, write_registry: Write, tmp_path: Path
) -> None:
    (tmp_path / "zoo-home").write_text("a file where a folder should be")
    assert list(Registry.load([write_registry(entry())]).entries) == ["nade.mnist"]


def test_a_missing_registry_is_named() -> None:
    with pytest.raises(
        InvalidRegistry,
        match=r"no registry at /nowhere/registry\.toml: expected a registry\.toml",
    ):
        Registry.load(["/nowhere/registry.toml"])


def test_a_folder_stands_for_the_registry_in_it(entry: Make, write_registry: Write) -> None:
    path = write_registry(entry())
    assert Registry.load([path.parent]).sources == (str(path),)


def test_one_registry_is_given_by_its_path_alone(entry: Make, write_registry: Write) -> None:
    path = write_registry(entry())
    assert Registry.load(path).sources == Registry.load(str(path)).sources == (str(path),)
    with pytest.raises(InvalidInput, match="sources is 3; expected a path, a folder or a URL, or"):
        Registry.load(3)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("http://a.org/zoo", "http://a.org/zoo/registry.toml"),
        ("http://a.org/zoo/", "http://a.org/zoo/registry.toml"),
        ("http://a.org/", "http://a.org/registry.toml"),
        ("http://a.org", "http://a.org/registry.toml"),
        ("hf://org/repo", "hf://org/repo/registry.toml"),
        ("http://a.org/r.toml", "http://a.org/r.toml"),
        ("http://a.org/r.toml?key=a/b", "http://a.org/r.toml?key=a/b"),
        ("http://a.org/get?file=r", "http://a.org/get?file=r"),
    ],
)
def test_a_url_of_a_folder_stands_for_the_registry_in_it(url: str, origin: str) -> None:
    assert origin_of(url) == origin


def test_a_remote_registry_is_read_once_and_kept(
    entry: Make, write_registry: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = write_registry(entry()).read_bytes()
    calls: list[str] = []
    monkeypatch.setattr(
        registry_files, "_download", lambda url, known: (calls.append(url) or data, "")
    )
    url = "https://zoo.example/models/registry.toml?token=1"
    for _ in range(2):
        found = Registry.load([url]).lookup("nade")
    assert found.blob.sources == ("https://zoo.example/models/weights/nade.bin",)
    assert len(calls) == 1
    Registry.load([url], refresh=True)
    assert len(calls) == 2


def test_a_server_is_asked_only_for_what_changed(
    entry: Make, write_registry: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = write_registry(entry()).read_bytes()
    asked: list[str] = []

    def read(url: str, known: str) -> tuple[bytes | None, str]:
        asked.append(known)
        return (None, known) if known else (data, '"a"')

    monkeypatch.setattr(registry_files, "_download", read)
    for _ in range(3):
        assert Registry.load(["https://zoo.example/"], refresh=True).entries
    assert asked == ["", '"a"', '"a"']
    (copy,) = (environment.home() / "registries").glob("*.toml")
    copy.write_bytes(data + b"# changed")  # the tag is of other bytes
    Registry.load(["https://zoo.example/"], refresh=True)
    assert asked[-1] == ""


def test_a_server_that_fails_leaves_the_last_good_copy(
    entry: Make,
    write_registry: Write,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    data = write_registry(entry()).read_bytes()
    monkeypatch.setattr(registry_files, "_download", lambda url, known: (data, ""))
    Registry.load(["https://zoo.example/"])

    def fail(url: str, known: str) -> bytes:
        raise NetworkError(f"cannot read the registry {url}.")

    monkeypatch.setattr(registry_files, "_download", fail)
    assert Registry.load(["https://zoo.example/"], refresh=True).lookup("nade").name == "nade.mnist"
    assert "warning: cannot read the registry https://zoo.example/" in capsys.readouterr().err


@pytest.mark.parametrize(("transient", "tries"), [(True, 3), (False, 1)])
def test_a_server_that_may_answer_in_a_moment_is_asked_again(
    transient: bool,
    tries: int,
    entry: Make,
    write_registry: Write,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    data = write_registry(entry()).read_bytes()
    asked: list[str] = []

    def read(url: str, known: str) -> tuple[bytes | None, str]:
        asked.append(url)
        if len(asked) < 3:
            raise SourceError("503 Service Unavailable", transient=transient)
        return data, ""

    monkeypatch.setattr(registry_files, "_read", read)
    monkeypatch.setattr(transfer, "PAUSE", 0.001)
    with nullcontext() if transient else pytest.raises(NetworkError, match="503"):
        assert Registry.load(["https://zoo.example/"]).entries
    assert len(asked) == tries
    assert capsys.readouterr().err.count("Trying again in") == tries - 1
    if transient:  # with a copy nobody waits
        asked.clear()
        Registry.load(["https://zoo.example/"], refresh=True)
        assert len(asked) == 1


def test_a_bad_answer_does_not_replace_the_good_copy(
    entry: Make, write_registry: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = write_registry(entry()).read_bytes()
    monkeypatch.setattr(registry_files, "_download", lambda url, known: (data, ""))
    Registry.load(["https://zoo.example/"])
    monkeypatch.setattr(registry_files, "_download", lambda url, known: (b"<html>", ""))
    with pytest.raises(InvalidRegistry, match=r"https://zoo.example/registry.toml: not TOML"):
        Registry.load(["https://zoo.example/"], refresh=True)
    assert Registry.load(["https://zoo.example/"]).lookup("nade").name == "nade.mnist"


def test_offline_uses_the_copy_however_old(
    entry: Make, write_registry: Write, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    data = write_registry(entry()).read_bytes()
    monkeypatch.setattr(registry_files, "_download", lambda url, known: (data, ""))
    Registry.load(["https://zoo.example/"])
    monkeypatch.undo()
    monkeypatch.setenv("ZOO_HOME", str(tmp_path / "zoo-home"))
    monkeypatch.setenv("ZOO_OFFLINE", "1")
    for copy in (tmp_path / "zoo-home" / "registries").iterdir():
        os.utime(copy, (0, 0))
    assert Registry.load(["https://zoo.example/"]).lookup("nade").name == "nade.mnist"
    with pytest.raises(NetworkError, match=r"has not been read before and ZOO_OFFLINE is set"):
        Registry.load(["https://other.example/"])


def test_a_registry_that_cannot_be_fetched_is_named() -> None:
    with pytest.raises(NetworkError, match=r"http://127.0.0.1:9/x.toml: no server answers there"):
        Registry.load(["http://127.0.0.1:9/x.toml"])


def test_a_registry_has_a_largest_size(tmp_path: Path) -> None:
    path = tmp_path / "registry.toml"
    path.write_bytes(b"#" * (MAX_BYTES + 1))
    with pytest.raises(InvalidRegistry, match=r"more than the 1,048,576 bytes .* Split it"):
        Registry.load([path])


def test_a_registry_is_a_regular_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "registry.toml")
    with pytest.raises(InvalidRegistry, match=r"cannot read the registry .*: it is a named pipe"):
        Registry.load([tmp_path])


def test_fsspec_decides_which_schemes_there_are(entry: Make, write_registry: Write) -> None:
    import fsspec

    data = write_registry(entry()).read_bytes()
    fsspec.filesystem("memory").pipe_file("/zoo/registry.toml", data)
    found = Registry.load(["memory://zoo/registry.toml"]).lookup("nade")
    assert found.blob.sources == ("memory://zoo/weights/nade.bin",)
    with pytest.raises(NetworkError, match=r"registry nope://x/r\.toml: Protocol not known"):
        Registry.load(["nope://x/r.toml"])


@pytest.mark.parametrize(
    ("origin", "url", "allowed"),
    [
        ("https://a.org/r.toml", "w/n.bin", True),
        ("https://a.org/r.toml", "http://b.org/n.bin", True),
        ("https://a.org/r.toml", "hf://org/repo/n.bin", True),
        ("https://a.org/r.toml", "oci://host/repo@sha256:0", True),
        ("s3://bucket/r.toml", "w/n.bin", True),
        ("s3://bucket/r.toml", "s3://bucket/n.bin", True),
        ("s3://bucket/r.toml", "s3://another/n.bin", False),
        ("https://a.org/r.toml", "s3://bucket/n.bin", False),
        ("https://a.org/r.toml", "/etc/passwd", False),
        ("https://a.org/r.toml", "//b.org/n.bin", False),
        ("https://a.org/r.toml", "file:///dev/zero", False),
        ("https://a.org/r.toml", "FILE:///dev/zero", False),
        ("https://a.org/r.toml", "local:///dev/zero", False),
        ("https://a.org/r.toml", "filecache::https://b.org/n.bin", False),
        ("https://a.org/r.toml", "zip://n.bin::https://b.org/z.zip", False),
        ("https://a.org/r.toml", "https://b.org/z.zip::file:///etc/passwd", False),
        ("https://a.org/r.toml", "ssh://b.org/n.bin", False),
        ("https://a.org/r.toml", "\\\\host\\share", False),
        ("/here/r.toml", "/data/n.bin", True),
        ("file:///here/r.toml", "/data/n.bin", True),
    ],
)
@pytest.mark.parametrize("field", ["weights", "recipe", "mirrors"])
def test_a_registry_from_elsewhere_names_addresses_of_elsewhere(
    entry: Make, origin: str, url: str, allowed: bool, field: str
) -> None:
    table = entry(weights__url=url) if field == "weights" else entry(recipe=url)
    document = {"entry": [table if field != "mirrors" else entry()], "mirrors": []}
    if field == "mirrors":
        document["mirrors"] = [url]
    data = tomli_w.dumps({"schema": 1, **document}).encode()
    if allowed:
        registry_files._validate(data, origin)
        return
    with pytest.raises(
        InvalidRegistry, match=r"; a registry from elsewhere names addresses of http"
    ):
        registry_files._validate(data, origin)


def test_what_registries_named_before_is_known(entry: Make, write_registry: Write) -> None:
    assert registry_files.cached_digests() == set()
    Registry.load([write_registry(entry())])
    assert registry_files.cached_digests() == {"a" * 64}


def test_a_model_of_a_registry_of_containers_holds_a_registry() -> None:
    assert origin_of("oci://a.org/b/zoo") == "oci://a.org/b/zoo:latest/registry.toml"
    assert origin_of("oci://a.org:5000/zoo:v1/x.toml") == "oci://a.org:5000/zoo:v1/x.toml"
    with pytest.raises(InvalidRegistry, match="an address is oci://HOST/REPOSITORY:TAG"):
        origin_of("oci://a.org/Zoo")
