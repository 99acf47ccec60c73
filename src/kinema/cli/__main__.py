"""`python -m kinema.cli` is the command `kinema`."""

from kinema.cli.main import main

main()
