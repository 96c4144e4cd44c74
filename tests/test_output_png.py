import io

import numpy as np
import pytest
from PIL import Image

from zoo_core.output import png


@pytest.mark.parametrize("shape", [(1, 1), (5, 7), (5, 7, 3)])
def test_pillow_reads_every_pixel_and_text(shape: tuple[int, ...]) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    texts = {"Software": "zoo", "zoo": '{"note":"\\u2212"}', "name": "é"}
    with Image.open(io.BytesIO(png.encode(pixels, texts))) as picture:
        assert picture.mode == ("RGB" if len(shape) == 3 else "L")
        assert np.array_equal(np.asarray(picture), pixels)
        assert picture.info == texts


def test_repeated_rows_take_no_more_than_their_first() -> None:
    row = np.random.default_rng(0).integers(0, 256, (1, 200), np.uint8)
    one, many = (len(png.encode(row.repeat(n, 0), {})) for n in (1, 100))
    assert many < 2 * one
