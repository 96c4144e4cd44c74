"""Where models stand beside one another: the cells of a row, the points of a plot, JSON."""

from dataclasses import replace

from zoo_core.cli.standings import cells, head, kind_to_plot, points, table, to_json
from zoo_core.metrics.comparison import Standing
from zoo_core.metrics.measured import Measured

EXACT = Standing("nade", 785_000, "binary", "exact", Measured(84.5, 0.1, 100), 0.155, "", None)
BOUND = replace(EXACT, name="vae", kind="bound")
IMPLICIT = replace(EXACT, name="gan", kind="", nats=None, bits_per_dim=None, note="implicit")


def test_a_row() -> None:
    assert cells(EXACT) == ("nade", "785,000", "binary", "exact", "84.500 ± 0.100", "0.1550")
    assert cells(BOUND)[4] == "≤ 84.500 ± 0.100"
    assert cells(IMPLICIT)[3:] == ("-", "-", "-")
    assert cells(replace(EXACT, bits_per_dim=None))[5] == "-", "a density has none"


def test_a_table() -> None:
    first, *rows, note = table([EXACT, IMPLICIT], "test")
    assert first.split() == " ".join(head("test")).split() and "TEST NATS" in first
    assert [row.split()[0] for row in rows] == ["nade", "gan"]
    assert note == "gan: implicit"


def test_a_plot_is_of_one_kind_of_values() -> None:
    other = replace(EXACT, name="grey", values="256 levels")
    assert kind_to_plot([EXACT, BOUND, other]) == "binary"
    found = points([EXACT, BOUND, other, IMPLICIT])
    assert [(point.name, point.hollow) for point in found] == [("nade", False), ("vae", True)]


def test_json() -> None:
    assert to_json(EXACT) == {
        "name": "nade",
        "parameters": 785_000,
        "values": "binary",
        "likelihood": "exact",
        "nats": 84.5,
        "standard_error": 0.1,
        "n": 100,
        "bits_per_dim": 0.155,
        "note": None,
    }
    assert to_json(IMPLICIT)["nats"] is None
