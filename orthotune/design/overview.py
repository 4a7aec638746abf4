"""What an ablation will do, in a few words; nothing heavy is loaded for it."""

from orthotune.design.ablation import Ablation


def overview(ablation: Ablation) -> list[str]:
    """The first lines of an ablation's plan."""
    num_listed = len(ablation.all_arms) * len(ablation.seeds)
    return [
        f"question   {ablation.question}",
        f"ablation   {ablation.name} ({ablation.path}), {ablation.design}",
        f"compares   {ablation.metric}, {ablation.num_epochs} epochs a cell",
        f"cells      {num_listed}: {len(ablation.arms)} arms x "
        f"{len(ablation.seeds)} seeds{_blocks(ablation)}{_looks(ablation)}",
    ]


def _blocks(ablation: Ablation) -> str:
    names = ", ".join(block.name for block in ablation.blocks)
    return f" x {len(ablation.blocks)} blocks ({names})" if names else ""


def _looks(ablation: Ablation) -> str:
    *before, last = ablation.looks
    if not before:
        return ""
    shown = ", ".join(map(str, before))
    return f" at most; undecided claims get more after {shown} seeds, up to {last}"
