"""What camera views tell of a gallery beside the item: look-alikes, and prints told apart."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kenspeckle.match.aggregate import Floats
from kenspeckle.stats import expected_threshold
from kenspeckle.types import Int64

PRINT_ERROR = 0.05
"""Asked share of views whose print is wrongly called certain: a lesser fault than a wrong name."""


@dataclass(frozen=True, slots=True)
class Views:
    """n camera views beside the references `(n,)`: the item that each shows, its cosine to its own
    reference, and by how much the right print leads the best other one (nan: a single print)."""

    items: Int64
    level: Floats
    lead: Floats


NO_VIEWS = Views(np.empty(0, np.int64), np.empty(0), np.empty(0))


def look_alike_level(views: Views) -> float | None:
    """The cosine to their own reference that nine in ten views stay below, None without views.

    Two references that are nearer to each other look more alike than a photo and what it shows.
    """
    return float(np.quantile(views.level, 0.9)) if len(views.level) else None


def print_margin(views: Views) -> float | None:
    """By how much the best print of an item must lead to be certain, from views of known prints.

    A wrong print leads by the negative of the right one's lead. The margin keeps wrong prints
    called certain at an expected 5 % of views, by item. None when the items with several prints
    are too few for that (19).
    """
    several = ~np.isnan(views.lead)
    leads, items = views.lead[several], views.items[several]
    if not len(leads) or 1 / (len(np.unique(items)) + 1) > PRINT_ERROR:
        return None
    return max(0.0, expected_threshold(-leads, items, PRINT_ERROR))
