import gzip
import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from zoo_core import errors
from zoo_core.data import (
    Dataset,
    bars_and_stripes_entropy,
    binarize,
    binarized,
    data_root,
    load_dataset,
    load_images,
)
from zoo_core.data.notes import note
from zoo_core.data.resolve import parse_spec
from zoo_core.data.splits import choose


@pytest.fixture(autouse=True)
def _notes_anew() -> Iterator[None]:
    note.cache_clear()
    yield
    note.cache_clear()


def picture(
    path: Path, size: tuple[int, int] = (8, 8), mode: str = "L", fill: object = 200
) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, fill).save(path)  # type: ignore[arg-type]
    return path


def pictures(folder: Path, n: int, **options: object) -> Path:
    for i in range(n):
        picture(folder / f"{i:03}.png", **options)  # type: ignore[arg-type]
    return folder


# Specs


@pytest.mark.parametrize(
    ("spec", "parts"),
    [
        ("mnist", ("mnist", None, slice(None))),
        ("mnist:test", ("mnist", "test", slice(None))),
        ("mnist:valid[5:]", ("mnist", "validation", slice(5, None))),
        ("mnist[:-3]", ("mnist", None, slice(None, -3))),
        ("hf://user/name", ("hf://user/name", None, slice(None))),
        ("hf://user/name:test[0:9]", ("hf://user/name", "test", slice(0, 9))),
        ("./a folder/x.csv:train", ("./a folder/x.csv", "train", slice(None))),
    ],
)
def test_specs_come_apart(spec: str, parts: tuple[str, str | None, slice]) -> None:
    assert parse_spec(spec) == parts


def test_an_unknown_split_gets_a_near_match() -> None:
    with pytest.raises(errors.InvalidInput) as caught:
        load_dataset("mnist:tset")
    text = "split 'tset' is unknown: expected train, validation, test. Did you mean test?"
    assert str(caught.value) == text


def test_two_splits_that_differ_are_refused() -> None:
    with pytest.raises(errors.InvalidInput, match="names the split test, but train was asked for"):
        load_dataset("bars-and-stripes:test", split="train")


def test_no_rows_are_refused() -> None:
    with pytest.raises(errors.InvalidInput, match=r"'bars-and-stripes\[99:9\]' selects no rows"):
        load_dataset("bars-and-stripes[99:9]")


def test_an_unknown_name_gets_near_matches_and_what_is_accepted(tmp_path: Path) -> None:
    with pytest.raises(errors.UnknownName) as caught:
        load_dataset("mnits", root=tmp_path)
    text = str(caught.value)
    assert "data set 'mnits' is unknown. Did you mean mnist" in text
    assert "bars-and-stripes" in text
    assert str(tmp_path) in text
    assert "hf://user/name" in text


def test_an_empty_spec_is_refused() -> None:
    with pytest.raises(errors.InvalidInput, match="expected a name, name:split"):
        load_dataset("")


def test_the_root_is_the_argument_then_the_variable_then_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert data_root() == tmp_path / "zoo-home" / "data"
    monkeypatch.setenv("ZOO_DATA", str(tmp_path / "there"))
    assert data_root() == tmp_path / "there"
    assert data_root("here") == Path("here")


# Data sets


def images(x: torch.Tensor) -> Dataset:
    return Dataset("made", "test", x.to(torch.uint8), 256)


def test_floats_are_in_the_unit_interval() -> None:
    data = images(torch.tensor([[[[0, 51, 255]]]]))
    assert data.floats().flatten().tolist() == pytest.approx([0, 0.2, 1])
    assert data.floats().dtype == torch.float32


def test_the_digest_knows_shape_and_bytes() -> None:
    x = torch.arange(12)
    first = images(x.view(1, 1, 3, 4))
    assert first.digest == images(x.view(1, 1, 3, 4)).digest
    assert first.digest != images(x.view(1, 1, 4, 3)).digest
    assert first.digest != images((x + 1).view(1, 1, 3, 4)).digest


