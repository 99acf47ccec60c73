"""`python -m kinema` is the command `kinema`."""

from kinema.cli.main import main

main()
