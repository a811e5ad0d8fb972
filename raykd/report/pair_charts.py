"""Two searched parameters of an arm together: the surface of scores, and the ranks of trials."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import optuna
import optuna.visualization
import plotly.graph_objects as go
from optuna.trial import FrozenTrial, TrialState

from raykd.report.charts import Figure, figure, log_ticks, short

HEIGHT = 380


def pair_charts(
    study: optuna.Study, pair: tuple[str, str], unit: str, key: str, arm: str
) -> tuple[Figure, ...]:
    """Optuna's contour and rank charts of two parameters; none where too few trials have both.

    Args:
        study: The search of an arm.
        pair: The parameters. The first by name is across, as Optuna's contour always has it.
        unit: Of the objective.
        key: Ids of the charts begin with it.
        arm: Its name.
    """
    pair = (min(pair), max(pair))
    trials = [
        t
        for t in study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        if all(name in t.params for name in pair)
    ]
    if any(len({t.params[name] for t in trials}) < 2 for name in pair):
        return ()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        contour = optuna.visualization.plot_contour(study, params=list(pair), target_name=unit)
        rank = optuna.visualization.plot_rank(study, params=list(pair), target_name=unit)
    return (
        _figure(
            contour, pair, trials, f"{key}-contour", unit,
            title=f"Score of {arm} by {pair[0]} and {pair[1]}",
            finding="Dots are completed trials; between them the surface is a guess.",
        ),
        _figure(
            rank, pair, trials, f"{key}-rank", unit,
            title=f"Ranks of the trials of {arm} by {pair[0]} and {pair[1]}",
            finding="Colours are ranks, so that one bad trial does not hide the others: where good "
            "ones lie together, both parameters matter.",
        ),
    )  # fmt: skip


def _figure(
    chart: go.Figure,
    pair: tuple[str, str],
    trials: Sequence[FrozenTrial],
    key: str,
    unit: str,
    *,
    title: str,
    finding: str,
) -> Figure:
    chart.update_layout(width=None, xaxis_title=pair[0], yaxis_title=pair[1], showlegend=False)
    for axis, name in ((chart.layout.xaxis, pair[0]), (chart.layout.yaxis, pair[1])):
        if axis.type == "log":
            values = [float(t.params[name]) for t in trials]
            ticks = log_ticks(min(values), max(values))
            axis.update(tickvals=ticks, ticktext=[f"{t:g}" for t in ticks])
    rows = sorted((short(t.params[pair[0]]), short(t.params[pair[1]]), f"{t.value:.4g}")
                  for t in trials)  # fmt: skip
    return figure(
        chart, key=key, title=title, finding=finding, columns=(*pair, unit), rows=rows,
        height=HEIGHT,
    )  # fmt: skip