def test_a_slice_takes_the_labels_along() -> None:
    data = Dataset("a", "test", torch.zeros(5, 1, 2, 2, dtype=torch.uint8), 256, torch.arange(5))
    part = data[1:3]
    assert part.labels is not None
    assert part.labels.tolist() == [1, 2]
    assert len(part) == 2


def test_binarize_draws_bernoulli() -> None:
    x = torch.tensor([0.0, 0.3, 1.0]).expand(20_000, 3)
    drawn = binarize(x, torch.Generator().manual_seed(0))
    assert set(drawn.unique().tolist()) == {0.0, 1.0}
    assert drawn.mean(0).tolist() == pytest.approx([0, 0.3, 1], abs=0.01)


def test_binarized_is_fixed_by_its_seed() -> None:
    data = images(torch.randint(0, 256, (1500, 1, 4, 4), generator=torch.manual_seed(0)))
    first = binarized(data, 0)
    assert first.levels == 2
    assert int(first.x.max()) == 1
    assert first.digest == binarized(data, 0).digest
    assert first.digest != binarized(data, 1).digest
    assert torch.equal(first[:1200].x, binarized(data[:1200], 0).x), "a row after another"


def test_a_draw_never_changes() -> None:
    data = images(torch.full((2, 1, 4, 4), 128))
    # published likelihoods rest on this draw
    digest = "b186af61a1e6a283258fa1f46cf659dc055b82ba55e07eee33ebd8652e339493"
    assert binarized(data, 0).digest == digest


def test_categories_are_no_grey_levels() -> None:
    data = Dataset("made", "test", torch.tensor([[0, 2]], dtype=torch.uint8), 3)
    with pytest.raises(errors.InvalidInput, match="made holds 3 categories: only grey levels"):
        binarized(data, 0)


# Bars and stripes


@pytest.mark.parametrize("n", [2, 3, 4])
def test_the_entropy_is_that_of_the_rows(n: int) -> None:
    x = load_dataset(f"bars-and-stripes-{n}:test").x.flatten(1)
    _, counts = x.unique(dim=0, return_counts=True)
    p = counts / counts.sum()
    assert len(counts) == 2 ** (n + 1) - 2
    assert bars_and_stripes_entropy(n) == pytest.approx(float(-(p * p.log()).sum()), abs=1e-5)


def test_train_holds_the_same_distribution_many_times() -> None:
    train, test = (load_dataset("bars-and-stripes", split=split) for split in ("train", "test"))
    assert len(train) == 1024
    assert train.event_shape == (1, 3, 3)
    assert torch.equal(train.floats().mean(0), test.floats().mean(0))


def test_bars_and_stripes_of_another_size_are_refused() -> None:
    with pytest.raises(errors.InvalidInput, match="give a size from 2 to 12"):
        load_dataset("bars-and-stripes-99")


# torchvision


def idx(path: Path, array: np.ndarray) -> None:
    magic = struct.pack(">I", 0x0800 | array.ndim)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(magic + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes())


@pytest.fixture
def mnist(tmp_path: Path) -> Path:
    """A root whose MNIST has 10,020 training images and 30 test images, each of its number."""
    raw = tmp_path / "root" / "MNIST" / "raw"
    for stem, n in (("train", 10_020), ("t10k", 30)):
        number = np.arange(n)
        x = np.broadcast_to((number % 251).astype(np.uint8)[:, None, None], (n, 28, 28))
        idx(raw / f"{stem}-images-idx3-ubyte", np.ascontiguousarray(x))
        idx(raw / f"{stem}-labels-idx1-ubyte", (number % 10).astype(np.uint8))
    return tmp_path / "root"


def test_validation_is_the_last_ten_thousand_of_train_never_test(mnist: Path) -> None:
    train, validation, test = (
        load_dataset("mnist", split=split, root=mnist) for split in ("train", "validation", "test")
    )
    assert (len(train), len(validation), len(test)) == (20, 10_000, 30)
    assert validation.x[0, 0, 0, 0] == 20
    assert validation.x[-1, 0, 0, 0] == 10_019 % 251
    assert test.x[:, 0, 0, 0].tolist() == list(range(30))
    assert test.labels is not None
    assert test.labels[:3].tolist() == [0, 1, 2]
    assert len(test.classes) == 10
    assert test.event_shape == (1, 28, 28)


