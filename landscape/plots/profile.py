"""The loss along lines: curves over α."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes

from landscape.plots.caption import conditions, rounded_away, write_above
from landscape.plots.names import literal, plain
from landscape.plots.style import Look, axes_or_new, looks
from landscape.results.construction import Construction
from landscape.results.profile import Profile

_MANY = 5  # random directions, from which on their spread is drawn instead of each by its look
_SPREAD = "#0072B2"
_HUGE, _REACH = 1e100, 1000.0


def plot_profile(profile: Profile, *, metric: str | None = None, ax: Axes | None = None) -> Axes:
    """Draw a metric along one or several lines.

    Values that are infinite, or beyond any axis that shows the others (a thousand times their
    middle half away from it, or more than 1e100), are marked at the edge and told beside the
    metric's name. A band shows ± one standard error where the metric was measured on a subset.
    Five or more random directions are drawn as their median and a band that holds 80 % of them,
    over faint lines for each. The axis is logarithmic when every value is positive and they span
    more than a factor of thirty. For lines between two points, α = 0 and α = 1 are marked: they
    are the two points.

    Args:
        profile: What to draw.
        metric: Which metric of the profile; default: its first, the loss.
        ax: Where to draw; default: new axes.

    Raises:
        ValueError: If the metric is unknown.

    >>> import landscape as ls
    >>> task = ls.load_task("function/quadratic")  # ½ Σ h_i x_i², h from 1 to 100, at x = 1
    >>> objective = ls.Objective(task.model, task.loss, task.train)
    >>> line = ls.line_between(objective.parameters(), 0 * objective.parameters())
    >>> profile = ls.loss_line(objective, line, extent=(0, 1), resolution=3)
    >>> ls.plot_profile(profile).get_ylabel()
    'loss'
    """
    metric = metric or profile.metrics[0]
    if metric not in profile.metrics:
        raise ValueError(f"metric must be one of {', '.join(profile.metrics)}; not {metric!r}.")
    m = profile.metrics.index(metric)
    values, errors = profile.values[:, m], profile.standard_error[:, m]
    beyond = _beyond(values)
    shown = np.where(beyond, np.nan, values)
    ax = axes_or_new(ax)
    kind = Construction.of(profile.settings).kind
    between = kind == "between two points"
    if between:
        for place in (0, 1):
            ax.axvline(place, color="0.7", linewidth=0.8, zorder=0)
    drawn_apart = kind != "random" or len(profile.names) < _MANY
    if not drawn_apart:
        _draw_spread(ax, profile, metric, shown)
    else:
        for name, y, error, style in zip(
            map(plain, profile.names), shown, errors, looks(profile.names), strict=True
        ):
            _draw_line(ax, profile.alpha, y, error, style, name, ends=between)
    finite = shown[np.isfinite(shown)]
    if finite.size and finite.min() > 0 and finite.max() > 30 * finite.min():
        ax.set_yscale("log")
    ax.set_xlim(profile.alpha[0], profile.alpha[-1])
    label = literal(profile.label)
    ax.set_xlabel(f"{label} (0: start, 1: end)" if between else label)
    ax.set_ylabel(literal(metric) + _mark_beyond(ax, profile.alpha, values, beyond))
    if not np.isfinite(values).any():
        nothing = literal(f"no finite {metric} was measured")
        ax.text(0.5, 0.5, nothing, ha="center", transform=ax.transAxes)
    told = {k: v for k, v in profile.settings.items() if k != "kind" or v == "random"}
    text = conditions(told) + rounded_away(profile.rounding)
    if drawn_apart and (errors > 0).any():
        text += " · band: ± one standard error"
    if lost := int(np.isnan(values).sum()):
        text += f" · {lost} of {values.size} values not a number"
    write_above(ax, text.removeprefix(" · "))
    if len(profile.names) > 1:
        ax.legend()
    return ax


def _beyond(values: np.ndarray) -> np.ndarray:
    """Which values no axis can show together with the others."""
    infinite = np.isinf(values)
    usual = values[np.isfinite(values) & (np.abs(values) < _HUGE)]
    if not usual.size:
        return infinite | (np.abs(values) >= _HUGE)
    low, high = np.quantile(usual, (0.25, 0.75))
    reach = _REACH * (high - low) if high > low else np.inf
    far = (values < low - reach) | ((values > high + reach) & (usual.min() <= 0))
    return infinite | (np.abs(values) >= _HUGE) | far


def _mark_beyond(ax: Axes, x: np.ndarray, values: np.ndarray, beyond: np.ndarray) -> str:
    """Mark what the axis does not show, and say it."""
    if not beyond.any():
        return ""
    for sign, edge, marker in ((1, 1.0, "^"), (-1, 0.0, "v")):
        places = x[np.nonzero(beyond & (np.sign(values) == sign))[1]]
        if len(places):
            ax.plot(
                places, np.full(len(places), edge), linestyle="", marker=marker, color="0.3",
                transform=ax.get_xaxis_transform(), clip_on=False, gid="beyond",
            )  # fmt: skip
    least, most = values[beyond].min(), values[beyond].max()
    told = f"{least:.2g}" if least == most else f"{least:.2g} to {most:.2g}"
    return f" ({int(beyond.sum())} beyond the axis: {told})"


def _draw_line(
    ax: Axes, x: np.ndarray, y: np.ndarray, error: np.ndarray, style: Look, name: str, *, ends: bool
) -> None:
    ax.plot(x, y, **style.line, label=name)
    if ends:
        at = np.interp((0, 1), x, y)
        ax.plot((0, 1), at, style.marker, color=style.color, markeredgecolor="white")
    if (error > 0).any():
        ax.fill_between(x, y - error, y + error, color=style.color, alpha=0.2, linewidth=0)


def _draw_spread(ax: Axes, profile: Profile, metric: str, shown: np.ndarray) -> None:
    median, low, high = _on_axis(profile.band(share=0.8, metric=metric), shown)
    ax.plot(profile.alpha, shown.T, color="0.8", linewidth=0.5, zorder=1, gid="each")
    ax.fill_between(
        profile.alpha, low, high, color=_SPREAD, alpha=0.2, linewidth=0, gid="spread",
        label="80 % of them",
    )  # fmt: skip
    of = f"median of {len(shown)} directions"
    ax.plot(profile.alpha, median, color=_SPREAD, label=of, gid="median")


def _on_axis(found: tuple[np.ndarray, ...], shown: np.ndarray) -> list[np.ndarray]:
    """Quantiles as far as the axis reaches: what lies beyond has no place on it."""
    usual = shown[np.isfinite(shown)]
    most, least = (usual.max(), usual.min()) if usual.size else (np.nan, np.nan)
    return [np.where((one > most) | (one < least), np.nan, one) for one in found]
