"""The verbs: each flow on one screen."""
