"""The kinds of ingredients that can be registered."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Kind:
    """A kind of ingredient.

    Args:
        name: What it is called.
        section: The section that it belongs to; that of a schedule is any schedule.
        choice: The field of the section that names one.
        gets: What a function is given after its settings.
        words: What the field may hold beside names.
    """

    name: str
    section: str
    choice: str
    gets: tuple[str, ...]
    words: tuple[str, ...] = ()


KINDS = {
    kind.name: kind
    for kind in (
        Kind(name="network", section="model", choice="family", gets=("shape",)),
        Kind(name="dataset", section="data", choice="name", gets=("place",)),
        Kind(
            name="regularizer",
            section="regularizer",
            choice="kind",
            gets=("model",),
            words=("none",),
        ),
        Kind(
            name="initialization",
            section="init",
            choice="scheme",
            gets=("weight", "generator"),
            words=("as_built",),
        ),
        Kind(
            name="optimizer",
            section="optimizer",
            choice="kind",
            gets=("parameters", "lr"),
        ),
        Kind(name="schedule", section="schedule", choice="kind", gets=("progress",)),
    )
}
