"""Terminals with graphics: which of two protocols this one has, and pictures in it."""

from __future__ import annotations

import base64
import io
import os
import re
import sys
from itertools import groupby
from typing import TYPE_CHECKING, TextIO

import numpy as np

if TYPE_CHECKING:
    from PIL import Image

__all__ = ["cell_size", "encode", "find_protocol"]

_PATIENCE = 0.2
"""Seconds to wait for an answer. Any terminal answers the second question, most within 10 ms."""

_QUESTION = "\x1b_Gi=31,s=1,v=1,a=q,t=d,f=24;AAAA\x1b\\\x1b[c"
"""Do you draw kitty's pictures? What kind of terminal are you? The second one ends the wait."""


def find_protocol(stream: TextIO) -> str | None:
    """`kitty` or `sixel`, whichever the terminal reports, or None."""
    if os.environ.get("TERM", "dumb") in ("dumb", "linux") or stream is not sys.stdout:
        return None
    answer = _ask(_QUESTION)
    if "\x1b_Gi=31;OK" in answer:
        return "kitty"
    attributes = re.search(r"\x1b\[\?([\d;]+)c", answer)
    return "sixel" if attributes and "4" in attributes[1].split(";") else None


def _ask(question: str) -> str:
    """The terminal's answer; empty where there is no terminal, or no answer."""
    try:
        import select
        import termios
        import tty

        terminal = os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY)
    except (ImportError, OSError):
        return ""
    try:
        if os.tcgetpgrp(terminal) != os.getpgrp():
            return ""  # in the background: to change the terminal would stop us
        before = termios.tcgetattr(terminal)
        try:
            tty.setcbreak(terminal)
            os.write(terminal, question.encode())
            answer = b""
            while not re.search(rb"\x1b\[\?[\d;]*c", answer):
                if not select.select([terminal], [], [], _PATIENCE)[0]:
                    break
                answer += os.read(terminal, 1024)
            return answer.decode("ascii", "replace")
        finally:
            termios.tcsetattr(terminal, termios.TCSANOW, before)
    except OSError:
        return ""
    finally:
        os.close(terminal)


def cell_size(stream: TextIO) -> tuple[int, int]:
    """Pixels of one character, width and height; a VT340's where the terminal does not say."""
    try:
        import fcntl
        import struct
        import termios

        answer = fcntl.ioctl(stream.fileno(), termios.TIOCGWINSZ, bytes(8))
        lines, columns, width, height = struct.unpack("HHHH", answer)
    except (ImportError, OSError):
        return 10, 20
    return (width // columns, height // lines) if width and height else (10, 20)


def encode(picture: Image.Image, protocol: str) -> str:
    """A picture as the escape sequence that draws it at the cursor."""
    return _kitty(picture) if protocol == "kitty" else _sixel(picture)


def _kitty(picture: Image.Image) -> str:
    """A PNG in pieces of 4,096 characters; q=2 asks the terminal not to answer."""
    buffer = io.BytesIO()
    picture.save(buffer, "png")
    data = base64.b64encode(buffer.getvalue()).decode()
    pieces = [data[i : i + 4096] for i in range(0, len(data), 4096)]
    last = len(pieces) - 1
    return "".join(
        f"\x1b_G{'a=T,f=100,q=2,' if i == 0 else ''}m={int(i < last)};{piece}\x1b\\"
        for i, piece in enumerate(pieces)
    )


def _sixel(picture: Image.Image) -> str:
    """Bands of six rows; in each, one line of characters for every colour that is there."""
    indexed = picture.convert("RGB").quantize(64)
    palette = np.asarray(indexed.getpalette()).reshape(-1, 3) * 100 // 255
    rows = np.asarray(indexed)
    colours = "".join(f"#{k};2;{r};{g};{b}" for k, (r, g, b) in enumerate(palette.tolist()))
    bands = [_band(rows[top : top + 6]) for top in range(0, len(rows), 6)]
    size = f'"1;1;{indexed.width};{indexed.height}'
    return f"\x1bP0;1q{size}{colours}{'-'.join(bands)}\x1b\\"


def _band(rows: np.ndarray[tuple[int, int], np.dtype[np.uint8]]) -> str:
    bits = 1 << np.arange(len(rows))[:, None]
    layers = []
    for colour in np.unique(rows).tolist():
        sixels = (63 + ((rows == colour) * bits).sum(0)).tolist()
        runs = [(chr(sixel), len(list(run))) for sixel, run in groupby(sixels)]
        text = "".join(f"!{n}{sixel}" if n > 3 else sixel * n for sixel, n in runs)
        layers.append(f"#{colour}{text}")
    return "$".join(layers)
