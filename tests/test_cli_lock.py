import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

Zoo = Callable[..., Result]


@pytest.fixture(autouse=True)
def _here(two: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_a_lock_gives_its_bytes_or_fails(zoo: Zoo, two: Path) -> None:
    result = zoo("lock", "nade.mnist")
    assert result.exit_code == 0
    name, digest = result.stdout.split()
    assert (name, len(digest)) == ("nade.mnist", 12)
    result = zoo("pull", "--locked")
    assert result.exit_code == 0 and result.stdout.startswith("nade.mnist  ")
    assert zoo("pull", "--locked", "vae.faces").exit_code == 3
    zoo("gc")
    zoo("rm", "nade.mnist")
    text = two.read_text()
    (two.parent / "nade.mnist.bin").write_text("weights of somebody..")
    assert zoo("pull", "--locked").exit_code == 6
    two.write_text(text.replace("nade.mnist", "nade.moved"))
    (two.parent / "nade.moved.bin").write_text("weights of nade.mnist")
    assert zoo("pull", "nade.mnist").exit_code == 3
    assert zoo("pull", "--locked").exit_code == 0


def test_a_lock_of_other_weights_than_the_registry_names_both_digests(zoo: Zoo, two: Path) -> None:
    zoo("lock", "nade.mnist")
    text = two.read_text()
    old = tomllib.loads(text)["entry"][0]["weights"]["sha256"]
    two.write_text(text.replace(old, "0" * 64))
    result = zoo("pull", "--locked")
    assert result.exit_code == 6
    assert (
        f"nade.mnist: zoo.lock has sha256 {old}, and the registry now has other weights, "
        f"sha256 {'0' * 64}" in result.stderr
    )
    assert "`zoo lock nade.mnist`" in result.stderr
    two.write_text(text)
    assert zoo("pull", "--locked").exit_code == 0
    two.write_text(text.replace(old, "0" * 64))
    assert zoo("pull", "--locked").exit_code == 0  # they are here


def test_a_lock_says_what_has_changed(zoo: Zoo, two: Path) -> None:
    zoo("lock", "nade.mnist")
    assert zoo("lock", "--check").exit_code == 0
    again = zoo("lock")
    assert (again.stdout, again.stderr) == ("", "zoo.lock: the digests are unchanged\n")
    assert zoo("lock", "vae").stdout.startswith("vae.faces  ")
    text = two.read_text()
    digest = text.split('"sha256": "')[1][:64] if '"sha256": "' in text else ""
    digest = digest or text.split('sha256 = "')[1][:64]
    two.write_text(text.replace(digest, "0" * 64))
    result = zoo("lock", "--check")
    assert result.exit_code == 7
    assert f"{digest[:12]} -> {'0' * 12}" in result.stdout
    assert "zoo.lock is not what the registry has: nade.mnist" in result.stderr
    assert zoo("lock").exit_code == 0
    assert zoo("lock", "--check").exit_code == 0


def test_a_lock_that_would_be_written_anew_is_found(zoo: Zoo, two: Path) -> None:
    zoo("lock", "nade.mnist")
    path = Path("zoo.lock")
    path.write_text(path.read_text().replace("bytes = 21", "bytes = 22"))
    result = zoo("lock", "--check")
    assert result.exit_code == 7
    assert "not what the registry has: sizes, versions or sources, with the same" in result.stderr
    assert zoo("lock").exit_code == zoo("lock", "--check").exit_code == 0


def test_names_that_are_deprecated_withdrawn_or_gone(zoo: Zoo, two: Path) -> None:
    text = two.read_text()
    gone = '\n[[withdrawn]]\nname = "nade.gone"\nsuccessor = "nade.mnist"\n'
    two.write_text(text + gone)
    assert zoo("lock", "nade.gone").stdout.startswith("nade.mnist  ")
    assert zoo("pull", "--locked", "nade.gone").stdout.startswith("nade.mnist  ")
    two.write_text(f'{text}\ndeprecated = {{ successor = "nade.mnist" }}\n')  # vae.faces
    assert zoo("lock", "vae.?aces").stdout.startswith("vae.faces  ")
    assert zoo("lock", "--check").exit_code == 0
    two.write_text(text.replace("vae.faces", "vae.moved"))
    result = zoo("lock", "--check")
    assert result.exit_code == 3
    assert "zoo.lock names what no registry has by now: no entry is named" in result.stderr


def test_a_lock_needs_names_or_a_file(zoo: Zoo) -> None:
    result = zoo("lock")
    assert result.exit_code == 2
    assert "there is no zoo.lock; `zoo lock ENTRY...` writes one" in result.stderr
    assert zoo("pull", "--locked").exit_code == 2
