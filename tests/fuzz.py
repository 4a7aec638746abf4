"""Read files that nobody would write: each is accepted, or refused in a sentence.

`python -m tests.fuzz --inputs 20000` changes the structure of the files of this
repository: values at the ends of their types, names that are none, sections of one file
in another, what is short made long and what is flat made deep; sometimes their letters.
Every input is read as its kind of file, an accepted one is described as a command
describes it before it starts. It fails if anything but a sentence comes of it, or it
takes a second of a core or 200 MB.
"""

import argparse
import copy
import functools
import multiprocessing
import random
import re
import resource
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import yaml

from orthotune.api import read_config
from orthotune.config.trial import FIELD_RULES, TrialConfig
from orthotune.design.ablation_file import read_ablation
from orthotune.design.overview import overview as overview_of_ablation
from orthotune.errors import OrthotuneError
from orthotune.schema.yaml_file import read_mapping
from orthotune.study.overview import overview as overview_of_search
from orthotune.study.study_file import read_study

HERE = Path(__file__).parent.parent
MAX_SECONDS = 1.0
MAX_BYTES = 200 * 2**20
MAX_MESSAGE = 400

NUMBERS = [
    *(0, 1, -1, 2, 7, 10**4, 10**6, 2**31, 2**53, 2**53 + 1, 2**63 - 1, 2**63, 2**64),
    *(10**100, 10**400, -(2**63), 0.0, -0.0, 5e-324, 2.2e-308, 1e-16, 0.1, 1.5, 1e16),
    *(1e300, 1.7e308, -1.7e308, 10**308, -(10**308), 10**309),
    *(float("inf"), float("-inf"), float("nan")),
]
OTHERS = [
    None,
    True,
    False,
    "",
    "auto",
    "x" * 2000,
    [],
    {},
    [[]],
    [0],
    {"a": 1},
    "1e-4",
]
SIZES = [2, 3, 9, 24, 300, 5000, 12_000]


def _read_search(path: str) -> None:
    overview_of_search(read_study(path))


def _read_ablation(path: str) -> None:
    ablation = read_ablation(path)
    overview_of_ablation(ablation)
    _ = ablation.study().num_runs


def _read_trial(path: str) -> None:
    read_config(path, {})


KINDS: dict[str, Callable[[str], None]] = {
    "search": _read_search,
    "ablation": _read_ablation,
    "trial": _read_trial,
}


@functools.cache
def originals() -> dict[str, list[dict]]:
    """What is changed, by kind of file."""
    found = {
        "search": sorted((HERE / "search_spaces").glob("*.yaml")),
        "ablation": sorted((HERE / "ablations").glob("*.yaml")),
    }
    read = {
        kind: [read_mapping(str(path)).data for path in paths]
        for kind, paths in found.items()
    }
    few = {"model.depth": 8, "changes.epochs": [1, 3], "changes.lr": [0.1, 0.01]}
    return {**read, "trial": [TrialConfig().to_dict(), few]}


def changed(seed: int, number: int) -> tuple[str, bytes]:
    """Kind and content of one file."""
    rng = random.Random(f"{seed}/{number}")
    known = originals()
    everything = [node for files in known.values() for node in files]
    kind = rng.choice(list(KINDS))
    data = copy.deepcopy(rng.choice(known[kind]))
    for _ in range(rng.choice([1, 1, 1, 2, 2, 3, 5, 8])):
        rng.choice(CHANGES)(rng, data, everything)
    flow = rng.choice([None, True])
    content = yaml.dump(data, Dumper=_Dumper, default_flow_style=flow).encode()
    if rng.random() < 0.1:
        content = _with_other_letters(rng, content)
    return kind, content


class _Dumper(getattr(yaml, "CSafeDumper", yaml.SafeDumper)):
    """Writes equal lists twice, where another would write an alias."""

    def ignore_aliases(self, data: object) -> bool:
        return True


