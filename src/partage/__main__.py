"""``python -m partage``."""

import sys

from partage.cli.parser import main

if __name__ == "__main__":
    sys.exit(main())
