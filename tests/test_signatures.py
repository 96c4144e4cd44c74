"""Registries are signed by SSH keys, and refused where a policy asks for what they have not."""

import os
import random
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from zoo_core import registry_files, signatures
from zoo_core.errors import InvalidInput, InvalidRegistry, UntrustedRegistry
from zoo_core.registry import Registry
from zoo_core.signatures import body_of, check, is_signed, sign

Make = Callable[..., dict[str, Any]]
Write = Callable[..., Path]

pytestmark = pytest.mark.skipif(
    not shutil.which("ssh-keygen"), reason="ssh-keygen, which signs, is not installed"
)
TRIES = 10_000 if os.environ.get("ZOO_FAULTS") else 60
"""Mutated registries that are tried."""


def make_key(folder: Path, name: str) -> Path:
    folder.mkdir(exist_ok=True)
    command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", str(folder / name)]
    subprocess.run(command, check=True)
    return folder / name


def fingerprints(key: Path) -> list[str]:
    run = subprocess.run(["ssh-keygen", "-l", "-f", str(key)], capture_output=True, text=True)
    return re.findall(r"SHA256:\S+", run.stdout)


@pytest.fixture
def key(tmp_path: Path) -> Path:
    return make_key(tmp_path / "keys", "me")


@pytest.fixture
def signers(tmp_path: Path, key: Path) -> Path:
    path = tmp_path / "signers"
    path.write_text(f"me@zoo {key.with_suffix('.pub').read_text()}")
    return path


@pytest.fixture
def registry(entry: Make, write_registry: Write) -> bytes:
    return write_registry(entry()).read_bytes()


def test_a_signed_registry_is_known_by_its_signer(
    registry: bytes, key: Path, signers: Path
) -> None:
    data = sign(registry, key)
    assert data.startswith(registry) and is_signed(data)
    assert check(data, signers, "r").signer == "me@zoo"
    assert body_of(data).strip() == registry.strip()


def test_it_is_a_registry_as_any_other_without_a_policy(
    entry: Make, write_registry: Write, key: Path
) -> None:
    path = write_registry(entry())
    path.write_bytes(sign(path.read_bytes(), key))
    assert list(Registry.load([path]).entries) == ["nade.mnist"]


def test_signing_again_replaces_the_signature_and_counts_on(
    registry: bytes, key: Path, signers: Path
) -> None:
    first = sign(registry, key)
    second = sign(first, key)
    assert second.count(b"BEGIN SSH SIGNATURE") == 1
    assert second.count(b"zoo-serial") == 1
    assert check(second, signers, "r").serial > check(first, signers, "r").serial


def test_what_was_appended_to_a_signed_registry_is_signed_with_it(
    registry: bytes, key: Path, signers: Path
) -> None:
    more = b"# ours\n[[withdrawn]]\nname = 'nade.old'\nsuccessor = 'nade.mnist'\n"
    changed = sign(registry, key) + more
    again = sign(changed, key)
    assert again.count(b"zoo-serial") == 1 and again.startswith(registry) and more in again
    assert check(again, signers, "r").signer == "me@zoo"
    cut = changed.replace(b"# -----END SSH SIGNATURE-----\n", b"")  # by an editor
    assert check(sign(cut, key), signers, "r").signer == "me@zoo" and more in sign(cut, key)


def test_a_key_that_is_none_cannot_sign(registry: bytes, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="nothing cannot sign: "):
        sign(registry, tmp_path / "nothing")


def test_strangers_and_other_purposes_are_refused(
    registry: bytes, key: Path, signers: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UntrustedRegistry, match="r is not used: it is not signed"):
        check(registry, signers, "r")
    stranger = make_key(tmp_path / "keys", "stranger")
    (key_of_stranger,) = fingerprints(stranger)
    said = f"it is signed, but not by an allowed signer: by the key {key_of_stranger}"
    with pytest.raises(UntrustedRegistry, match=re.escape(said)):
        check(sign(registry, stranger), signers, "r")
    changed = sign(registry, stranger).replace(b"schema = 1", b"schema =  1")
    with pytest.raises(UntrustedRegistry, match="it was changed after it was signed"):
        check(changed, signers, "r")
    monkeypatch.setattr(signatures, "NAMESPACE", "file")
    other = sign(registry, key)
    monkeypatch.undo()
    with pytest.raises(UntrustedRegistry, match="or its signature is for another purpose"):
        check(other, signers, "r")
    assert UntrustedRegistry.exit_code == 10


