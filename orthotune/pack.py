"""python -m orthotune.pack: the code is `orthotune.commands.pack`."""

import sys

from orthotune.commands.pack import main

if __name__ == "__main__":
    sys.exit(main())
