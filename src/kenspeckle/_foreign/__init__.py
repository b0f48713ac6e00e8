"""Restricted readers of files that other programs wrote as pickles; nothing in them is executed."""
