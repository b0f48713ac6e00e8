"""The page that shows an evaluation or a sweep."""
