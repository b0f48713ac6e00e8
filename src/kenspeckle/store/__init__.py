"""Vectors to disk, and search."""
