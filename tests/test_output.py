import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file

from zoo_core import output
from zoo_core.errors import InvalidInput, OutputExists, ZooError
from zoo_core.output import graphics, plots, terminal

PROVENANCE = {"entry": "nade.mnist", "seed": 7, "note": "−π"}


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def _plain_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NO_COLOR", "COLORTERM"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    _size(monkeypatch, 80, 24)


def _size(monkeypatch: pytest.MonkeyPatch, columns: int, lines: int) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setenv("LINES", str(lines))


def drawn(images: torch.Tensor, **options: Any) -> list[str]:
    stream = Terminal()
    output.show(images, stream, **options)
    return stream.getvalue().splitlines()


def checkers(n: int, size: int = 4, channels: int = 1) -> torch.Tensor:
    i = torch.arange(size)
    tile = ((i + i.unsqueeze(1)) % 2).float()
    return tile.expand(n, channels, size, size)


# Grids


def test_grid_holds_every_pixel_of_every_image() -> None:
    x = torch.rand(5, 1, 3, 4, generator=torch.Generator().manual_seed(0)).round()
    picture = np.asarray(output.grid(x, columns=2, pad=1, scale=1))
    assert picture.shape == (3 * 3 + 2, 2 * 4 + 1)
    for i in range(5):
        top, left = i // 2 * 4, i % 2 * 5
        tile = picture[top : top + 3, left : left + 4]
        assert np.array_equal(tile, 255 * x[i, 0].numpy())


def test_grid_keeps_colour_and_clamps() -> None:
    x = torch.tensor([1.5, 0.5, -1.0]).view(1, 3, 1, 1)
    assert output.grid(x, scale=1).getpixel((0, 0)) == (255, 128, 0)


def test_grid_enlarges_small_images_only() -> None:
    assert output.grid(torch.zeros(1, 1, 28, 28)).size == (84, 84)
    assert output.grid(torch.zeros(1, 3, 128, 128)).size == (128, 128)
    assert output.grid(torch.zeros(1024, 1, 28, 28)).size[0] < 1200


def test_names_stand_left_of_their_rows() -> None:
    x = torch.zeros(6, 1, 28, 28)
    plain, named = output.grid(x, columns=2), output.grid(x, columns=2, names=["z0", "", "z2"])
    margin = named.width - plain.width
    assert np.array_equal(np.asarray(named)[:, margin:], np.asarray(plain))
    rows = np.asarray(named)[:, :margin].max(1).reshape(-1)
    written = [bool((part > 200).any()) for part in np.array_split(rows, 3)]
    assert written == [True, False, True]


def test_what_fills_a_row_looks_like_the_space_between() -> None:
    x = torch.ones(3, 3, 2, 2)
    full = torch.cat([x, output.blank(x, 1)])
    assert np.array_equal(np.asarray(output.grid(full, 2)), np.asarray(output.grid(x, 2)))


def test_grid_takes_half_precision() -> None:
    assert output.grid(torch.ones(1, 1, 2, 2, dtype=torch.bfloat16)).getpixel((0, 0)) == 255


# Files


Save = Callable[..., None]
SAVERS: dict[str, Save] = {
    "a.png": lambda path, **o: output.save_image(path, torch.ones(2, 1, 4, 4), PROVENANCE, **o),
    "a.gif": lambda path, **o: output.save_gif(
        path, [output.grid(checkers(1)), output.grid(1 - checkers(1))], PROVENANCE, **o
    ),
    "a.csv": lambda path, **o: output.save_table(path, [{"x": 1, "y": 0.5}], PROVENANCE, **o),
    "a.json": lambda path, **o: output.save_table(path, [{"x": 1, "y": 0.5}], PROVENANCE, **o),
    "a.npz": lambda path, **o: output.save_tensors(path, {"x": torch.ones(2)}, PROVENANCE, **o),
    "a.safetensors": lambda path, **o: output.save_tensors(
        path, {"x": torch.ones(2)}, PROVENANCE, **o
    ),
}


