"""The figures that calibration and evaluation share: pure functions with formula and example.

Words as in ISO/IEC 19795-1: a *mated* query shows an enrolled item, a *non-mated* one does not. A
query is answered with a name when its score is above the threshold T. All rates depend on the
number N of enrolled items: state it beside them.
"""

from kenspeckle.stats.confidence import (
    Bin,
    brier,
    ece,
    ece_by_mass,
    equal_mass,
    reliability,
)
from kenspeckle.stats.curves import Det, det, fpr_at_tpr, gap, oscr
from kenspeckle.stats.expected import (
    DOUBT,
    expected_interval,
    expected_rate,
    expected_threshold,
    fmr_allowed,
    fpir_at_size,
    supported_rate,
    trials_needed,
)
from kenspeckle.stats.intervals import Z95, Difference, bootstrap, bootstrap_of, paired, wilson
from kenspeckle.stats.ranking import (
    average_precision,
    average_precision_at_r,
    cmc,
    hit_at,
    precision_at,
    precision_at_most,
    r_precision,
    recall_at,
)
from kenspeckle.stats.rates import (
    auroc,
    fnir,
    fpir,
    fpir_by_item,
    threshold_at,
    tpir,
    tpir_at_fpir,
)

__all__ = [
    "DOUBT",
    "Z95",
    "Bin",
    "Det",
    "Difference",
    "auroc",
    "average_precision",
    "average_precision_at_r",
    "bootstrap",
    "bootstrap_of",
    "brier",
    "cmc",
    "det",
    "ece",
    "ece_by_mass",
    "equal_mass",
    "expected_interval",
    "expected_rate",
    "expected_threshold",
    "fmr_allowed",
    "fnir",
    "fpir",
    "fpir_at_size",
    "fpir_by_item",
    "fpr_at_tpr",
    "gap",
    "hit_at",
    "oscr",
    "paired",
    "precision_at",
    "precision_at_most",
    "r_precision",
    "recall_at",
    "reliability",
    "supported_rate",
    "threshold_at",
    "tpir",
    "tpir_at_fpir",
    "trials_needed",
    "wilson",
]
