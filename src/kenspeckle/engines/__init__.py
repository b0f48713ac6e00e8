"""Every model: where it is and how it runs."""