@pytest.mark.parametrize("suffix", ["npz", "safetensors"])
def test_strings_lie_beside_tensors(tmp_path: Path, suffix: str) -> None:
    path, names = tmp_path / f"a.{suffix}", ["a.png", "mnist:test[3]", "größer"]
    output.save_tensors(path, {"x": torch.ones(3)}, PROVENANCE, texts={"names": names})
    assert output.read_provenance(path) == PROVENANCE
    if suffix == "npz":
        with np.load(path, allow_pickle=False) as saved:
            assert saved["names"].tolist() == names
    else:
        with safe_open(path, "pt") as saved:
            assert json.loads(saved.metadata()["names"]) == names


@pytest.mark.parametrize("name", SAVERS)
def test_every_file_has_its_provenance(tmp_path: Path, name: str) -> None:
    SAVERS[name](tmp_path / name)
    assert output.read_provenance(tmp_path / name) == PROVENANCE


@pytest.mark.parametrize("name", SAVERS)
def test_no_file_is_overwritten_without_force(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(b"precious")
    with pytest.raises(OutputExists, match=f"{name} exists. Give another path, or --force"):
        SAVERS[name](path)
    assert path.read_bytes() == b"precious"
    SAVERS[name](path, force=True)
    assert path.read_bytes() != b"precious"


@pytest.mark.parametrize("name", SAVERS)
def test_nothing_but_the_result_is_left(tmp_path: Path, name: str) -> None:
    SAVERS[name](tmp_path / name)
    beside = output.sidecar(tmp_path / name)
    assert set(tmp_path.iterdir()) == {tmp_path / name} | ({beside} if beside else set())


def test_another_files_provenance_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "a.csv.provenance.json").write_text("precious")
    with pytest.raises(OutputExists, match=r"a\.csv\.provenance\.json exists"):
        SAVERS["a.csv"](tmp_path / "a.csv")


def test_a_missing_folder_is_said(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"the folder .*nowhere does not exist\. Make it first"):
        output.write(tmp_path / "nowhere" / "a.png", b"")


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="it is a folder"):
        output.check_free(tmp_path, force=True)


def test_a_read_only_folder_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.access", lambda *_: False)
    with pytest.raises(InvalidInput, match="is read-only"):
        output.check_free(tmp_path / "a.png")


def test_a_failed_write_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: Path, data: bytes) -> int:
        self.touch()
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(ZooError, match=r"cannot write .*a\.png: No space left on device\."):
        output.write(tmp_path / "a.png", b"x")
    assert not list(tmp_path.iterdir())


def test_free_names_count_on(tmp_path: Path) -> None:
    assert output.free_name("m-sample", ".png", tmp_path).name == "m-sample.png"
    (tmp_path / "m-sample.png").touch()
    assert output.free_name("m-sample", ".png", tmp_path).name == "m-sample-2.png"
    (tmp_path / "m-sample-2.csv.provenance.json").touch()
    names = [path.name for path in output.free_names("m-sample", (".csv", ".png"), tmp_path)]
    assert names == ["m-sample-3.csv", "m-sample-3.png"]


def test_tables_hold_their_rows(tmp_path: Path) -> None:
    rows = [{"input": "a,b", "nats": 1.5}, {"input": "c", "nats": float("inf")}]
    output.save_table(tmp_path / "a.csv", rows, PROVENANCE)
    assert (tmp_path / "a.csv").read_text() == 'input,nats\n"a,b",1.5\nc,inf\n'
    output.save_table(tmp_path / "a.json", rows, PROVENANCE)
    document = json.loads((tmp_path / "a.json").read_text())
    assert document["rows"] == [{"input": "a,b", "nats": 1.5}, {"input": "c", "nats": None}]


