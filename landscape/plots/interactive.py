"""Results as plotly figures: to look at in a notebook, to customise, to embed, to log."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from landscape.base.files import expanded
from landscape.base.result import Result
from landscape.plots.caption import conditions
from landscape.plots.columns import TITLES, curves_of
from landscape.plots.frame import is_skew, stretched, unit_ratio
from landscape.plots.ground import ground_colors
from landscape.plots.style import looks
from landscape.plots.surface import axis_label, belongs, check_plane, measured_with
from landscape.plots.walk import curve
from landscape.results.profile import Profile
from landscape.results.projection import Projection
from landscape.results.surface import Surface
from landscape.results.walk import Walk

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

_DASHES = {"-": "solid", "--": "dash", "-.": "dashdot", ":": "dot"}
_FONT = {"family": "system-ui, -apple-system, Segoe UI, Roboto, Liberation Sans, Arial, sans-serif"}


def figure(
    result: Result | Sequence[Any],
    *,
    paths: Sequence[Projection] = (),
    metric: str | None = None,
    view: Literal["2d", "3d"] = "2d",
) -> Figure:
    """A result as an interactive ``plotly.graph_objects.Figure``.

    Values on hover are those that were measured; a value that is not finite is a gap. The figure
    is yours: change it with ``update_layout``, show it in a notebook, ``write_html`` it, or give
    it to an experiment tracker.

    Args:
        result: Any result, or several walks, paths or projections to compare.
        paths: Projections on the plane of a surface, drawn on it; a marker in 3-D stands at the
            loss measured at the state itself, where that is known.
        metric: Which metric of a surface, a line or a walk; default: the first.
        view: A surface from above (``2d``) or as a surface (``3d``).

    Raises:
        ValueError: If there is nothing to draw, a metric or view is unknown, or a path belongs to
            another plane.

    >>> from landscape.results.profile import Profile
    >>> line = Profile(
    ...     alpha=np.array([0.0, 1.0]), metrics=("loss",), values=np.array([[[2.0, 1.0]]]),
    ...     standard_error=np.zeros((1, 1, 2)), names=("Adam",), label="α",
    ... )
    >>> [trace.name for trace in figure(line).data]
    ['Adam']
    """
    if view not in ("2d", "3d"):
        raise ValueError(f"view must be 2d or 3d; not {view!r}.")
    several: list[Any] = [result] if isinstance(result, Result) else list(result)
    kinds = {type(one) for one in several}
    if len(kinds) != 1 or not isinstance(several[0], Result):
        raise ValueError(
            "Give one result, or several of one kind; not "
            f"{sorted(kind.__name__ for kind in kinds) or 'none'}."
        )
    if isinstance(several[0], Surface):
        if len(several) > 1:
            raise ValueError("Give one surface at a time; several need figures of their own.")
        return _surface(several[0], paths, metric, view)
    if isinstance(several[0], Projection):
        return _projections(several)
    if isinstance(several[0], Profile):
        return _profiles(several, metric)
    if isinstance(several[0], Walk):
        return _walks(several, metric)
    return _columns(several)


def write_figures(results: Mapping[str, Result], out: Path) -> list[Path]:
    """Write every result of a file as a page with one plotly figure; surfaces from both sides.

    The folder gets one ``plotly.min.js`` that all pages share, so that they open offline.
    """
    paths = [r for r in results.values() if isinstance(r, Projection)]
    made: dict[str, Figure] = {}
    for name, result in results.items():
        file = name.replace("/", "-")
        if isinstance(result, Surface):
            own = [path for path in paths if belongs(path, result)]
            made[f"{file}-2d"] = figure(result, paths=own)
            made[f"{file}-3d"] = figure(result, paths=own, view="3d")
        elif not isinstance(result, Projection):
            made[file] = figure(result)
    out = expanded(out)
    out.mkdir(parents=True, exist_ok=True)
    pages = [out / f"{name}.html" for name in made]
    for page, drawn in zip(pages, made.values(), strict=True):
        settings = {"showSendToCloud": False, "displaylogo": False}
        drawn.write_html(page, include_plotlyjs="directory", config=settings)
    return pages


def _new(settings: Mapping[str, Any], **layout: Any) -> Figure:
    from plotly.graph_objects import Figure

    note = {"text": conditions(settings), "font": {"size": 11, "color": "#55595f"}}
    made = Figure()
    made.update_layout(
        template="plotly_white", font=_FONT, hovermode="closest", margin={"t": 40, "r": 20},
        title=note, **layout,
    )  # fmt: skip
    return made


def _gaps(values: np.ndarray) -> np.ndarray:
    return np.where(np.isfinite(values), values, np.nan)


def _chosen(metrics: Sequence[str], metric: str | None) -> int:
    if metric is not None and metric not in metrics:
        raise ValueError(f"metric must be one of {', '.join(metrics)}; not {metric!r}.")
    return metrics.index(metric) if metric else 0


def _is_log(values: np.ndarray) -> bool:
    good = values[np.isfinite(values)]
    return bool(good.size and good.min() > 0 and good.max() > 5 * good.min())


def _line(style: Any) -> dict[str, Any]:
    return {"color": style.color, "dash": _DASHES[style.dash]}


def _named(results: Sequence[Any]) -> list[tuple[Any, Any]]:
    styles = looks([getattr(r, "optimizer", "") or getattr(r, "name", "") for r in results])
    return list(zip(results, styles, strict=True))


def _surface(
    surface: Surface, paths: Sequence[Projection], metric: str | None, view: str
) -> Figure:
    m = _chosen(surface.metrics, metric)
    for path in paths:
        check_plane(surface, path)
    name = surface.metrics[m]
    values = _gaps(np.where(surface.computed, surface.values[m], np.nan))
    log = _is_log(values)
    with np.errstate(invalid="ignore"):
        level = np.log10(values) if log else values
    bar: dict[str, Any] = {"title": {"text": name}}
    if log:
        low, high = np.nanmin(level), np.nanmax(level)
        ticks = [m * 10.0**e for e in range(int(low) - 2, int(high) + 2) for m in (1, 2, 5)]
        ticks = [t for t in ticks if low <= np.log10(t) <= high]
        bar |= {"tickvals": np.log10(ticks), "ticktext": [f"{t:g}" for t in ticks]}
    x, y = axis_label(surface, 0), axis_label(surface, 1)
    hover = f"{name} %{{VALUE:.5g}}<br>x %{{x:.4g}}, y %{{y:.4g}}<extra></extra>"
    colours = {"colorscale": ground_colors(count=32), "colorbar": bar}
    if view == "2d":
        made = _new(measured_with(surface, paths), xaxis_title=x, yaxis_title=y)
        made.add_contour(
            x=surface.alpha, y=surface.beta, z=level, customdata=values, ncontours=20, name=name,
            line={"width": 0.5, "color": "white"}, **colours,
            hovertemplate=hover.replace("VALUE", "customdata"),
        )  # fmt: skip
        if not is_skew(surface) and stretched(surface) == 1:
            made.update_yaxes(scaleanchor="x", scaleratio=unit_ratio(surface))
        for path, style in _named(paths):
            made.add_scatter(
                x=_gaps(path.coordinates[:, 0]), y=_gaps(path.coordinates[:, 1]), mode="lines",
                name=path.name, line=_line(style), customdata=_states(path),
                hovertemplate=_STATE_HOVER,
            )  # fmt: skip
        made.update_layout(legend={"orientation": "h", "y": -0.18})
        return made
    scene = {
        "xaxis_title": surface.labels[0],
        "yaxis_title": surface.labels[1],
        "zaxis": {"title": name, "type": "log" if log else "linear"},
    }
    made = _new(measured_with(surface, paths), scene=scene)
    made.add_surface(  # raw values in z: customdata of a surface is looked up transposed
        x=surface.alpha, y=surface.beta, z=values, surfacecolor=level, name=name, **colours,
        hovertemplate=hover.replace("VALUE", "z"),
    )  # fmt: skip
    for path, style in _named(paths):
        height = path.loss if path.loss is not None and m == 0 else path.in_plane_loss
        if height is None:
            continue
        made.add_scatter3d(
            x=_gaps(path.coordinates[:, 0]), y=_gaps(path.coordinates[:, 1]), z=_gaps(height),
            mode="lines", name=path.name, line={**_line(style), "width": 5},
            customdata=_states(path), hovertemplate=_STATE_HOVER,
        )  # fmt: skip
    return made


_STATE_HOVER = (
    "step %{customdata[0]:.0f}<br>loss %{customdata[1]:.5g}<br>off plane %{customdata[2]:.3g}"
)


def _states(path: Projection) -> np.ndarray:
    loss = np.full(len(path.step), np.nan) if path.loss is None else _gaps(path.loss)
    return np.stack([path.step, loss, path.residual], axis=1)


def _projections(paths: Sequence[Projection]) -> Figure:
    made = _new(paths[0].settings, xaxis_title="direction 1", yaxis_title="direction 2")
    for path, style in _named(paths):
        second = path.coordinates[:, 1] if path.coordinates.shape[1] > 1 else path.residual
        made.add_scatter(
            x=_gaps(path.coordinates[:, 0]), y=_gaps(second), mode="lines", name=path.name,
            line=_line(style), customdata=_states(path), hovertemplate=_STATE_HOVER,
        )  # fmt: skip
    if paths[0].coordinates.shape[1] == 1:
        made.update_yaxes(title="distance off the line")
    return made


def _profiles(profiles: Sequence[Profile], metric: str | None) -> Figure:
    m = _chosen(profiles[0].metrics, metric)
    name = profiles[0].metrics[m]
    made = _new(profiles[0].settings, xaxis_title=profiles[0].label, yaxis_title=name)
    for profile in profiles:
        for k, (line, style) in enumerate(
            zip(profile.names, looks(list(profile.names)), strict=True)
        ):
            error = profile.standard_error[k, m]
            made.add_scatter(
                x=profile.alpha, y=_gaps(profile.values[k, m]), mode="lines", name=line,
                line=_line(style), hovertemplate="%{x:.4g}: %{y:.5g}",
                error_y={"array": error, "thickness": 1} if (error > 0).any() else None,
            )  # fmt: skip
    if _is_log(np.concatenate([p.values[:, m].ravel() for p in profiles])):
        made.update_yaxes(type="log")
    return made


def _walks(walks: Sequence[Walk], metric: str | None) -> Figure:
    m = _chosen(walks[0].metrics, metric)
    made = _new(walks[0].settings, xaxis_title="optimizer step", yaxis_title=walks[0].metrics[m])
    for walk, style in _named(walks):
        x, y = curve(walk, walk.values[:, m])
        made.add_scatter(
            x=x, y=_gaps(y), mode="lines", name=walk.name, line=_line(style),
            hovertemplate="step %{x:.2f}: %{y:.5g}",
        )  # fmt: skip
    if _is_log(np.concatenate([walk.values[:, m].ravel() for walk in walks])):
        made.update_yaxes(type="log")
    return made


def _columns(results: Sequence[Any]) -> Figure:
    """Any other result: every column of numbers over the coordinate of its dimension."""
    from plotly.subplots import make_subplots

    panels = [name for name, *_ in curves_of(results[0])]
    if not panels:
        raise ValueError(f"{type(results[0]).__name__} holds no curves to draw.")
    titles = [TITLES.get(name, name.replace("_", " ")) for name in panels]
    made = make_subplots(len(panels), 1, shared_xaxes=True, vertical_spacing=0.2 / len(panels) ** 2)
    made.update_layout(_new(getattr(results[0], "settings", {})).layout)
    made.update_layout(height=max(400, 190 * len(panels)))
    for result, style in _named(results):
        for name, axis, x, rows, labels in curves_of(result):
            place = panels.index(name) + 1
            for row, label in zip(rows, labels, strict=True):
                own = label or getattr(result, "name", "") or name
                line = None if label else _line(style)
                made.add_scatter(
                    x=x, y=_gaps(row), mode="lines", name=own, legendgroup=own, line=line,
                    showlegend=place == 1, hovertemplate="%{x}: %{y:.5g}", row=place, col=1,
                )  # fmt: skip
            made.update_xaxes(title=axis if place == len(panels) else None, row=place, col=1)
    for k, title in enumerate(titles):
        made.update_yaxes(title=title, row=k + 1, col=1)
    return made
