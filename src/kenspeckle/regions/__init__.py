"""Pixels to regions: the parts of a picture that are asked about."""
