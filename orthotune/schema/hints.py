"""Hints for refused names: what was probably meant, or which names there are."""

import difflib
from collections.abc import Iterable, Sequence

from orthotune.errors import quoted

MOST_NAMED = 3
LONGEST_LIST = 200
"""Characters of a list of all names; longer ones are shown by their sections."""

OTHER_NAMES = {
    "algorithm": ("search.searcher",),
    "amp": ("training.precision",),
    "architecture": ("model.family",),
    "batch": ("data.batch_size",),
    "dataset": ("data.name",),
    "epoch": ("training.num_epochs", "search.max_epochs"),
    "epochs": ("training.num_epochs", "search.max_epochs"),
    "gpu": ("resources.gpus",),
    "grace_period": ("search.grace_epochs",),
    "lambda": ("regularizer.coeff",),
    "layers": ("model.depth",),
    "learning_rate": ("optimizer.lr",),
    "max_concurrent_trials": ("search.max_concurrent",),
    "max_t": ("search.max_epochs",),
    "n_trials": ("search.num_trials",),
    "num_layers": ("model.depth",),
    "num_samples": ("search.num_trials",),
    "population_size": ("search.num_trials",),
    "pruner": ("search.scheduler",),
    "sampler": ("search.searcher",),
    "search_alg": ("search.searcher",),
    "timeout": ("search.time_budget_s",),
    "weight_decay": ("regularizer.coeff",),
    "wd": ("regularizer.coeff",),
}
"""What Ray Tune, Optuna, PyTorch and papers call some of our fields."""


def nearest(name: str, known: Sequence[str]) -> str:
    """The sentence that ends the refusal of an unknown name.

    A name is near another that is spelled alike, that is its last part, or that others
    use for it; what stands in a section of its own is compared with that section only.
    Where none is near, the names there are follow, or their sections if they are many.

    Args:
        name: The name refused.
        known: The names allowed: all with a section (`model.depth`), or all of one.

    Example:
        >>> nearest("model.dept", ["model.depth", "seed"])
        'Did you mean `model.depth`?'
        >>> nearest("search.stop_at", ["search.seed", "search.scheduler", "seed"])
        'Known in `search`: seed, scheduler.'
    """
    section = _meant_section(name, known)
    inside = [item.removeprefix(f"{section}.") for item in _inside(section, known)]
    close = _close(name, known, section) if name != section else []
    if name == section and len(inside) <= MOST_NAMED:
        close = _inside(section, known)
    if close:
        return f"Did you mean {' or '.join(map(quoted, close[:MOST_NAMED]))}?"
    if not known:
        return "There is none."
    if inside:
        return _listed_section(f"Known in {quoted(section)}", inside)
    return _listed("Known", known)


def _meant_section(name: str, known: Sequence[str]) -> str:
    """The section that a name is, or is in, or misspells; nothing if there is none."""
    if _inside(name, known):
        return name
    section = _section(name)
    parts = {item.rpartition(".")[0] for item in known} - {""}
    if "." in name:
        close = difflib.get_close_matches(name, parts, n=1, cutoff=0.85)
        if close and close[0].startswith(f"{section}."):
            return close[0]
    return section if _inside(section, known) else ""


def _inside(section: str, known: Sequence[str]) -> list[str]:
    """The names of a section and of those within it."""
    return [item for item in known if section and item.startswith(f"{section}.")]


def _close(name: str, known: Sequence[str], meant_section: str) -> list[str]:
    """Names near one, the nearest first.

    Args:
        name: The name.
        known: The names there are.
        meant_section: As `_meant_section` gives it.
    """
    lower, leaf, section = name.lower(), _leaf(name).lower(), _section(name)
    if lower in known:
        return [lower]
    usual = OTHER_NAMES.get(leaf, ())
    meant = [item for item in known if item in usual or item in map(_leaf, usual)]
    inside = [item for item in known if _section(item) == section]
    if meant:
        return [item for item in meant if section and item in inside] or meant
    if section and meant_section not in (section, ""):
        return []  # a section is meant
    same = [item for item in known if _leaf(item) == leaf]
    if same:
        return _of_section_like(section, same)
    if section and inside:
        return _alike(leaf, inside) or _sharing_a_word(leaf, inside)
    flat = sum("." in item for item in known) < len(known) / 2
    return (
        difflib.get_close_matches(name, known, n=1, cutoff=0.6 if "." in name else 0.7)
        or _beginning(name, known)
        or (_sharing_a_word(leaf, known) if flat else _alike(leaf, known))
    )


def _alike(leaf: str, known: Sequence[str]) -> list[str]:
    """Those whose last part is spelled alike; none has the same."""
    by_leaf: dict[str, list[str]] = {}
    for item in known:
        by_leaf.setdefault(_leaf(item), []).append(item)
    close = difflib.get_close_matches(leaf, by_leaf, n=1, cutoff=0.75)
    return by_leaf[close[0]] if close else []


def _beginning(name: str, known: Sequence[str]) -> list[str]:
    """Those that begin with a name, or with which it begins."""
    if len(name) < 3:
        return []
    return [item for item in known if item.startswith(name) or _begins(name, item)]


def _begins(name: str, item: str) -> bool:
    return len(item) >= 3 and name.startswith(item)


def _sharing_a_word(leaf: str, known: Sequence[str]) -> list[str]:
    """Those of which a word is one of a name's, or spelled alike."""
    words = _words(leaf)

    def is_shared(word: str) -> bool:
        return bool(difflib.get_close_matches(word, words, n=1, cutoff=0.8))

    return [item for item in known if any(map(is_shared, _words(_leaf(item))))]


def _words(leaf: str) -> list[str]:
    """Those that say what is meant."""
    words = leaf.replace("-", "_").split("_")
    return [word for word in words if len(word) > 3]


def _of_section_like(section: str, names: Sequence[str]) -> list[str]:
    """Those whose section is spelled alike, if there are such; else all.

    A value that changes in training is seldom what is meant.
    """
    sections = {_section(name) for name in names}
    close = difflib.get_close_matches(section, sections, n=1, cutoff=0.6)
    found = [name for name in names if not close or _section(name) == close[0]]
    settled = [name for name in found if not name.startswith("changes.")]
    return settled or found


def _listed_section(title: str, names: Sequence[str]) -> str:
    """The fields of a section; of sections within it only names, if they are many."""
    flat = [name for name in names if "." not in name]
    within = sorted({name.split(".")[0] for name in names} - set(flat))
    if len(", ".join(names)) <= LONGEST_LIST or not flat or not within:
        return _listed(title, names)
    known = [*flat, *(f"{name}.*" for name in within)]
    return _listed(title, known)


def _listed(title: str, names: Iterable[str]) -> str:
    names = list(names)
    text = ", ".join(names)
    if len(text) <= LONGEST_LIST:
        return f"{title}: {text}."
    sections = sorted({name.split(".")[0] for name in names if "." in name})
    if sections:
        return f"Known are the fields of {', '.join(sections)}."
    return f"There are {len(names)}, such as {', '.join(map(quoted, names[:2]))}."


def _leaf(name: str) -> str:
    return name.rpartition(".")[2]


def _section(name: str) -> str:
    return name.rpartition(".")[0]