def test_a_slice_and_a_size_of_mnist(mnist: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = load_dataset("mnist:test[2:5]", root=mnist, size=14)
    assert data.x.shape == (3, 1, 14, 14)
    assert data.x[:, 0, 0, 0].tolist() == [2, 3, 4]
    assert "mnist: of 3 images, 3 resized and centre-cropped to 14x14" in capsys.readouterr().err


def test_damaged_files_are_said_to_be_damaged(mnist: Path) -> None:
    images = mnist / "MNIST" / "raw" / "t10k-images-idx3-ubyte"
    images.write_bytes(images.read_bytes()[:-9])
    with pytest.raises(errors.InvalidInput, match=r"MNIST/raw are damaged \(.*\): replace them"):
        load_dataset("mnist:test", root=mnist)


def test_missing_files_in_a_root_of_ones_own(tmp_path: Path) -> None:
    with pytest.raises(errors.InvalidInput) as caught:
        load_dataset("mnist", root=tmp_path)
    assert f"the files of mnist are not in {tmp_path}/MNIST/raw" in str(caught.value)
    assert "ZOO_DATA" in str(caught.value)
    assert not (tmp_path / "MNIST").exists(), "nothing is downloaded there"


def test_missing_files_offline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZOO_OFFLINE", "1")
    with pytest.raises(errors.NetworkError, match=r"Downloads are off: ZOO_OFFLINE"):
        load_dataset("mnist")


def test_a_download_that_fails_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    from torchvision import datasets

    def fail(self: object) -> None:
        raise RuntimeError("no route")

    monkeypatch.setattr(datasets.MNIST, "download", fail)
    with pytest.raises(errors.NetworkError, match="The download failed: no route"):
        load_dataset("mnist")


# Tables


def write_table(folder: Path, **splits: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, rows in splits.items():
        (folder / f"{name}.csv").write_text(rows)
    return folder


def test_a_folder_of_tables(tmp_path: Path) -> None:
    write_table(tmp_path / "pairs", train="0,1\n1,1\n", valid="0,0\n", test="1,0\n1,1\n0,1\n")
    train = load_dataset("pairs", root=tmp_path)
    assert train.x.tolist() == [[0, 1], [1, 1]]
    assert train.x.dtype == torch.uint8
    assert (train.levels, train.event_shape) == (2, (2,))
    assert load_dataset("pairs:validation", root=tmp_path).x.tolist() == [[0, 0]]
    assert len(load_dataset("pairs:test", root=tmp_path)) == 3


def test_levels_are_those_of_all_splits(tmp_path: Path) -> None:
    write_table(tmp_path / "t", train="0,1\n", test="3,1\n")
    assert load_dataset("t", root=tmp_path).levels == 4


def test_a_table_without_the_split(tmp_path: Path) -> None:
    write_table(tmp_path / "t", train="0,1\n")
    with pytest.raises(errors.InvalidInput, match="has no validation split: expected a file"):
        load_dataset("t:validation", root=tmp_path)


def test_splits_of_different_widths(tmp_path: Path) -> None:
    write_table(tmp_path / "t", train="0,1\n", test="0,1,1\n")
    with pytest.raises(errors.InvalidInput, match="train has 2, test has 3"):
        load_dataset("t", root=tmp_path)


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("0,1\n1,0\n", [[0, 1], [1, 0]]),
        ("a,b\n0,1\n1,0\n", [[0, 1], [1, 0]]),
        ("0;1\n2;0\n", [[0, 1], [2, 0]]),
        ("0 1\n1 0\n", [[0, 1], [1, 0]]),
        ("\ufeff0,1\n1,0\n", [[0, 1], [1, 0]]),
        ("0.0,1.0\n1.0,0.0\n", [[0, 1], [1, 0]]),
    ],
)
def test_the_ways_in_which_people_write_csv(
    tmp_path: Path, text: str, rows: list[list[int]]
) -> None:
    (tmp_path / "x.csv").write_text(text, encoding="utf-8")
    assert load_images([tmp_path / "x.csv"], shape=(2,)).data.x.tolist() == rows


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("0,1\n0,-1\n", r"row 2, column 2: -1.0 is no category"),
        ("0,0.5\n", r"row 1, column 2: 0.5 is no category"),
        ("0,999\n", "whole numbers from 0 to 255"),
        ("0,1\n0\n", "not a readable table"),
        ("0,1\nx,y\n", "not a readable table"),
        ("0,nan\n", "nan is no category"),
        ("a,b\n", r"expected \(rows, variables\)"),
    ],
)
@pytest.mark.filterwarnings("ignore:loadtxt")
def test_a_table_that_is_none(tmp_path: Path, text: str, what: str) -> None:
    (tmp_path / "x.csv").write_text(text)
    with pytest.raises(errors.InvalidInput, match=what):
        load_dataset(str(tmp_path / "x.csv"))


