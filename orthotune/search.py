"""python -m orthotune.search: the code is `orthotune.commands.search`.

It cannot be imported: this module would take the place of `orthotune.search`, the
function.
"""

import sys

from orthotune.commands.search import main

if __name__ == "orthotune.search":
    raise ImportError(
        "orthotune.search must be called as a function (import orthotune), or run with "
        "python -m, but was imported. For its code: orthotune.commands.search"
    )
if __name__ == "__main__":
    sys.exit(main())
