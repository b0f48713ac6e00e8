"""Many rules, models and numbers on the same pictures."""
