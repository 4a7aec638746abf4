"""The initial weights that come with orthotune."""

from typing import TYPE_CHECKING

from orthotune.schema.decorators import initialization

if TYPE_CHECKING:
    from torch import Generator, Tensor


@initialization("orthonormal")
def orthonormal(weight: "Tensor", generator: "Generator") -> None:
    """Orthonormal filters, group by group in a wide layer."""
    from orthotune.nn.initialization import orthonormal_

    orthonormal_(weight, generator)


@initialization("he")
def he(weight: "Tensor", generator: "Generator") -> None:
    """The Gaussian of He et al., backward form."""
    from orthotune.nn.initialization import he_

    he_(weight, generator)
