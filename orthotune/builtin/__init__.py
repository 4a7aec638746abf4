"""The ingredients that come with orthotune, registered as anybody's are.

What may enter: a decorated function that calls what does the work, and imports it only
then: a file is checked without torch. What may not: the work. Read `networks.py` first,
then `orthotune.schema.decorators`.
"""

from orthotune.builtin import (
    datasets,
    initializations,
    networks,
    optimizers,
    regularizers,
    schedules,
)

__all__ = [
    "datasets",
    "initializations",
    "networks",
    "optimizers",
    "regularizers",
    "schedules",
]
