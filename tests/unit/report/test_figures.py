"""Figures as files for a paper, without a browser."""

import html
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import optuna
import plotly.graph_objects as go
import pytest

from raykd.cli.main import main
from raykd.report.charts import figure
from raykd.report.drawing import draw
from raykd.report.figures import figures_of, write_figures
from raykd.report.pair_charts import pair_charts
from raykd.results.records import SweepResult
from raykd.results.store import load_results
from tests.synthetic_run import Builder

BEGINS = {"svg": b"<?xml", "png": b"\x89PNG", "pdf": b"%PDF"}


def small(chart: go.Figure, **more):
    return figure(chart, key="k", title="t", finding="f", columns=("c",), rows=(), **more)


def texts(path: Path) -> list[str]:
    """The texts of an SVG; letters are outlines, and a comment says what they spell."""
    return [
        c.strip() for c in path.read_text("utf-8").split("<!--")[1:] for c in [c.split("-->")[0]]
    ]


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> SweepResult:
    """A run with few figures."""
    builder = Builder(tmp_path_factory.mktemp("runs") / "few")
    builder.start()
    builder.teacher("glue/rte")
    for arm in ("none", "kd"):
        builder.trial("glue/rte", arm, 0, objective=0.7)
        for seed in (11, 12, 13):
            builder.trial("glue/rte", arm, 0, confirm_seed=seed, test=0.7 + seed / 1000)
    builder.finish()
    return load_results(builder.folder)


def test_every_figure_of_a_run_is_a_file_of_its_own(few: SweepResult, tmp_path: Path):
    written = write_figures(few, tmp_path / "figures")
    assert len(written) > 5
    assert [p.stem for p in written] == list(figures_of(few))
    for path in written:
        ET.parse(path)  # well-formed
    arms = texts(tmp_path / "figures" / "arms-0.svg")
    assert {"none", "kd", "teacher", "accuracy (points)"} <= set(arms)


@pytest.mark.parametrize("format", ["svg", "png", "pdf"])
def test_the_same_records_give_the_same_bytes(few: SweepResult, tmp_path: Path, format: str):
    chart = figures_of(few)["timeline"]
    for name in ("a", "b"):
        draw(chart, tmp_path / name, format)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert (tmp_path / "a").read_bytes().startswith(BEGINS[format])


def test_every_kind_of_chart_of_a_report_is_drawn(result: SweepResult, tmp_path: Path):
    """One of each: the name of a chart begins with its kind."""
    kinds = {name.partition("-")[0]: chart for name, chart in figures_of(result).items()}
    assert {"arms", "history", "curves", "terms", "slice", "parallel", "edf"} <= {*kinds}
    for chart in kinds.values():
        draw(chart, tmp_path / "x.svg", "svg")
        assert set(texts(tmp_path / "x.svg"))


def test_names_numbers_and_scales_stand_where_they_are(tmp_path: Path):
    chart = go.Figure(go.Scatter(x=["a $x$", "b &lt;i&gt;"], y=[0.001, 10.0], mode="markers"))
    chart.update_yaxes(type="log", tickvals=[0.001, 1, 10], ticktext=["milli", "one", "ten"])
    draw(small(chart), tmp_path / "x.svg", "svg")
    shown = {html.unescape(text) for text in texts(tmp_path / "x.svg")}
    assert {"a $x$", "b <i>", "milli", "one", "ten"} <= shown


def test_a_trace_that_nothing_draws_is_reported(tmp_path: Path):
    with pytest.raises(ValueError, match="type pie cannot be drawn"):
        draw(small(go.Figure(go.Pie(values=[1]))), tmp_path / "x", "svg")


@pytest.fixture(scope="module")
def study() -> optuna.Study:
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=1))

    def objective(trial: optuna.Trial) -> float:
        lr = trial.suggest_float("lr", 1e-5, 1e-3, log=True)
        return lr * trial.suggest_int("a_count", 1, 9) * len(trial.suggest_categorical("b", "xyz"))

    study.optimize(objective, n_trials=12)
    return study


def test_surfaces_and_ranks_of_two_parameters_are_drawn(study: optuna.Study, tmp_path: Path):
    for pair in (("lr", "a_count"), ("lr", "b")):
        for chart in pair_charts(study, pair, "points", "k", "arm"):
            draw(chart, tmp_path / "x.svg", "svg")
            assert set(pair) <= set(texts(tmp_path / "x.svg"))


def test_axes_of_two_parameters_are_named_for_what_they_show(study: optuna.Study):
    """Optuna puts the first by name across, whichever matters more."""
    lr = sorted(t.params["lr"] for t in study.trials)
    for chart in pair_charts(study, ("lr", "a_count"), "points", "k", "arm"):
        layout, dots = chart.spec["layout"], chart.spec["data"]
        of_lr = "y" if layout["yaxis"]["title"]["text"] == "lr" else "x"
        assert layout["xaxis" if of_lr == "y" else "yaxis"]["title"]["text"] == "a_count"
        shown = next(t for t in dots if t["type"] == "scatter" and len(t["x"]) > 1)
        assert sorted(shown[of_lr]) == lr
        assert layout[f"{of_lr}axis"]["type"] == "log"


def test_without_matplotlib_one_message_says_what_to_install(
    run_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert main(["report", str(run_folder), "--figures", str(tmp_path / "f")]) == 4
    assert "raykd[figures]" in capsys.readouterr().err
    assert not (tmp_path / "f").exists()


def test_a_folder_that_cannot_be_made_is_one_message(run_folder: Path, tmp_path: Path, capsys):
    (tmp_path / "file").write_text("")
    assert main(["report", str(run_folder), "--figures", str(tmp_path / "file")]) == 4
    assert "cannot write figures" in capsys.readouterr().err