def _places(node: object) -> Iterator[tuple[dict | list, object]]:
    """Every container below a node, with each of its keys or indices."""
    keys = node if isinstance(node, dict) else range(len(node))
    for key in list(keys):
        yield node, key
        if isinstance(node[key], (dict, list)):
            yield from _places(node[key])


def _place(rng: random.Random, data: dict) -> tuple[dict | list, object]:
    return rng.choice([*_places(data), *[(data, key) for key in data]] or [({0: 0}, 0)])


def _value(rng: random.Random) -> object:
    return copy.deepcopy(rng.choice(rng.choice([NUMBERS, OTHERS])))


def _set(rng: random.Random, data: dict, _all: list) -> None:
    node, key = _place(rng, data)
    node[key] = _value(rng)


def _delete(rng: random.Random, data: dict, _all: list) -> None:
    node, key = _place(rng, data)
    del node[key]


def _rename(rng: random.Random, data: dict, _all: list) -> None:
    node, key = _place(rng, data)
    if isinstance(node, dict):
        name = str(key)
        cut = rng.randrange(len(name) + 1)
        names = [name[:cut], name + name, name[:cut] + "_" + name[cut:], "k" * 3000]
        new = rng.choice([*names, *FIELD_RULES, "when", "space", "low", "better"])
        node[new] = node.pop(key)


def _transplant(rng: random.Random, data: dict, everything: list) -> None:
    source, key = _place(rng, rng.choice(everything))
    node, here = _place(rng, data)
    node[here] = copy.deepcopy(source[key])


def _swap(rng: random.Random, data: dict, _all: list) -> None:
    (a, x), (b, y) = _place(rng, data), _place(rng, data)
    a[x], b[y] = copy.deepcopy(b[y]), copy.deepcopy(a[x])


def _add_field(rng: random.Random, data: dict, _all: list) -> None:
    places = [node for node, _ in _places(data) if isinstance(node, dict)] or [data]
    name = rng.choice(list(FIELD_RULES))
    default = TrialConfig().to_dict()[name]
    parameter = {"type": rng.choice(["int", "float"]), "low": 1, "high": 2}
    rng.choice(places)[name] = rng.choice([default, _value(rng), parameter])


def _grow(rng: random.Random, data: dict, _all: list) -> None:
    """Many of what there is one of."""
    node, key = _place(rng, data)
    size, value = rng.choice(SIZES), node[key]
    grown = rng.choice(
        [
            lambda: list(range(size)),
            lambda: [value] * size,
            lambda: {f"k{number}": value for number in range(size)},
            lambda: {f"{key}": value for number in range(size)},
        ]
    )()
    short = size <= 24 or not isinstance(value, (dict, list))
    node[key] = grown if short else list(range(size))


def _deepen(rng: random.Random, data: dict, _all: list) -> None:
    node, key = _place(rng, data)
    for _ in range(rng.choice([1, 2, 15, 40])):
        node[key] = rng.choice([[node[key]], {"a": node[key]}])


def _factorial(rng: random.Random, data: dict, _all: list) -> None:
    """Factors that make more arms than anybody can train."""
    num_factors, num_levels = rng.choice(
        [(24, 2), (3, 40), (1, 3000), (10, 2), (60, 2)]
    )
    names = list(FIELD_RULES)
    data["design"] = rng.choice(["factorial", "leave_one_out", "add_one_in"])
    data["factors"] = {
        f"f{number}": {
            f"l{level}": {} if not level else {names[number % len(names)]: level}
            for level in range(num_levels)
        }
        for number in range(num_factors)
    }


def _bounds(rng: random.Random, data: dict, _all: list) -> None:
    """Bounds and steps at the ends of their types, several at once."""
    space = data.get("space")
    for entry in space.values() if isinstance(space, dict) else ():
        if isinstance(entry, dict) and rng.random() < 0.5:
            for key in rng.sample(["low", "high", "step", "log", "choices"], 3):
                entry[key] = _value(rng) if key == "log" else rng.choice(NUMBERS)


