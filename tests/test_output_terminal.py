import io
from typing import Any

import pytest
import torch

from factories import Terminal, checkers, set_terminal_size
from zoo_core import output
from zoo_core.output import terminal

pytestmark = pytest.mark.usefixtures("plain_terminal")


def drawn(images: torch.Tensor, **options: Any) -> list[str]:
    stream = Terminal()
    output.show(images, stream, **options)
    return stream.getvalue().splitlines()


def test_nothing_is_drawn_where_there_is_no_terminal() -> None:
    stream = io.StringIO()
    assert output.show(checkers(2), stream) == (0, 2)
    assert stream.getvalue() == ""


def test_digits_are_drawn_at_half_size_in_rows_that_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    set_terminal_size(monkeypatch, 80, 50)
    lines = drawn(torch.rand(10, 1, 28, 28, generator=torch.Generator().manual_seed(0)))
    # 5 of 14 columns fit, in 2 rows of 14 half lines and one between them
    assert len(lines) == 15
    assert sum(character in "▀▄ " for character in lines[0]) == 5 * 14 + 4


def test_few_images_are_drawn_at_full_size(monkeypatch: pytest.MonkeyPatch) -> None:
    set_terminal_size(monkeypatch, 80, 50)
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
    monkeypatch.setattr(terminal, "find_protocol", lambda _: protocol)
    text = "\n".join(drawn(torch.rand(40, 1, 28, 28)))
    assert text.startswith({"kitty": "\x1b_Ga=T,f=100,q=2,m=", "sixel": "\x1bP0;1q"}[protocol])
    assert "▀" not in text
