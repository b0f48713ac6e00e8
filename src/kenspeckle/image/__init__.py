"""Bytes to pixels, safely; camera views of a picture."""