def _wait(rng: random.Random, data: dict, _all: list) -> None:
    """Parameters that wait for each other."""
    space = data.get("space")
    if isinstance(space, dict) and space:
        for name in rng.sample(list(space), rng.randint(1, len(space))):
            if isinstance(space[name], dict):
                other = rng.choice([*space, *FIELD_RULES])
                space[name]["when"] = {other: _value(rng)}


def _nest(rng: random.Random, data: dict, _all: list) -> None:
    """Dotted names as sections; sometimes both, or the other way round."""
    mappings = [data, *(n[k] for n, k in _places(data) if isinstance(n[k], dict))]
    node = rng.choice(mappings)
    for key in [key for key in node if "." in str(key)]:
        if rng.random() < 0.6:
            value = copy.deepcopy(node[key]) if rng.random() < 0.1 else node.pop(key)
            head, _, rest = str(key).partition(".")
            inside = node.setdefault(head, {})
            if isinstance(inside, dict):
                inside[rest] = value
    for key in [key for key in node if isinstance(node[key], dict)]:
        if rng.random() < 0.2:
            for name, value in node.pop(key).items():
                node[f"{key}.{name}"] = value


def _condition(rng: random.Random, data: dict, _all: list) -> None:
    """Conditions of several values and of bounds."""
    space = data.get("space")
    for entry in space.values() if isinstance(space, dict) else ():
        if isinstance(entry, dict) and rng.random() < 0.4:
            bounds = rng.sample(["low", "high", "middle"], rng.choice([1, 1, 2]))
            other, numbers = rng.choice([*space, *FIELD_RULES]), NUMBERS
            entry["when"] = {
                other: rng.choice(
                    [
                        {bound: rng.choice(numbers) for bound in bounds},
                        [_value(rng) for _ in range(rng.choice([0, 1, 3]))],
                        [rng.choice(numbers)] * rng.choice([1, 2, 5000]),
                        {"model": {"depth": {"low": rng.choice(numbers)}}},
                    ]
                )
            }


def _join(rng: random.Random, data: dict, _all: list) -> None:
    """Joint choices, of fields that the file has or has not."""
    space = data.setdefault("space", {})
    if not isinstance(space, dict):
        return
    default = TrialConfig().to_dict()
    names = rng.sample([*default], rng.choice([1, 2, 3]))
    rows = [
        {name: rng.choice([default[name], 8, 14, _value(rng)]) for name in names}
        for _ in range(rng.choice([1, 2, 3, 1200]))
    ]
    if rng.random() < 0.3:
        rows.append(rng.choice([{}, _value(rng), {"model": {"depth": 8}}]))
    space[rng.choice(["size", "a b", *names])] = {"type": "joint", "choices": rows}


PIECES = ["<=", "<", ">=", "==", "!=", "+", "-", "*", "/", "(", ")", "**", "and", "if"]
PIECES += ["1", "0", "1e308", "8000", "model.depth", "data.batch_size", "optimizer.lr"]
PIECES += ["x", "__import__('os')", "a[0]", "lambda:1", "[", "'", "'a'", "1e999", "#"]


def _constrain(rng: random.Random, data: dict, _all: list) -> None:
    """Constraints, some of which say something."""
    said = ["model.depth * data.batch_size <= 8000", "optimizer.lr < 0.05", "1 / 0 < 1"]
    said += ["optimizer.lr / (1 - optimizer.momentum) <= 0.1", "seed == 1"]
    data["constraints"] = [
        rng.choice(
            [
                rng.choice(said),
                rng.choice(said),
                " ".join(rng.choices(PIECES, k=rng.choice([1, 3, 5, 9, 60]))),
                rng.choice(["-", "(", "9", "model.depth+"]) * rng.choice([9, 90, 299]),
                rng.choice([_value(rng), 3]),
            ]
        )
        for _ in range(rng.choice([1, 1, 2, 30]))
    ]


