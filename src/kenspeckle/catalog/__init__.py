"""Folders and tables → entries to enrol, and the plan that keeps an index in line."""

from kenspeckle.catalog.entry import Entry, Listing
from kenspeckle.catalog.folder import scan
from kenspeckle.catalog.sync import Change, Plan, Relabel, plan

__all__ = ["Change", "Entry", "Listing", "Plan", "Relabel", "plan", "scan"]