def test_one_file_is_split_by_a_fixed_seed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = np.stack([np.arange(100), np.arange(100)], 1)
    np.save(tmp_path / "x.npy", rows)
    spec = str(tmp_path / "x.npy")
    parts = [load_dataset(spec, split=split).x for split in ("train", "validation", "test")]
    assert [len(part) for part in parts] == [80, 10, 10]
    assert torch.cat(parts)[:, 0].sort().values.tolist() == list(range(100))
    assert torch.equal(parts[0], load_dataset(spec, split="train").x)
    said = capsys.readouterr().err
    assert said == "x.npy: 100 rows, split 80/10/10 % at random with a fixed seed\n", "once"


def test_a_file_of_too_few_rows(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("0,1\n1,1\n")
    with pytest.raises(errors.InvalidInput, match="2 rows are too few"):
        load_dataset(f"{tmp_path}/x.csv:validation")


def test_a_pickle_in_a_npy_file_is_never_opened(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(errors.InvalidInput, match="not a readable table"):
        load_dataset(str(tmp_path / "x.npy"))


def test_a_file_of_another_kind(tmp_path: Path) -> None:
    with gzip.open(tmp_path / "x.gz", "wb") as file:
        file.write(b"0,1")
    with pytest.raises(errors.InvalidInput, match=r"is no data set: expected a \.csv or \.npy"):
        load_dataset(str(tmp_path / "x.gz"))


# Folders of images


def test_a_folder_is_shared_out_by_the_hash_of_the_names(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = str(pictures(tmp_path / "mine", 40))
    sizes = [len(load_dataset(folder, split=s)) for s in ("train", "validation", "test")]
    assert sizes == [36, 2, 2]
    assert "shared out 90/5/5 %" in capsys.readouterr().err


def test_a_name_keeps_its_split_when_others_come() -> None:
    def test_rows(n: int) -> set[str]:
        keys = [f"{i}.png" for i in range(n)]
        return {keys[i] for i in choose("x", {"train": range(n)}, keys, "test")}

    assert len(test_rows(1000) & test_rows(1010)) >= 49


def test_grey_files_are_grey_and_colour_stays(tmp_path: Path) -> None:
    assert load_dataset(str(pictures(tmp_path / "grey", 5))).event_shape == (1, 8, 8)
    colour = pictures(tmp_path / "colour", 5, mode="RGB", fill=(255, 0, 0))
    assert load_dataset(str(colour)).event_shape == (3, 8, 8)
    assert load_dataset(str(colour), gray=True).event_shape == (1, 8, 8)


def test_odd_sizes_and_colours_are_brought_into_line_and_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "odd" / "train"
    picture(folder / "a.png", (20, 10), "RGB", (255, 0, 0))
    picture(folder / "b.jpg", (7, 9), "L", 9)
    picture(folder / "c.png", (8, 8), "RGBA", (0, 0, 0, 0))
    picture(tmp_path / "odd" / "val" / "d.png", (8, 8))
    data = load_dataset(str(tmp_path / "odd"), size=8, gray=True)
    assert data.x.shape == (3, 1, 8, 8)
    assert int(data.x[2].min()) == 255, "transparency is laid over white"
    said = capsys.readouterr().err
    assert "of 3 images" in said
    assert "2 resized and centre-cropped to 8x8" in said
    assert "1 of colour made grey" in said
    assert "1 with transparency laid over white" in said


def test_the_crop_is_of_the_centre(tmp_path: Path) -> None:
    wide = Image.new("L", (24, 8))
    wide.paste(255, (8, 0, 16, 8))
    wide.save(tmp_path / "wide.png")
    x = load_images([tmp_path / "wide.png"], shape=(1, 8, 8)).data.x
    assert int(x.min()) == 255


def test_different_sizes_need_a_size(tmp_path: Path) -> None:
    pictures(tmp_path, 3)
    picture(tmp_path / "other.png", (9, 5))
    with pytest.raises(errors.InvalidInput) as caught:
        load_dataset(str(tmp_path))
    assert "have 2 sizes, the most frequent are 8x8 (3 images), 5x9 (1 images)" in str(caught.value)
    assert "--size 28" in str(caught.value)


def test_broken_images_are_named_skipped_and_counted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pictures(tmp_path / "train", 4)
    pictures(tmp_path / "validation", 1)
    (tmp_path / "train" / "broken.png").write_bytes(b"no image")
    whole = (tmp_path / "train" / "000.png").read_bytes()
    (tmp_path / "train" / "cut.png").write_bytes(whole[: len(whole) - 20])
    assert len(load_dataset(str(tmp_path))) == 4
    said = capsys.readouterr().err
    assert "skipped 2 that could not be read as images: broken.png (no picture in a" in said
    assert ", cut.png (image file is truncated" in said


def test_a_folder_without_images(tmp_path: Path) -> None:
    with pytest.raises(errors.InvalidInput, match="holds no readable image"):
        load_dataset(str(tmp_path))


def test_too_few_images_for_three_splits(tmp_path: Path) -> None:
    with pytest.raises(errors.InvalidInput, match="2 rows: too few to take three splits"):
        load_dataset(str(pictures(tmp_path, 2)))


def test_classes_are_the_sub_folders(tmp_path: Path) -> None:
    for split in ("train", "val", "test"):
        for name in ("cat", "dog"):
            pictures(tmp_path / split / name, 2)
    data = load_dataset(f"{tmp_path}:test")
    assert data.classes == ("cat", "dog")
    assert data.labels is not None
    assert data.labels.tolist() == [0, 0, 1, 1]


def test_train_lends_a_validation_split(tmp_path: Path) -> None:
    pictures(tmp_path / "train", 40)
    pictures(tmp_path / "test", 3)
    sizes = [len(load_dataset(str(tmp_path), split=s)) for s in ("train", "validation", "test")]
    assert sizes == [38, 2, 3]


def test_no_test_images_are_made_up(tmp_path: Path) -> None:
    pictures(tmp_path / "train", 4)
    pictures(tmp_path / "val", 4)
    with pytest.raises(errors.InvalidInput, match="has no test split; it has train, validation"):
        load_dataset(f"{tmp_path}:test")


def test_sixteen_bit_grey_is_scaled(tmp_path: Path) -> None:
    Image.fromarray(np.full((8, 8), 65535, np.uint16)).save(tmp_path / "deep.png")
    assert int(load_images([tmp_path / "deep.png"], shape=(1, 8, 8)).data.x.min()) == 255


# Hugging Face


@pytest.fixture
def parquet(tmp_path: Path) -> Path:
    datasets = pytest.importorskip("datasets")
    features = datasets.Features(
        {"image": datasets.Image(), "text": datasets.Value("string"),
         "label": datasets.ClassLabel(names=["a", "b"])}
    )  # fmt: skip
    for split, n in (("train", 60), ("test", 4)):
        rows = {
            "image": [Image.new("RGB", (8, 8), (i, 0, 0)) for i in range(n)],
            "text": [f"thing {i // 4}" for i in range(n)],
            "label": [i % 2 for i in range(n)],
        }
        table = datasets.Dataset.from_dict(rows, features=features)
        folder = tmp_path / "hub" / "data"
        folder.mkdir(parents=True, exist_ok=True)
        table.to_parquet(str(folder / f"{split}-00000-of-00001.parquet"))
    return tmp_path / "hub"


def test_a_parquet_folder(parquet: Path) -> None:
    test = load_dataset(f"{parquet}:test")
    assert test.x.shape == (4, 3, 8, 8)
    assert test.x[:, 0, 0, 0].tolist() == [0, 1, 2, 3]
    assert test.classes == ("a", "b")
    assert test.labels is not None
    assert test.labels.tolist() == [0, 1, 0, 1]
    assert load_dataset(f"{parquet}:test", size=4, gray=True).event_shape == (1, 4, 4)


def test_pictures_of_one_caption_stay_in_one_split(parquet: Path) -> None:
    train, validation = (load_dataset(str(parquet), split=s) for s in ("train", "validation"))
    things = [set((part.x[:, 0, 0, 0] // 4).tolist()) for part in (train, validation)]
    assert things[0].isdisjoint(things[1])
    assert len(train) + len(validation) == 60


def test_a_table_without_images(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    datasets.Dataset.from_dict({"text": ["a"]}).to_parquet(str(tmp_path / "train.parquet"))
    with pytest.raises(errors.InvalidInput, match=r"no column of images: its columns are text"):
        load_dataset(str(tmp_path))


def test_the_extra_is_named_when_it_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "datasets", None)
    with pytest.raises(errors.InvalidInput, match=r"pip install 'zoo-core\[datasets\]'"):
        load_dataset("hf://user/name")


def test_a_hub_name_that_cannot_be_had(monkeypatch: pytest.MonkeyPatch) -> None:
    datasets = pytest.importorskip("datasets")

    def fail(*args: object, **options: object) -> None:
        raise ConnectionError("no route")

    monkeypatch.setattr(datasets, "load_dataset", fail)
    monkeypatch.setenv("ZOO_OFFLINE", "1")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(errors.NetworkError) as caught:
        load_dataset("hf://user/name")
    assert "no route" in str(caught.value)
    assert "ZOO_OFFLINE or HF_HUB_OFFLINE is set" in str(caught.value)


def test_a_hub_name_that_there_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    datasets = pytest.importorskip("datasets")

    def fail(*args: object, **options: object) -> None:
        raise datasets.exceptions.DatasetNotFoundError("doesn't exist on the Hub")

    monkeypatch.setattr(datasets, "load_dataset", fail)
    with pytest.raises(errors.UnknownName, match="doesn't exist on the Hub"):
        load_dataset("hf://user/name")


# Inputs of a run


def test_inputs_of_every_kind_come_together(tmp_path: Path, mnist: Path) -> None:
    one = picture(tmp_path / "one.png", (5, 5))
    folder = pictures(tmp_path / "more", 2, mode="RGB", fill=(9, 9, 9))
    data, names = load_images([one, folder, "mnist[3:5]"], shape=(1, 28, 28), root=mnist)
    assert data.x.shape == (5, 1, 28, 28)
    assert data.levels == 256
    assert names[0] == str(one)
    assert names[1].endswith("000.png")
    assert names[3:] == ("mnist:test[3]", "mnist:test[4]")


def test_inputs_have_labels_where_all_of_them_do(tmp_path: Path, mnist: Path) -> None:
    for kind in ("cat", "dog"):
        pictures(tmp_path / "pets" / kind, 2)
    pets = load_images([tmp_path / "pets"], shape=(1, 8, 8)).data
    assert pets.classes == ("cat", "dog")
    assert pets.labels is not None
    assert pets.labels.tolist() == [0, 0, 1, 1]
    digits = load_images(["mnist[3:5]", "mnist[0:1]"], shape=(1, 28, 28), root=mnist).data
    truth = load_dataset("mnist:test", root=mnist).labels
    assert digits.labels is not None
    assert truth is not None
    assert digits.labels.tolist() == truth[[3, 4, 0]].tolist()
    mixed = load_images([tmp_path / "pets", "mnist[3:5]"], shape=(1, 28, 28), root=mnist).data
    assert (mixed.labels, mixed.classes) == (None, ())
    one = load_images([tmp_path / "pets" / "cat" / "000.png"], shape=(1, 8, 8)).data
    assert one.labels is None


def test_inputs_are_looked_for_in_the_root_too(tmp_path: Path) -> None:
    pictures(tmp_path / "mine", 2)
    data, names = load_images(["mine"], shape=(1, 8, 8), root=tmp_path)
    assert len(data) == len(names) == 2


def test_one_split_of_a_folder_of_odd_sizes(tmp_path: Path) -> None:
    pictures(tmp_path / "train", 2)
    picture(tmp_path / "test" / "a.png", (9, 5), "RGB", (1, 2, 3))
    data, names = load_images([f"{tmp_path}:test"], shape=(1, 6, 6))
    assert data.event_shape == (1, 6, 6)
    assert names == (f"{tmp_path}:test[0]",)


def test_binary_images_and_grey_ones_share_the_levels(tmp_path: Path) -> None:
    one = picture(tmp_path / "one.png", (3, 3), fill=100)
    data, _ = load_images([one, "bars-and-stripes"], shape=(1, 3, 3))
    assert set(data.x.unique().tolist()) == {0, 100, 255}


def test_a_flat_table_is_shaped_to_the_model(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("0,1,0,1\n")
    data, names = load_images([tmp_path / "x.csv"], shape=(1, 2, 2))
    assert data.x.tolist() == [[[[0, 1], [0, 1]]]]
    assert data.levels == 2
    assert names == (f"{tmp_path / 'x.csv'}[0]",)


@pytest.mark.parametrize(
    ("rows", "shape", "text"),
    [
        ("0,1,1\n", (4,), "has 3 variables a row, but the model takes 4 variables"),
        ("0,1,1\n", (1, 2, 2), "but the model takes 1x2x2 images"),
    ],
)
def test_a_table_that_does_not_fit(
    tmp_path: Path, rows: str, shape: tuple[int, ...], text: str
) -> None:
    (tmp_path / "x.csv").write_text(rows)
    with pytest.raises(errors.InvalidInput, match=text):
        load_images([tmp_path / "x.csv"], shape=shape)


def test_images_do_not_fit_a_model_of_tables(tmp_path: Path) -> None:
    with pytest.raises(errors.InvalidInput, match="holds images, but the model takes 16 variables"):
        load_images([picture(tmp_path / "one.png")], shape=(16,))


def test_levels_that_cannot_be_mixed(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("0,2\n")
    (tmp_path / "b.csv").write_text("0,3\n")
    with pytest.raises(errors.InvalidInput, match="of 3 and of 4 levels cannot be mixed"):
        load_images([tmp_path / "a.csv", tmp_path / "b.csv"], shape=(2,))


def test_no_inputs_are_refused() -> None:
    with pytest.raises(errors.InvalidInput, match="no input was given"):
        load_images([], shape=(1, 3, 3))


def test_an_input_that_is_nowhere(tmp_path: Path) -> None:
    with pytest.raises(errors.UnknownName, match=r"nothing\.png' is unknown"):
        load_images([tmp_path / "nothing.png"], shape=(1, 3, 3), root=tmp_path)


def test_an_input_that_is_broken(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "broken.png").write_bytes(b"no image")
    with pytest.raises(errors.InvalidInput, match=r"no image could be read \(1 tried\)"):
        load_images([tmp_path / "broken.png"], shape=(1, 3, 3))
    assert "broken.png" in capsys.readouterr().err


# Real variables


def test_real_numbers_are_given_as_they_are() -> None:
    data = Dataset("real", "train", torch.tensor([[0.25, 0.5], [1.0, 0.0]]), None)
    x = data.floats()
    assert torch.equal(x, data.x)
    x.zero_()
    assert data.x.any()
    assert len(data.digest) == 64
    with pytest.raises(errors.InvalidInput, match="real holds real numbers: only grey levels"):
        binarized(data, 0)
