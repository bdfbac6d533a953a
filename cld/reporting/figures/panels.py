"""Panels side by side: scores over the values of a setting, with a ring at each score's best value."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cld.reporting.style import TEXT_WIDTH, plt


def panels_figure(n_panels: int, heading: str, note: str) -> tuple[Figure, Sequence[Axes]]:
    """An empty figure of scores in percent, with a heading above its panels and a note below them."""
    figure = plt.figure(figsize=(TEXT_WIDTH, 2.4), layout="constrained")
    figure.suptitle(heading, fontsize=8)
    figure.supxlabel(note, fontsize=5.5)
    axes = figure.subplots(1, n_panels)
    axes[0].set_ylabel("percent")
    return figure, axes


def draw_panel(
    axis: Axes, places: np.ndarray, mean: np.ndarray, deviation: np.ndarray, colour: str, marker: str = ""
) -> None:
    """Draw a score as a line with a band of its deviation over seeds.

    Args:
        places: (V,), where on the axis the setting's values lie.
        mean, deviation: (V,), in percent; a deviation is NaN where there is one seed.
    """
    band = np.nan_to_num(deviation)
    axis.fill_between(places, mean - band, mean + band, color=colour, alpha=0.15, linewidth=0)
    axis.plot(places, mean, color=colour, marker=marker, markersize=3.5, linewidth=1.2)
    best = int(np.argmax(mean))
    ring: dict[str, Any] = {
        "color": "none",
        "markeredgecolor": colour,
        "markersize": 9,
        "markeredgewidth": 1.2,
    }
    axis.plot(places[best], mean[best], "o", **ring)
    axis.margins(x=0.08, y=0.18)
    axis.grid(axis="y", linewidth=0.3, alpha=0.5)
    axis.spines[["top", "right"]].set_visible(False)
