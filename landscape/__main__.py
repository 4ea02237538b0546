"""`python -m landscape` is the command line."""

from landscape.cli import main

main()