def _search(rng: random.Random, data: dict, _all: list) -> None:
    """Another searcher or metric."""
    searcher = rng.choice(["grid", "grid", "qmc", "gp", "bohb"])
    section = data.setdefault("search", {})
    if isinstance(section, dict):
        section["searcher"] = searcher
        if rng.random() < 0.8:
            section.pop("num_trials", None)
    data.update(rng.choice([{}, {"metric": "val_accuracy", "mode": "max"}]))
    space = data.get("space")
    for entry in space.values() if isinstance(space, dict) else ():
        if isinstance(entry, dict) and "low" in entry and rng.random() < 0.7:
            entry.pop("log", None)
            entry["step"] = rng.choice([0.1, 1, 6, rng.choice(NUMBERS)])


CHANGES = [_set, _set, _set, _delete, _rename, _transplant, _swap, _add_field]
CHANGES += [_grow, _grow, _deepen, _factorial, _bounds, _bounds, _wait]
CHANGES += [_nest, _nest, _condition, _join, _constrain, _search]


def _with_other_letters(rng: random.Random, content: bytes) -> bytes:
    letters = bytearray(content)
    for _ in range(rng.choice([1, 1, 3, 20])):
        at = rng.randrange(len(letters) + 1)
        piece = rng.choice(
            [b"\n", b"\t", b":", b"- ", b"&a ", b"*a", b"!t ", b"'", b"{"]
        )
        letters[at : at + rng.choice([0, 0, 1, 5])] = rng.choice(
            [piece, bytes([rng.randrange(256)]), content[at : at + 200]]
        )
    return bytes(letters)


def trouble(kind: str, content: bytes, path: Path) -> str | None:
    """What is wrong with how a file was read; None if it was as it should."""
    path.write_bytes(content)
    try:
        KINDS[kind](str(path))
    except OrthotuneError as err:
        return _trouble_with(str(err), str(path))
    except (Exception, _TooSlow) as err:
        return f"{type(err).__name__}: {str(err)[:200]}"
    return None


def _trouble_with(message: str, path: str) -> str | None:
    said = message.replace(path, "FILE")
    if len(said) > MAX_MESSAGE:
        return f"a message of {len(said)} characters: {said[:200]}"
    if "\n" in said:
        return f"a message of several lines: {said[:200]}"
    if not re.fullmatch(r"(FILE:\d+: |`).*([.?]|python -m orthotune\.\w+)", said):
        return f"no sentence that says where: {said[:200]}"
    return None


class _TooSlow(BaseException):
    """Passes what catches errors."""


def _stop(*_: object) -> None:
    raise _TooSlow(f"more than {MAX_SECONDS:g} s of a core")


def _limited() -> None:
    """Hold this process to the memory that a file may take."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + MAX_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    signal.signal(signal.SIGPROF, _stop)


def _try(seed: int, number: int) -> tuple[int, str | None, float]:
    kind, content = changed(seed, number)
    with tempfile.TemporaryDirectory() as folder:
        start = time.process_time()
        signal.setitimer(signal.ITIMER_PROF, MAX_SECONDS)
        try:
            problem = trouble(kind, content, Path(folder, "file.yaml"))
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)
        return number, problem, time.process_time() - start


def main() -> int:
    """Read so many files; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz")
    parser.add_argument("--inputs", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, default=Path("fuzzed"))
    options = parser.parse_args()
    start, failed, slowest = time.monotonic(), 0, 0.0
    with multiprocessing.Pool(initializer=_limited) as pool:
        results = pool.imap(
            functools.partial(_try, options.seed), range(options.inputs), chunksize=20
        )
        for number, problem, seconds in results:
            slowest = max(slowest, seconds)
            if problem:
                failed += 1
                options.keep.mkdir(exist_ok=True)
                kind, content = changed(options.seed, number)
                file = options.keep / f"{kind}-{options.seed}-{number}.yaml"
                file.write_bytes(content)
                sys.stderr.write(f"{file}: {problem}\n")
            if number % 2000 == 1999:
                rate = (time.monotonic() - start) / number
                left = rate * (options.inputs - number)
                sys.stderr.write(f"{number + 1} files, {left:.0f} s left\n")
    print(f"{options.inputs} files, {failed} failed, the slowest took {slowest:.2f} s")
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
