from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from zoo_core import output
from zoo_core.errors import InvalidInput, OutputExists
from zoo_core.output import Point, plot_points, plots

PROVENANCE = {"entry": "nade.mnist", "seed": 7, "note": "−π"}


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


def test_losses_of_other_sizes_than_the_validation_have_a_panel_of_their_own(
    tmp_path: Path,
) -> None:
    rows: list[dict[str, Any]] = [
        {"step": s, "nll": 90 + 9 / s, "kl": 25.0, "lr": 1.0} for s in range(1, 40)
    ]
    rows += [{"step": s, "val_nll": 91.0} for s in (20, 39)]
    panels = plots._panels(plots._lines(rows))
    assert [list(panel) for panel in panels] == [["nll", "val_nll"], ["kl"]]
    heights = []
    alike = [{key: value for key, value in row.items() if key != "kl"} for row in rows]
    for some in (rows, alike):
        output.plot_curve(some, tmp_path / "curve.png")
        with Image.open(tmp_path / "curve.png") as picture:
            heights.append(picture.height)
    assert heights[0] > heights[1]


def test_the_best_of_a_curve_is_that_of_its_first_validation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    labels: list[str] = []
    finish = plots._finish

    def keep(figure: Any, axes: Any, path: Path, frame: Any, **legend: Any) -> None:
        labels.extend(axes.get_legend_handles_labels()[1])
        finish(figure, axes, path, frame, **legend)

    monkeypatch.setattr(plots, "_finish", keep)
    rows = [{"step": s, "val_nll": 9.0 + (s - 2) ** 2, "val_spread": 8.0 + s} for s in (1, 2, 3)]
    output.plot_curve(rows, tmp_path / "curve.png")
    assert labels == ["val_nll (best 9, last 10)", "val_spread (last 11)"]


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


def test_bars_are_of_the_greatest_values(tmp_path: Path) -> None:
    path = tmp_path / "b.png"
    output.plot_bars({f"x{i}": i for i in range(50)}, path, label="nats", provenance=PROVENANCE)
    assert output.read_provenance(path) == PROVENANCE
    with Image.open(path) as many:
        output.plot_bars({"x0": 1.0}, tmp_path / "one.png", label="nats")
        with Image.open(tmp_path / "one.png") as one:
            assert one.height < many.height < 1200


def test_names_of_points_do_not_cover_one_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    boxes: list[Any] = []
    finish = plots._finish

    def look(figure: Any, axes: Any, *rest: Any) -> None:
        boxes.extend(text.get_window_extent() for text in axes.texts)
        finish(figure, axes, *rest)

    monkeypatch.setattr(plots, "_finish", look)
    close = [Point(f"architecture.{i}", 31, 6.76 + 0.01 * i) for i in range(3)]
    far = [Point("far.away", 65535, 6.2), Point("bound", 16, 9.2, hollow=True)]
    plot_points([*close, *far], tmp_path / "p.png", x_label="parameters", y_label="nats")
    assert len(boxes) == 5
    pairs = [(a, b) for i, a in enumerate(boxes) for b in boxes[:i]]
    assert not any(a.overlaps(b) for a, b in pairs)


def test_a_plot_of_nothing() -> None:
    with pytest.raises(InvalidInput, match=r"cannot draw p\.png: there are no values"):
        plot_points([], Path("p.png"), x_label="x", y_label="y")


def test_histograms_stand_one_below_the_other_with_outliers_at_their_ends(tmp_path: Path) -> None:
    groups = {"a": [float(i) for i in range(1000)], "b": [1e9, float("nan")]}
    clipped = plots._clip(groups)
    assert max(clipped["a"]) == clipped["b"][0] < 1000
    path = tmp_path / "p.png"
    output.plot_histograms({"nats": groups, "ratio": groups}, path, provenance=PROVENANCE)
    assert output.read_provenance(path) == PROVENANCE
    with Image.open(path) as two:
        output.plot_histograms({"nats": groups}, tmp_path / "one.png")
        with Image.open(tmp_path / "one.png") as one:
            assert one.height < two.height
    with pytest.raises(InvalidInput, match="there are no finite values"):
        output.plot_histograms({"nats": {"a": [float("nan")]}}, tmp_path / "none.png")
