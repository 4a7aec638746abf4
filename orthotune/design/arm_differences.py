"""The arms of an ablation in words: the reference, and how the others differ."""

from orthotune.design.ablation import Ablation


def arm_lines(ablation: Ablation) -> list[str]:
    """The fields of the reference, and of every other arm what differs from it."""
    reference = ablation.reference
    lines = [reference.name]
    lines += [f"  {name} = {value}" for name, value in reference.fields.items()]
    for arm in ablation.arms[1:]:
        differing = [
            f"{name} = {value}"
            for name, value in arm.fields.items()
            if reference.fields.get(name) != value
        ]
        lines.append(f"{arm.name}: {', '.join(differing) or 'nothing differs'}")
    for block in ablation.blocks:
        own = ", ".join(f"{name} = {value}" for name, value in block.fields.items())
        lines.append(f"block {block.name}, in every arm: {own}")
    return lines
