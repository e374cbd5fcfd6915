"""`python -m oddswire`: the command line."""

from oddswire.cli import main

main()
