"""`python -m kinema.cli` is the command `kinema`."""

from kinema.__main__ import main

if __name__ == "__main__":
    main()
