"""`python -m mapcount` is the command `mapcount`."""

import sys

from mapcount.cli import main

if __name__ == "__main__":
    sys.exit(main())
