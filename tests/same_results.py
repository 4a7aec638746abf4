"""Show that a refactor changes no result: what was before it is recorded and compared.

On the commit before, and then on the commit after, on the same machine:

    python -m tests.same_results record FOLDER
    python -m tests.same_results compare FOLDER

Under fixed seeds a refactor must give the same metrics, to the bit, the same record,
files, runs in MLflow and messages. `record` trains small configurations, asks for help,
plans and refusals, and runs a search and an ablation with one trial at a time. It also
leaves studies that are begun and not finished: a search that Ctrl-C has ended, an
ablation that was killed, a population that Ctrl-C has ended. `compare` does all of it
again, and continues copies of what is begun: search and ablation must come to what the
uninterrupted ones had come to. It prints a line for each thing compared, and exits with
1 if any differs; `diff -r FOLDER/recorded FOLDER/compared` shows all of it.

A population cannot be compared with another one: Ray draws who copies whom from
Python's global generator, which other threads use too, so that no seed repeats it
(tried: three runs of one seed, three histories). Of the continued one it is compared
that it keeps the record it had, that it ends as it should, and that what every member
lived through gives that member's last metrics when it is trained anew.

Nothing of `orthotune` is imported but what trains a configuration; the rest are
commands, and the files they leave.
"""

import argparse
import hashlib
import itertools
import json
import os
import re
import shutil
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import yaml

from orthotune.config.trial import TrialConfig
from orthotune.training.loop import Trial
from tests.bad_input import BAD
from tests.crashes import command, ended, kill_session, read_trials, study_in
from tests.same_files import Parts, left, messages, record, without_sessions
from tests.same_studies import BEGUN, CONFIGURATIONS, STUDIES
from tests.small import TIMINGS

ROOT = Path(__file__).parents[1]
MOST_SHOWN = 4
BEFORE, WIDTH = 60, 160
"""Characters that are shown of a line that differs: before that, and in all."""


def main() -> int:
    """Record or compare; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.same_results")
    parser.add_argument("what", choices=("record", "compare"))
    parser.add_argument("folder", type=Path)
    options = parser.parse_args()
    # The code beside this file, whatever is installed; and lines of one width.
    os.environ |= {"PYTHONPATH": str(ROOT), "COLUMNS": "80"}
    os.environ.setdefault("RAY_worker_niceness", "0")
    folder = options.folder.resolve()
    return {"record": record_all, "compare": compare_all}[options.what](folder)


def record_all(folder: Path) -> int:
    """Leave in a folder, which must not exist, what is to be compared with."""
    folder.mkdir(parents=True)
    for name, parts in _fresh(folder / "work"):
        _write(folder / "recorded" / name, parts)
        print(f"recorded  {name}: {_counted(parts)}", flush=True)
    for name in BEGUN:
        print(f"begun     {_begin(name, folder)}", flush=True)
    name, parts = "population", _continued("population", folder)
    _write(folder / "recorded" / name, parts)
    print(f"recorded  {name}: {_counted(parts)}", flush=True)
    return 0


def compare_all(folder: Path) -> int:
    """Do again what was recorded in a folder, and say what differs; the exit code."""
    shutil.rmtree(folder / "compared", ignore_errors=True)
    same = True
    for name, parts in _fresh(folder / "work"):
        recorded = _read(folder / "recorded" / name)
        same &= _same(name, recorded, parts, folder / "compared" / name)
    for name in BEGUN:
        recorded = _read(folder / "recorded" / name)
        if name != "population":
            recorded = without_sessions(recorded)
        parts, title = _continued(name, folder), f"{name}, continued"
        same &= _same(title, recorded, parts, folder / "compared" / title)
    return 0 if same else 1


def _same(name: str, recorded: Parts, parts: Parts, place: Path) -> bool:
    """Print whether a thing is what it was, or the first line in which it is not."""
    _write(place, parts)
    for part in recorded | parts:
        were, are = recorded.get(part, []), parts.get(part, [])
        if were != are:
            break
    else:
        print(f"same       {name}: {_counted(parts)}", flush=True)
        return True
    at = _unlike(were, are)
    was, now = ("".join(lines[at : at + 1]) for lines in (were, are))
    begin = max(0, _unlike(was, now) - BEFORE)
    print(f"DIFFERENT  {name}: {part}, {at + 1} of {len(were)} (now {len(are)})")
    print(f"           was {was[begin : begin + WIDTH]}")
    print(f"           is  {now[begin : begin + WIDTH]}", flush=True)
    return False


def _unlike(ours: list[str] | str, theirs: list[str] | str) -> int:
    """Where two lists, or lines, begin to differ."""
    both = enumerate(itertools.zip_longest(ours, theirs))
    return next((number for number, (one, other) in both if one != other), 0)


def _fresh(work: Path) -> Iterator[tuple[str, Parts]]:
    """All that can be done anew and compared, one thing after the other."""
    yield "configurations", {name: trained(c) for name, c in CONFIGURATIONS.items()}
    yield "texts", texts(work)
    for name in ("search", "ablation"):
        _make(work)
        said = _ended(name, work)
        yield name, {"messages": said, **left(work, name)}
        asked = (STUDIES[name].module, f"{name}.yaml")
        for more in ("--report", "--set=data.num_train=128"):
            yield f"{name} {more}", {"messages": _said(work, *asked, more)}


def trained(fields: dict) -> list[str]:
    """A line for every epoch of a configuration, and one for its weights."""
    trial, lines = Trial(TrialConfig.from_dict(fields)), []
    while not trial.finished:
        metrics = trial.run_epoch()
        kept = {n: v.hex() for n, v in metrics.items() if n not in TIMINGS}
        lines.append(json.dumps(kept))
    digest = hashlib.sha256()
    for name, tensor in trial.model.state_dict().items():
        digest.update(name.encode() + tensor.contiguous().numpy().tobytes())
    return [*lines, json.dumps(trial.profile()), f"weights {digest.hexdigest()}"]


def texts(work: Path) -> Parts:
    """What the commands say before they start anything, and what one configuration."""
    _make(work)
    found = {}
    for module in ("search", "ablate", "train", "pack"):
        found[f"help of {module}"] = _said(work, module, "--help")
    for name, study in STUDIES.items():
        plan = _said(work, study.module, f"{name}.yaml", "--plan")
        found[f"plan of {name}"] = plan
    for kind, (text, arguments) in BAD.items():
        (work / "bad.yaml").write_text(text)
        found[f"refusal: {kind}"] = _said(work, "search", "bad.yaml", *arguments)
    (work / "one.yaml").write_text(yaml.safe_dump(CONFIGURATIONS["schedule"]))
    by_time = (*TIMINGS, "epoch ")
    lines = _said(work, "train", "one.yaml")
    found["train"] = [line for line in lines if not line.startswith(by_time)]
    return found


def _said(work: Path, module: str, *arguments: str) -> list[str]:
    process = command(work, *arguments, module=f"orthotune.{module}")
    said = messages(*ended(process))
    return [*said, f"exit code {process.returncode}"]


def _start(name: str, work: Path):
    return command(work, f"{name}.yaml", module=f"orthotune.{STUDIES[name].module}")


def _ended(name: str, work: Path) -> list[str]:
    """What the command says that runs a study to its end."""
    process = _start(name, work)
    out, err = ended(process)
    known = next(record(study_in(work, name) / "record.jsonl"))["id"]
    return [*messages(out, err, known), f"exit code {process.returncode}"]


def _make(work: Path) -> None:
    """An empty folder with the studies' files; its path is the same every time."""
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir()
    for name, study in STUDIES.items():
        (work / f"{name}.yaml").write_text(study.text)


