"""GPUs for processes that have none: torch says that there are some, and what trials
take of them is made up. Trials then train on the CPU.
"""

from pathlib import Path

from tests import import_hook

SITE = """\
NAME, COUNT = "Fake GPU", {count}


def change_torch(torch):
    torch.cuda.device_count = lambda: COUNT
    torch.cuda.get_device_name = lambda _number=None: NAME


def change_footprint(footprint):
    def measure(fields, wait_s=0.0):
        sizes = {{"tensor_bytes": 10**9, "context_bytes": 0, "total_bytes": 10**11}}
        busy = 0.25 if fields["model.depth"] == 8 else 0.5
        return footprint.Footprint(**sizes, busy=busy)

    measure.__module__ = footprint.__name__
    measure.__qualname__ = "measure"
    footprint.measure = measure


def change_trainable(trainable):
    trainable.OrthoTrainable._device = lambda self: "cpu"


CHANGES = {{
    "orthotune.tune.trainable": change_trainable,
    "torch": change_torch,
    "orthotune.training.footprint": change_footprint,
}}
"""


def python_path(folder: Path, count: int) -> str:
    """A value of PYTHONPATH under which torch sees so many GPUs.

    Args:
        folder: Where the module goes that does it.
        count: How many.
    """
    return import_hook.python_path(folder, SITE.format(count=count))
