"""Vectors to a decision. Pure: trials in, rule out."""
