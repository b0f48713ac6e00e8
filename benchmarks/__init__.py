"""One script a claim: what was measured, on which machine, with how many threads."""
