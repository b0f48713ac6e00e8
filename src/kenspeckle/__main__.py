"""`python -m kenspeckle` is the command `kenspeckle`."""

from kenspeckle.cli.main import main

main()
