"""Models in container registries."""

import json
from base64 import b64encode
from pathlib import Path

import pytest

from containers import Containers
from zoo_core import oci, sources
from zoo_core.oci import Address, Repository
from zoo_core.sources import SourceError

DIGEST = f"sha256:{'a' * 64}"


def push(url: str, files: dict[str, bytes]) -> None:
    repository = Repository(Address.of(url))
    repository.name([repository.push(path, data) for path, data in files.items()])


def read(url: str, offset: int = 0) -> bytes:
    with sources.read(url, offset) as answer:
        return b"".join(answer.chunks)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("oci://a.org/zoo", ("a.org", "zoo", "latest", "")),
        ("oci://a.org:5000/b/zoo:v1", ("a.org:5000", "b/zoo", "v1", "")),
        ("oci://a.org/zoo:v1/weights/x", ("a.org", "zoo", "v1", "weights/x")),
        (f"oci://a.org/zoo@{DIGEST}/x", ("a.org", "zoo", DIGEST, "x")),
    ],
)
def test_an_address_has_a_reference_and_may_have_a_file(text: str, parts: tuple[str, ...]) -> None:
    address = Address.of(text)
    assert (address.host, address.repository, address.reference, address.file) == parts
    assert Address.of(str(address)) == address
    assert address.is_fixed is (parts[2] == DIGEST)


@pytest.mark.parametrize("text", ["oci://a.org", "oci://a.org/Zoo", "oci://a.org/z@sha256:1"])
def test_what_is_no_address_says_what_is(text: str) -> None:
    with pytest.raises(SourceError, match="an address is oci://HOST/REPOSITORY:TAG"):
        Address.of(text)


def test_a_registry_elsewhere_is_asked_by_https() -> None:
    assert Address.of("oci://a.org/zoo").url == "https://a.org/v2/zoo/"
    assert Address.of("oci://localhost:5000/zoo").url == "http://localhost:5000/v2/zoo/"


def test_files_are_laid_out_as_modelpack_does(containers: Containers) -> None:
    push(f"{containers.url}/zoo:v1", {"weights/a.safetensors": b"abc", "card.md": b"# a"})
    manifest = containers.manifest("v1")
    assert manifest["artifactType"] == "application/vnd.cncf.model.manifest.v1+json"
    layers = manifest["layers"]
    assert isinstance(layers, list)
    assert [(each["mediaType"], each["size"], each["annotations"]) for each in layers] == [
        (
            "application/vnd.cncf.model.weight.v1.raw",
            3,
            {"org.cncf.model.filepath": "weights/a.safetensors"},
        ),
        ("application/vnd.cncf.model.doc.v1.raw", 3, {"org.cncf.model.filepath": "card.md"}),
    ]
    described = manifest["config"]
    assert isinstance(described, dict)
    assert described["mediaType"] == "application/vnd.cncf.model.config.v1+json"
    config = json.loads(containers.blobs[described["digest"]])
    assert config["descriptor"] == {"name": "zoo"}
    assert config["modelfs"]["diffIds"] == [each["digest"] for each in layers]


def test_a_file_is_read_by_tag_and_by_digest(containers: Containers) -> None:
    push(f"{containers.url}/zoo", {"x": b"bytes"})
    (fixed,) = containers.manifests.keys() - {"latest"}
    push(f"{containers.url}/zoo", {"x": b"other"})
    assert read(f"{containers.url}/zoo:latest/x") == b"other"
    assert read(f"{containers.url}/zoo:latest/x", 2) == b"her"
    assert read(f"{containers.url}/zoo@{fixed}/x") == b"bytes"
    for place in ("zoo:latest/y", "zoo:v9/x", "zoo"):
        with pytest.raises(SourceError, match="it is not there"):
            read(f"{containers.url}/{place}")


def test_what_is_there_is_not_pushed_again(containers: Containers, tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"bytes")
    repository = Repository(Address.of(f"{containers.url}/zoo"))
    layer = repository.push("x", tmp_path / "x")
    assert repository.push("y", b"bytes").digest == layer.digest
    assert [method for method, _ in containers.asked] == ["HEAD", "POST", "PUT", "HEAD"]


@pytest.mark.parametrize("access", ["basic", "bearer"])
def test_a_password_is_the_one_of_docker_login(
    containers: Containers, access: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    containers.access = access
    host = containers.url.removeprefix("oci://")
    with pytest.raises(SourceError, match=f"the server answered 401; .*`docker login {host}`"):
        push(f"{containers.url}/zoo", {"x": b"bytes"})
    auth = b64encode(b"me:secret").decode()
    (tmp_path / "config.json").write_text(json.dumps({"auths": {host: {"auth": auth}}}))
    push(f"{containers.url}/zoo", {"x": b"bytes"})
    assert read(f"{containers.url}/zoo:latest/x") == b"bytes"


def test_other_bytes_than_the_manifest_names_are_not_used(containers: Containers) -> None:
    push(f"{containers.url}/zoo", {"x": b"bytes"})
    (fixed,) = containers.manifests.keys() - {"latest"}
    digest = containers.keep(b"bytes")
    containers.blobs[digest] = b"wrong"
    with pytest.raises(SourceError, match="it is not what its manifest names"):
        read(f"{containers.url}/zoo:latest/x")
    containers.manifests[fixed] += b" "
    with pytest.raises(SourceError, match="the manifest has another digest"):
        read(f"{containers.url}/zoo@{fixed}/x")


@pytest.mark.parametrize(
    ("manifest", "said"),
    [
        (b"{", "its manifest is not sound"),
        (b"[]", "its manifest is not sound"),
        (b'{"artifactType": "other"}', "another kind of artifact, and no model"),
        (json.dumps({"artifactType": oci.MODEL}).encode(), "its manifest is not sound"),
    ],
)
def test_a_manifest_that_is_not_sound_is_not_used(
    containers: Containers, manifest: bytes, said: str
) -> None:
    containers.manifests["latest"] = manifest
    with pytest.raises(SourceError, match=said):
        read(f"{containers.url}/zoo:latest/x")
