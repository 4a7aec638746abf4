"""python -m orthotune.ablate: the code is `orthotune.commands.ablate`.

It cannot be imported: this module would take the place of `orthotune.ablate`, the
function.
"""

import sys

from orthotune.commands.ablate import main

if __name__ == "orthotune.ablate":
    raise ImportError(
        "orthotune.ablate must be called as a function (import orthotune), or run with "
        "python -m, but was imported. For its code: orthotune.commands.ablate"
    )
if __name__ == "__main__":
    sys.exit(main())
