"""The nouns: frozen values that every room shares, checked when they are made.

Boxes are pixels `(x0, y0, x1, y1)`, half-open, after the EXIF rotation. Similarities are cosines,
-1 … 1. Confidences are 0 … 1, calibrated, or absent. Times are seconds, angles degrees.
"""

from kenspeckle.types.arrays import Box, Float32, Int64
from kenspeckle.types.decision import Candidate, Decision, Evidence, in_percent
from kenspeckle.types.enrolled import NO_METADATA, Feedback, Item, Reference
from kenspeckle.types.picture import Intake, Picture, Region
from kenspeckle.types.rule import Calibration, Promise, SecondLookRule
from kenspeckle.types.space import Fingerprint, Recipe, Vectors

__all__ = [
    "NO_METADATA",
    "Box",
    "Calibration",
    "Candidate",
    "Decision",
    "Evidence",
    "Feedback",
    "Fingerprint",
    "Float32",
    "Int64",
    "Intake",
    "Item",
    "Picture",
    "Promise",
    "Recipe",
    "Reference",
    "Region",
    "SecondLookRule",
    "Vectors",
    "in_percent",
]