def test_a_key_may_be_trusted_for_other_purposes_only(
    registry: bytes, key: Path, tmp_path: Path
) -> None:
    path = tmp_path / "signers"
    path.write_text(f'me@zoo namespaces="git" {key.with_suffix(".pub").read_text()}')
    with pytest.raises(UntrustedRegistry, match="it is signed, but not by an allowed signer"):
        check(sign(registry, key), path, "r")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "names no signer"),
        ("# nobody yet\n\n", "names no signer"),
        ("garbage\n", "line 1: not an allowed signer"),
        ("# me\nme ssh-ed25519 AAAA\n", "line 2: not an allowed signer"),
        ("me ssh-ed25519 !!!\n", "line 1: not an allowed signer"),
    ],
)
def test_a_policy_that_is_not_sound_is_named(
    text: str, said: str, registry: bytes, key: Path, signers: Path
) -> None:
    data = sign(registry, key)
    signers.write_text(text)
    with pytest.raises(InvalidInput, match=f"^{signers}(, | ){said}"):
        check(data, signers, "r")


@pytest.mark.parametrize(
    "line",
    [
        'me@zoo namespaces="zoo-registry" {}',
        'me@zoo,you@zoo valid-before="29990101",namespaces="git,zoo-registry" {}',
        '"me@zoo" {}',
        "# a comment\n\n  me@zoo\t{}",
        "me@zoo {} in place of ssh-rsa AAAA",
    ],
)
def test_the_forms_of_allowed_signers_are_known(
    line: str, registry: bytes, key: Path, signers: Path
) -> None:
    signers.write_text(line.format(key.with_suffix(".pub").read_text().strip()))
    assert "me@zoo" in check(sign(registry, key), signers, "r").signer


def mutated(data: bytes, chance: random.Random) -> bytes:
    at = chance.randrange(len(data))
    way = chance.randrange(5)
    if way == 0:  # a bit
        return data[:at] + bytes([data[at] ^ 1 << chance.randrange(8)]) + data[at + 1 :]
    if way == 1:  # gone
        return data[:at] + data[at + 1 + chance.randrange(20) :]
    if way == 2:  # more
        return data[:at] + chance.randbytes(1 + chance.randrange(8)) + data[at:]
    if way == 3:  # cut
        return data[:at]
    until = chance.randrange(len(data))  # a piece of it again
    return data[:at] + data[min(at, until) : max(at, until)] + data[at:]


def test_no_mutated_registry_is_accepted(registry: bytes, key: Path, signers: Path) -> None:
    """Also in its signature, where other bytes may mean the same."""
    data = sign(registry, key)
    chance = random.Random(0)
    accepted = 0
    for _ in range(TRIES):
        changed = mutated(data, chance)
        if changed == data:
            continue
        with pytest.raises(UntrustedRegistry):
            check(changed, signers, "r")
            accepted += 1
    assert accepted == 0
    assert check(data, signers, "r").signer == "me@zoo"


def test_a_policy_holds_for_registries_of_the_user_and_not_for_the_codes(
    entry: Make, write_registry: Write, key: Path, signers: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_registry(entry())
    monkeypatch.setenv("ZOO_TRUST", str(signers))
    assert Registry.load().entries
    with pytest.raises(UntrustedRegistry, match=f"{path} is not used: it is not signed"):
        Registry.load([path])
    assert Registry.load([path], trusted=True).entries
    path.write_bytes(sign(path.read_bytes(), key))
    assert Registry.load([path]).entries


def test_the_policy_is_a_file_of_the_settings_too(
    entry: Make, write_registry: Write, signers: Path, tmp_path: Path
) -> None:
    (tmp_path / "zoo-config").mkdir()
    signers.rename(tmp_path / "zoo-config" / "trust")
    with pytest.raises(UntrustedRegistry):
        Registry.load([write_registry(entry())])


def test_a_policy_that_is_lost_is_not_none(
    entry: Make, write_registry: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ZOO_TRUST", "/nowhere")
    with pytest.raises(InvalidInput, match="ZOO_TRUST is '/nowhere', and there is no such file"):
        Registry.load([write_registry(entry())])


def test_an_older_registry_is_refused_where_a_newer_one_was_seen(
    registry: bytes, key: Path, signers: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ZOO_TRUST", str(signers))
    old = sign(registry, key)
    new = sign(old, key)
    served = new
    monkeypatch.setattr(registry_files, "_download", lambda url, known: (served, ""))
    url = "https://zoo.example/registry.toml"
    assert Registry.load([url]).entries
    served = old
    with pytest.raises(UntrustedRegistry, match="older than the one that was read before"):
        Registry.load([url], refresh=True)
    assert Registry.load([url]).entries, "the newer copy serves"
    served = registry
    with pytest.raises(InvalidRegistry, match="not signed"):
        Registry.load([url], refresh=True)