def _begin(name: str, folder: Path) -> str:
    """Leave a study that is begun; how far it has come, in words."""
    work, (kind, count, end) = folder / "work", BEGUN[name]
    _make(work)
    process, path = _start(name, work), study_in(work, name) / "record.jsonl"
    while process.poll() is None and _events(path).count(kind) < count:
        time.sleep(0.01)
    if end == signal.SIGKILL:
        kill_session(process.pid)
    else:
        os.kill(process.pid, end)
    ended(process)
    kill_session(process.pid)
    assert process.returncode != 0, f"{name} had ended before it was interrupted"
    (folder / "begun").mkdir(exist_ok=True)
    work.rename(folder / "begun" / name)
    events = _events(folder / "begun" / name / "studies" / name / "record.jsonl")
    shown = ", ".join(f"{events.count(k)} {k}" for k in dict.fromkeys(events))
    return f"{name}: {shown}"


def _events(path: Path) -> list[str]:
    """The kinds of the events there are so far."""
    text = path.read_text() if path.exists() else ""
    return re.findall(r'^{"event":"(\w+)"', text, re.MULTILINE)


def _continued(name: str, folder: Path) -> Parts:
    """What a study comes to that was begun, by the same command."""
    work = folder / "work"
    shutil.rmtree(work, ignore_errors=True)
    shutil.copytree(folder / "begun" / name, work, symlinks=True)
    before = (study_in(work, name) / "record.jsonl").read_bytes()
    said = _ended(name, work)
    if name == "population":
        return _members(work, before, said)
    return {"messages": said, **without_sessions(left(work, name))}


def _members(work: Path, before: bytes, said: list[str]) -> Parts:
    """Of a continued population what must be so, however its members were drawn."""
    study = study_in(work, "population")
    kept = (study / "record.jsonl").read_bytes().startswith(before)
    lines = [f"keeps the record it had: {kept}", said[-1]]
    runs = left(work, "population")["lines of MLflow runs"]
    lines += [line for line in runs if line.endswith("/artifacts")]
    for trial in read_trials(study / "trials.jsonl"):
        last = trial["history"][str(len(trial["history"]))]
        fields = {**trial["fields"], **trial["lived"]}
        again = json.loads(trained(fields)[len(trial["history"]) - 1])
        equal = again == {name: last[name].hex() for name in again}
        lines.append(f"trial {trial['number']} {trial['status']}, repeats: {equal}")
    return {"statements": lines}


def _write(place: Path, parts: Parts) -> None:
    place.mkdir(parents=True)
    (place / "parts.json").write_text(json.dumps(parts, indent=1))


def _read(place: Path) -> Parts:
    return json.loads((place / "parts.json").read_text())


def _counted(parts: Parts) -> str:
    """How many lines there are of what."""
    counts = {part: len(lines) for part, lines in parts.items()}
    shown = [f"{count} {part}" for part, count in counts.items()]
    if len(shown) > MOST_SHOWN:
        others = list(counts.values())[MOST_SHOWN:]
        shown[MOST_SHOWN:] = [f"{sum(others)} lines of {len(others)} others"]
    return ", ".join(shown)


if __name__ == "__main__":
    sys.exit(main())
