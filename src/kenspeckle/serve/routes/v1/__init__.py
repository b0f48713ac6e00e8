"""The routes of the native API, a file for each subject."""
