import io
import os
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from PIL import Image

from factories import Terminal
from zoo_core.output import graphics

pytestmark = pytest.mark.usefixtures("plain_terminal")


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
    assert graphics.find_protocol(stream) == protocol


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
        "from zoo_core.output.graphics import find_protocol\n"
        "print('found', find_protocol(sys.stdout), flush=True)"
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
