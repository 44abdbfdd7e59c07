"""`python -m rdc.cli`."""

import sys

from rdc.cli import main

if __name__ == "__main__":
    sys.exit(main())
