"""Which command renews a calibration that is out of date."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

from kenspeckle.config import IdentifySettings
from kenspeckle.flows.opened import DEFAULT_PATHS
from kenspeckle.regions.base import effective
from kenspeckle.types import Calibration


def renewal(
    path: str, rule: Calibration | None, refs: str = "", asked: IdentifySettings | None = None
) -> str:
    """The command, between backticks, and what it needs besides.

    It is the one that made the rule: a quick one comes with indexing the folder `refs`. Of a full
    one it is told whether there were photos, not which; what was confirmed and rejected the index
    keeps. What is `asked` for in place of what the rule was fitted for goes with the command.
    """
    name = "" if path == DEFAULT_PATHS[0] else shlex.quote(path)
    full = rule is not None and rule.method == "full"
    if refs and not full:
        words = ["kenspeckle index", shlex.quote(refs), name and f"--out {name}"]
    else:
        words = ["kenspeckle calibrate", name]
    if rule is not None:
        words += _flags(rule, asked or IdentifySettings(), full=words[0].endswith("calibrate"))
    return f"`{' '.join(filter(None, words))}`{_photos(rule)}"


def _flags(rule: Calibration, asked: IdentifySettings, *, full: bool) -> Iterator[str]:
    """Flags for what is asked for otherwise than the rule was fitted for, and for a second look."""
    if asked.fpir not in (0, rule.fpir):
        yield f"--fpir {asked.fpir:g}"
    if asked.regions and effective(asked.regions) != rule.regions:
        yield f"--regions {shlex.quote(asked.regions)}"
    if full and asked.second_look != "off" and (asked.second_look or rule.second_look):
        yield "--second-look"


def _photos(rule: Calibration | None) -> str:
    """What a rule was fitted on besides the index, as far as it tells; labelled photos and what
    people said count as one there."""
    if rule is None:
        return ""
    if any(one.strangers == "given" for one in rule.promises):
        return ", with the same photos,"
    if not rule.labelled:
        return ""
    return ", with the same photos if it had any," if rule.feedback else ", with the same photos,"
