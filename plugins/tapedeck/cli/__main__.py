"""`python -m tapedeck.cli`: the same command where the script is not on the PATH."""

from tapedeck.cli.main import main

main()
