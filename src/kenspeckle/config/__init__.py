"""Settings: one frozen object with a section per room, and where each value came from.

Order, later wins: defaults < `kenspeckle.toml` (working folder, else the user's configuration
folder) < `.env` (working folder) < environment < arguments. Within one level a `KENSPECKLE_*` name
wins over the older names that users of other systems have set.
"""

from __future__ import annotations

from kenspeckle.config.checks import CHECKS, check, check_rate
from kenspeckle.config.levels import FILE, Setting, environment_names, load, user_folder
from kenspeckle.config.sections import (
    MODES,
    RATE,
    USUAL_FPIR,
    AnalyzeSettings,
    IdentifySettings,
    ImageSettings,
    IndexSettings,
    ModelSettings,
    ServeSettings,
    Settings,
)

__all__ = [
    "CHECKS",
    "FILE",
    "MODES",
    "RATE",
    "USUAL_FPIR",
    "AnalyzeSettings",
    "IdentifySettings",
    "ImageSettings",
    "IndexSettings",
    "ModelSettings",
    "ServeSettings",
    "Setting",
    "Settings",
    "check",
    "check_rate",
    "environment_names",
    "load",
    "user_folder",
]
