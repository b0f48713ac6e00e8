"""What a gallery is worth, measured."""