def test_tensors_come_back(tmp_path: Path) -> None:
    x = torch.randn(3, 2, generator=torch.Generator().manual_seed(0))
    output.save_tensors(tmp_path / "a.safetensors", {"x": x}, PROVENANCE)
    assert torch.equal(load_file(tmp_path / "a.safetensors")["x"], x)
    output.save_tensors(tmp_path / "a.npz", {"x": x, "half": x.bfloat16()}, PROVENANCE)
    with np.load(tmp_path / "a.npz", allow_pickle=False) as arrays:
        assert np.array_equal(arrays["x"], x.numpy())
        assert arrays["half"].dtype == np.float32


def test_a_gif_has_its_frames(tmp_path: Path) -> None:
    SAVERS["a.gif"](tmp_path / "a.gif")
    with Image.open(tmp_path / "a.gif") as picture:
        assert getattr(picture, "n_frames", 1) == 2


def test_a_strange_picture_has_no_provenance(tmp_path: Path) -> None:
    Image.new("L", (2, 2)).save(tmp_path / "a.png")
    with pytest.raises(InvalidInput, match="it was not written by zoo"):
        output.read_provenance(tmp_path / "a.png")
    with pytest.raises(InvalidInput, match="does not exist"):
        output.read_provenance(tmp_path / "b.png")
    (tmp_path / "c.json").write_text("{")
    with pytest.raises(InvalidInput, match="cannot be read"):
        output.read_provenance(tmp_path / "c.json")


# Plots


