"""The folder of parts knows what it is of, and holds whole parts alone."""

import json
from pathlib import Path

import pytest

from zoo_core.bulk.folder import Folder, Part, sizes_of
from zoo_core.errors import InvalidInput, ZooError

PARTS = [Part(f"part-{i}", 0, range(3 * i, 3 * i + 3), 3 * i) for i in range(2)]
SETTINGS = {"entry": "m", "sources": [], "options": {"to": ("a",)}, "versions": {"torch": "1"}}


def folder(path: Path, **more: object) -> Folder:
    made = Folder(path / "out", SETTINGS | more, PARTS)
    made.check()
    made.begin()
    return made


def test_the_folder_is_closed_when_all_parts_are_there(tmp_path: Path) -> None:
    made = folder(tmp_path)

    assert made.missing() == PARTS and not made.close()
    (made.path / ".writing-killed").mkdir()
    for part in PARTS:
        (made.path / part.name).write_text("whole")
    assert made.close()
    assert {path.name for path in made.path.iterdir()} == {"part-0", "part-1", "manifest.json"}
    manifest = json.loads((made.path / "manifest.json").read_text())
    assert manifest["complete"] is True
    assert {len(part["sha256"]) for part in manifest["parts"]} == {64}


def test_other_versions_may_go_on_and_other_settings_may_not(tmp_path: Path) -> None:
    folder(tmp_path)
    folder(tmp_path, versions={"torch": "2"})
    with pytest.raises(InvalidInput, match=r'out was begun with entry "m", and now "n"\. Give'):
        folder(tmp_path, entry="n")


def test_sizes_that_a_folder_was_begun_with(tmp_path: Path) -> None:
    assert sizes_of(tmp_path / "out") == {}
    made = folder(tmp_path, batch_size=256, part_rows="all")
    assert sizes_of(made.path) == {"batch_size": 256}
    for text in ("[]", "{", '{"batch_size": true}'):
        (made.path / "manifest.json").write_text(text)
        assert sizes_of(made.path) == {}


def test_a_source_that_changed_is_not_gone_on_with(tmp_path: Path) -> None:
    source = {"name": "x.npy", "rows": 6, "digest": "a"}
    folder(tmp_path, sources=[source])
    folder(tmp_path, sources=[source])
    with pytest.raises(InvalidInput, match=r"x\.npy has changed since \S+out was begun: parts of"):
        folder(tmp_path, sources=[source | {"digest": "b"}])
    with pytest.raises(InvalidInput, match=r"out was begun with sources"):
        folder(tmp_path, sources=[source | {"name": "y.npy"}])


def test_a_folder_whose_manifest_was_never_finished_is_begun_again(tmp_path: Path) -> None:
    scratch = tmp_path / "out" / ".writing-0123456789abcdef"
    scratch.mkdir(parents=True)  # as a process leaves it that is killed while it writes the first
    (scratch / "manifest.json").write_text("{")
    made = folder(tmp_path)
    assert json.loads((made.path / "manifest.json").read_text())["complete"] is False


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("other.txt", "", r"holds no manifest\.json: it was not begun by zoo run"),
        ("manifest.json", "{", r"manifest\.json cannot be read"),
        ("manifest.json", "[]", r"manifest\.json was not written by zoo run"),
        ("manifest.json", '{"parts": [1]}', r"manifest\.json was not written by zoo run"),
    ],
)
def test_a_folder_of_something_else(tmp_path: Path, name: str, text: str, message: str) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / name).write_text(text)
    with pytest.raises(InvalidInput, match=message):
        folder(tmp_path)


def test_a_file_that_another_process_removed_as_unfinished_is_there_by_then(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, gone = folder(tmp_path), FileNotFoundError(2, "No such file")

    def save(path: Path) -> None:
        raise ZooError(f"cannot write {path}") from gone

    def write(path: Path, data: bytes) -> None:
        if other_wrote:
            path.write_bytes(data)
        raise gone

    with pytest.raises(ZooError, match=r"cannot write \S+part-0"):
        made.add(PARTS[0], save)
    for part in PARTS:
        made.add(part, lambda path: path.touch())
        made.add(part, save)
    monkeypatch.setattr("zoo_core.bulk.folder.write_atomic", write)
    other_wrote = False
    with pytest.raises(FileNotFoundError):
        made.close()
    other_wrote = True
    assert made.close()
