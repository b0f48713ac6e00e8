"""The routes: a file for each surface, a folder for `/v1`."""