def test_a_curve_replaces_the_older_one(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [{"step": s, "loss": 500 / s, "lr": 1.0} for s in range(1, 40)]
    rows += [{"step": 20, "epoch": 1, "val_nll": 9.0}, {"step": 39, "val_nll": float("nan")}]
    for _ in range(2):
        output.plot_curve(rows, tmp_path / "curve.png", title="nade", provenance=PROVENANCE)
    assert output.read_provenance(tmp_path / "curve.png") == PROVENANCE
    with Image.open(tmp_path / "curve.png") as picture:
        assert min(picture.size) > 400


def test_a_curve_shows_losses_and_validation_values() -> None:
    rows = [
        {"step": 1, "epoch": 0, "loss": 3.0, "steps_per_s": 9.0},
        {"step": 2, "loss": float("inf"), "val_nll": 2.0},
    ]
    assert plots._lines(rows) == {"loss": ([1], [3.0]), "val_nll": ([2], [2.0])}


def test_a_curve_without_rows_is_an_empty_picture(tmp_path: Path) -> None:
    output.plot_curve([], tmp_path / "curve.png")
    assert (tmp_path / "curve.png").is_file()


def test_smoothing_keeps_a_constant_and_lies_between() -> None:
    assert plots._smooth([2.0] * 50) == [2.0] * 50
    smooth = plots._smooth([0.0, 1.0] * 200)
    assert all(0.4 < value < 0.6 for value in smooth[-50:])


def test_a_histogram_is_drawn_of_what_is_finite(tmp_path: Path) -> None:
    groups = {"inputs": [1.0, 2.0, float("inf")], "against": [5.0], "none": []}
    output.plot_histogram(groups, tmp_path / "h.png", label="nats", provenance=PROVENANCE)
    assert output.read_provenance(tmp_path / "h.png") == PROVENANCE
    with pytest.raises(OutputExists):
        output.plot_histogram(groups, tmp_path / "h.png", label="nats")
    with pytest.raises(InvalidInput, match="there are no finite values"):
        output.plot_histogram({"inputs": [float("inf")]}, tmp_path / "i.png", label="nats")


def test_a_scatter_has_a_colour_for_each_group(tmp_path: Path) -> None:
    groups = {"left": [(-1.0, 0.0)] * 3, "right": [(1.0, 1.0)]}
    path = tmp_path / "s.png"
    output.plot_scatter(groups, path, x_label="z0", y_label="z1", provenance=PROVENANCE)
    assert output.read_provenance(path) == PROVENANCE
    with pytest.raises(OutputExists):
        output.plot_scatter(groups, path, x_label="z0", y_label="z1")
    for n in (2, 10, 16, 30):
        assert len({str(hue) for hue in plots._hues(n)}) == n


# Terminal pictures


def test_nothing_is_drawn_where_there_is_no_terminal() -> None:
    stream = io.StringIO()
    assert output.show(checkers(2), stream) == (0, 2)
    assert stream.getvalue() == ""


def test_digits_are_drawn_at_half_size_in_rows_that_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    _size(monkeypatch, 80, 50)
    lines = drawn(torch.rand(10, 1, 28, 28, generator=torch.Generator().manual_seed(0)))
    # 5 of 14 columns fit, in 2 rows of 14 half lines and one between them
    assert len(lines) == 15
    assert sum(character in "▀▄ " for character in lines[0]) == 5 * 14 + 4


def test_few_images_are_drawn_at_full_size(monkeypatch: pytest.MonkeyPatch) -> None:
    _size(monkeypatch, 80, 50)
    assert len(drawn(torch.zeros(2, 1, 28, 28))) == 14


def test_a_screen_is_filled_and_no_more() -> None:
    stream = Terminal()
    shown, n = output.show(torch.zeros(1000, 1, 28, 28), stream)
    assert (shown, n) == (10, 1000)
    assert len(stream.getvalue().splitlines()) <= 24


def test_rows_that_belong_together_are_cut_to_the_width() -> None:
    x = torch.zeros(2 * 9, 1, 28, 28)
    x[5:9] = 1
    stream = Terminal()
    assert output.show(x, stream, columns=9) == (10, 18)
    assert "38;5;231" not in stream.getvalue()


@pytest.mark.parametrize(
    ("colour", "number"),
    [((0, 0, 0), 16), ((255, 255, 255), 231), ((255, 0, 0), 196), ((128, 128, 128), 244)],
)
def test_colours_are_the_nearest_of_256(colour: tuple[int, int, int], number: int) -> None:
    x = torch.tensor(colour).float().div(255).view(1, 3, 1, 1).expand(1, 3, 16, 16)
    assert drawn(x)[0].startswith(f"\x1b[38;5;{number};48;5;{number}m▀")


def test_true_colours_where_the_terminal_has_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLORTERM", "truecolor")
    x = torch.full((1, 1, 16, 16), 100 / 255)
    assert drawn(x)[0].startswith("\x1b[38;2;100;100;100;48;2;100;100;100m▀")


@pytest.mark.parametrize("variable", [("NO_COLOR", "1"), ("TERM", "dumb")])
def test_without_colour_there_are_shades(
    monkeypatch: pytest.MonkeyPatch, variable: tuple[str, str]
) -> None:
    monkeypatch.setenv(*variable)
    x = torch.zeros(1, 1, 16, 16)
    x[..., 8:, :] = 1
    assert drawn(x) == [""] * 4 + ["█" * 16] * 4


def test_without_unicode_there_are_ascii_shades(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    stream = Terminal()
    monkeypatch.setattr(Terminal, "encoding", "ascii")
    output.show(torch.ones(1, 1, 16, 16), stream)
    assert stream.getvalue().isascii()


def test_lines_end_in_the_terminals_own_colours() -> None:
    assert all(line.endswith("\x1b[0m") for line in drawn(torch.rand(3, 1, 5, 5)))


@pytest.mark.parametrize("protocol", ["kitty", "sixel"])
def test_graphics_are_used_where_the_terminal_has_them(
    monkeypatch: pytest.MonkeyPatch, protocol: str
) -> None:
    monkeypatch.setattr(terminal, "supported", lambda _: protocol)
    text = "\n".join(drawn(torch.rand(40, 1, 28, 28)))
    assert text.startswith({"kitty": "\x1b_Ga=T,f=100,q=2,m=", "sixel": "\x1bP0;1q"}[protocol])
    assert "▀" not in text


@pytest.mark.parametrize(
    ("answer", "protocol"),
    [
        ("\x1b_Gi=31;OK\x1b\\\x1b[?62;c", "kitty"),
        ("\x1b[?62;4;22c", "sixel"),
        ("\x1b[?64;1;22c", None),
        ("", None),
    ],
)
def test_the_terminal_is_asked(
    monkeypatch: pytest.MonkeyPatch, answer: str, protocol: str | None
) -> None:
    monkeypatch.setattr(graphics, "_ask", lambda _: answer)
    stream = Terminal()
    monkeypatch.setattr("sys.stdout", stream)
    assert graphics.supported(stream) == protocol


@pytest.mark.skipif(sys.platform == "win32", reason="there are no pseudo-terminals")
@pytest.mark.parametrize(
    ("answer", "protocol"),
    [(b"\x1b_Gi=31;OK\x1b\\\x1b[?62c", "kitty"), (b"\x1b[?62;4c", "sixel"), (b"", "None")],
)
def test_a_real_terminal_is_asked_and_left_as_it_was(answer: bytes, protocol: str) -> None:
    import termios

    program = (
        "import os, sys\n"
        "os.close(os.open(os.ttyname(1), os.O_RDWR))  # becomes our controlling terminal\n"
        "from zoo_core.output.graphics import supported\n"
        "print('found', supported(sys.stdout), flush=True)"
    )
    outer, inner = os.openpty()
    before = termios.tcgetattr(inner)
    process = subprocess.Popen(
        [sys.executable, "-c", program],
        stdin=inner,
        stdout=inner,
        stderr=inner,
        start_new_session=True,
    )
    seen = b""
    while b"found" not in seen or not seen.endswith(b"\n"):
        seen += os.read(outer, 1024)
        if answer and seen.endswith(b"\x1b[c"):
            os.write(outer, answer)
            answer = b""
    assert process.wait(10) == 0
    assert f"found {protocol}" in seen.decode()
    assert termios.tcgetattr(inner) == before
    os.close(inner)
    os.close(outer)


def test_a_kitty_picture_is_a_png_in_pieces() -> None:
    import base64
    import re

    noise = np.random.default_rng(0).integers(0, 256, (90, 90), dtype=np.uint8)
    pieces = re.findall(r"\x1b_G([^;]*);([^\x1b]*)\x1b\\", graphics._kitty(Image.fromarray(noise)))
    assert [keys[-1] for keys, _ in pieces] == ["1"] * (len(pieces) - 1) + ["0"]
    assert all(len(data) <= 4096 for _, data in pieces)
    png = base64.b64decode("".join(data for _, data in pieces))
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(png))), noise)


