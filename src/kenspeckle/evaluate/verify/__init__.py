"""Whether an index can tell its items apart."""
