"""python -m orthotune.train: the code is `orthotune.commands.train`.

It cannot be imported: this module would take the place of `orthotune.train`, the
function.
"""

import sys

from orthotune.commands.train import main

if __name__ == "orthotune.train":
    raise ImportError(
        "orthotune.train must be called as a function (import orthotune), or run with "
        "python -m, but was imported. For its code: orthotune.commands.train"
    )
if __name__ == "__main__":
    sys.exit(main())
