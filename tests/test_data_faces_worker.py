"""The program that draws: pixels of one picture, and of several on its standard output."""

import io
import json
import runpy
import sys

import pytest

from factories import face_jobs
from zoo_core.data.faces import worker

pytestmark = pytest.mark.usefixtures("dicebear")


def test_a_picture_is_rows_of_pixels_from_the_top_over_white() -> None:
    _, [(style, options)] = face_jobs(1)
    pixels = worker.draw(style, options, 16)
    assert len(pixels) == 16 * 16 * 3
    assert pixels[:3] == b"\xff\xff\xff"
    assert pixels[-24 * 3 :] != b"\xff" * 24 * 3  # clothes are at the bottom
    assert worker.style(style) is worker.style(style)


def test_as_a_program_it_draws_what_standard_input_asks_for(
    monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    _, jobs = face_jobs(2)
    request = json.dumps({"jobs": jobs, "size": 8})
    monkeypatch.setattr(sys, "stdin", io.StringIO(request))
    runpy.run_path(worker.__file__, run_name="__main__")
    sys.stdout.flush()
    assert capfdbinary.readouterr().out == b"".join(worker.draw(*job, 8) for job in jobs)
