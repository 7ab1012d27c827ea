"""`python -m actalker`."""

import sys

from actalker.cli import main

if __name__ == "__main__":
    sys.exit(main())