def test_a_sixel_picture_decodes_to_its_pixels() -> None:
    x = np.zeros((8, 10), np.uint8)
    x[1:5, 2:7] = 255
    assert np.array_equal(_from_sixel(graphics._sixel(Image.fromarray(x))), x)


def _from_sixel(text: str) -> Any:
    """A decoder of what we write: colours, runs, returns and new bands."""
    import re

    size, body = re.fullmatch(r'\x1bP0;1q"1;1;(\d+;\d+)(.*)\x1b\\', text).groups()  # type: ignore[union-attr]
    width, height = map(int, size.split(";"))
    grey = {int(k): round(int(r) * 255 / 100) for k, r in re.findall(r"#(\d+);2;(\d+);", body)}
    body = re.sub(r"#\d+;2;\d+;\d+;\d+", "", body)
    x = np.zeros((height + 5, width), np.uint8)
    for band, layers in enumerate(body.split("-")):
        for layer in layers.split("$"):
            colour, runs = re.fullmatch(r"#(\d+)(.*)", layer).groups()  # type: ignore[union-attr]
            runs = re.sub(r"!(\d+)(.)", lambda m: m[2] * int(m[1]), runs)
            for column, sixel in enumerate(runs):
                for bit in range(6):
                    if (ord(sixel) - 63) >> bit & 1:
                        x[6 * band + bit, column] = grey[int(colour)]
    return x[:height]
