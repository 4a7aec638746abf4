"""The report of a search in Markdown."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from orthotune.figures.drawing import MOST_LINES
from orthotune.figures.learning_curves import compared_at
from orthotune.record.provenance import commits_text, versions
from orthotune.record.study_definition import Study
from orthotune.report.audit import audit_part
from orthotune.report.findings import SearchFindings
from orthotune.report.front import front_part
from orthotune.report.importance import AGREEING, EVERY, FEWEST, Importance
from orthotune.report.remarks import remarks
from orthotune.report.slice_text import slices_part, surface_part
from orthotune.report.status_counts import counts_text, divergence_rate
from orthotune.schema.fields import leaves
from orthotune.space.conditions import condition_text
from orthotune.text import counted, duration, markdown_table

BUDGET = (
    "Every mark is a trial at its end: across, the training epochs that all trials had "
    "spent by then, in the order in which they were reported; upward, its last "
    "`{metric}`. Those that diverged or ran out of memory stand at the upper edge. The "
    "line is the lowest so far of the {compared} with the longest budget, which alone "
    "can be compared. Where values lie far apart, equal ratios have equal heights."
)
CURVES = (
    "`{metric}` after every epoch, a line for each trial, which ends where the trial "
    "did; that of the lowest is the thickest. {rungs}"
)
RUNGS = (
    "At the dotted lines, the rungs, the scheduler compares the trials that have come "
    "so far and stops the worse ones."
)
COPYING = (
    "At the dotted lines the worst members of the population go on from copies of the "
    "best ones; the lowest is the population's, before any confirmation."
)
NO_RUNGS = "No trial is stopped for being worse."
PARALLEL = (
    "Every line is a trial. Those of equal budget have the colour of their rank by "
    "`{metric}`, from the best to the worst, whose values stand beside the colours; "
    "the first is the thickest where they do not answer; the others (stopped early, "
    "diverged, ...) are grey. A line at *unset* belongs to a trial in which the "
    "parameter is not in effect."
)
MEMBERS = (
    " The settings are those that a member ended with, and the first is that of the "
    "population, before its confirmation."
)
METHODS = (
    "Shares of what `{metric}` depends on, by two methods. All trials of a group are "
    "compared by their `{metric}` at one and the same epoch, the deepest that at least "
    f"{FEWEST} of them have reached; what went on from there is compared by its value "
    "there, too, and what was stopped before is left out. So are trials that diverged: "
    "this speaks only of the part of the space that trains. *fANOVA* "
    "asks how much of the variance a parameter explains by itself, from best to worst; "
    "*PED-ANOVA* how its values among the best quarter differ from those among all: "
    "what it takes to be good. The shares of each add up to 1. A searcher's trials lie "
    "closer where it found good ones, and both methods see that part best. They are "
    "said to agree if both name the same parameter first and the ranks' correlation "
    f"(Spearman) is at least {AGREEING:g}."
)
EARLY = (
    "An epoch before the last is a value on the way: schedules, the learning rate's "
    "among them, span the full budget of {epochs} epochs, so that only their beginning "
    "has been run by then, and early values favour what learns fast. What matters in "
    "the end can be something else."
)
CONDITIONAL = (
    "Parameters that are not in effect in all trials (under a condition, or of an "
    "ingredient that is off in some) are compared among the trials in which they are, "
    "together with the others that vary there."
)
CHOICES = (
    "What the trials with each choice came to, the best of those that ran the longest "
    "budget. A searcher gives good choices more trials and better company, each trial "
    "has one seed, and nothing is tested: this shows where to look. A verdict is what "
    "`python -m orthotune.ablate` is for."
)
POPULATION = (
    "Importances are not given: in a population settings change in the course of "
    "training and members go on from copies of each other, so that a trial's end is "
    "not due to the values that it ended with."
)
SCHEDULES = (
    "The settings of the best trials in the course of their training, schedules and "
    "changes included, as every update is given them. An ingredient that is off has no "
    "curve."
)
LUCK = (
    "Trials of a search have one seed each, so that the first of many owes some of its "
    "value to luck, and nothing here was confirmed to be best: "
    "`python -m orthotune confirm {name}` trains the first ones again with fresh seeds."
)
FRONT_LUCK = (
    "Trials of a search have one seed each, so that a front owes some of its shape to "
    "luck: believe the means of members that were trained again with fresh seeds, by "
    "`search.confirm` or `python -m orthotune confirm {name}`."
)
CONFIRMED = (
    "Trials of a search have one seed each, so that the first of many owes some of its "
    "value to luck: only the means from scratch with fresh seeds, the same for all, "
    "rank them. What was worse than the leader beyond doubt (paired tests, one-sided, "
    "for all candidates and looks together at 5 %) left the race."
)


def markdown(
    findings: SearchFindings,
    figures: Mapping[str, Path],
    commits: Sequence[str],
    command: str,
) -> str:
    """The report.

    Args:
        findings: What it says.
        figures: Those that were drawn, by their names in `figures`.
        commits: Of the code of all sessions.
        command: What the user typed.
    """
    parts = [
        *_head(findings),
        *front_part(
            findings.study,
            findings.records,
            _figure("The front and the hypervolume", figures.get("front")),
        ),
        "## Lowest so far against budget",
        *_figure("The lowest so far against epochs spent", figures.get("budget")),
        BUDGET.format(
            metric=findings.study.settings.metric,
            compared=counted(len(findings.compared), "trial"),
        ),
        "## Learning curves",
        *_figure("Learning curves of the trials", figures.get("curves")),
        _curves_text(findings),
        "## Trials over the space",
        *_figure("Parallel coordinates of the trials", figures.get("parallel")),
        _parallel_text(findings),
        *slices_part(figures.get("slices"), findings),
        *_choice_part(findings),
        "## What matters",
        *_importance_part(findings, figures.get("importance")),
        *surface_part(figures.get("contour"), findings),
        *_schedule_part(figures.get("schedules")),
        *audit_part(findings.study, findings.records),
        *_run_part(findings, commits, command),
    ]
    return "\n\n".join(parts) + "\n"


def _choice_part(findings: SearchFindings) -> list[str]:
    if not findings.choices[1:]:
        return []
    return ["## Choice by choice", CHOICES, markdown_table(findings.choices)]


def short_note(findings: SearchFindings) -> str:
    """What MLflow shows of the report, which may be longer than it takes."""
    whole = "The whole report is the artifact `report.html`."
    return "\n\n".join([*_head(findings), whole])


def _head(findings: SearchFindings) -> list[str]:
    settings, ranking = findings.study.settings, findings.ranking
    rate = divergence_rate(findings.records)
    diverged = f", {rate:.0%} of those that have ended diverged" if rate else ""
    trials = counted(len(findings.records), "trial")
    found = f"**{ranking.title}**: {ranking.why}"
    found = " ".join([found if ranking.best else _nothing(findings), *ranking.race])
    said = [f"- {remark}" for remark in remarks(findings)]
    shown = ranking.rows[1:] and not ranking.is_front  # which has a part of its own
    return [
        f"# {settings.name}: the smallest {' and '.join(settings.objectives)}",
        found,
        f"{trials} ({counts_text(findings.records)}){diverged}.",
        *([markdown_table(ranking.rows)] if shown else []),
        *(["## Remarks", "\n".join(said)] if said else []),
    ]


def _nothing(findings: SearchFindings) -> str:
    if findings.study.settings.search.is_population:
        return "No schedule of the population has been confirmed from scratch yet."
    return "No trial gave a result that can be compared."


def _figure(caption: str, path: Path | None) -> list[str]:
    return [f"![{caption}]({path.name})"] if path is not None else []


def _curves_text(findings: SearchFindings) -> str:
    settings = findings.study.settings
    rungs = RUNGS if compared_at(settings.search) else NO_RUNGS
    rungs = COPYING if settings.search.is_population else rungs
    text = CURVES.format(metric=settings.metric, rungs=rungs)
    return text + _thinned(findings)


def _parallel_text(findings: SearchFindings) -> str:
    text = PARALLEL.format(metric=findings.study.settings.metric)
    if findings.study.settings.search.is_population:
        text += MEMBERS
    return text + _thinned(findings)


def _thinned(findings: SearchFindings) -> str:
    """Which of very many lines a figure has."""
    kinds = {
        "of equal budget, evenly by rank": len(findings.compared),
        "others, evenly by number": len(findings.others),
    }
    return "".join(
        f" Of {count:,} trials {words}, {MOST_LINES} are drawn."
        for words, count in kinds.items()
        if count > MOST_LINES
    )


def _importance_part(findings: SearchFindings, figure: Path | None) -> list[str]:
    if findings.study.settings.search.is_population:
        return [POPULATION]
    settings, found = findings.study.settings, findings.importances
    parts, epochs = [METHODS.format(metric=settings.metric)], settings.search.max_epochs
    if any(one.fanova and one.epoch != epochs for one in found):
        parts.append(EARLY.format(epochs=epochs))
    if any(one.group != EVERY for one in found):
        parts.append(CONDITIONAL)
    for one in findings.importances:
        parts += _one_importance(findings, one)
    return [*parts, *_figure("Importances by two methods", figure)]


def _one_importance(findings: SearchFindings, one: Importance) -> list[str]:
    title = f"**{one.group[0].upper()}{one.group[1:]}**"
    if not one.fanova:
        return [f"{title}: no importances, because {one.reason}"]
    rows = [
        [name, f"{share:.2f}", f"{one.ped_anova[name]:.2f}"]
        for name, share in one.fanova.items()
    ]
    search = findings.study.settings.search
    said = [
        f"{title}: {counted(one.num_trials, 'trial')} at epoch {one.epoch} of "
        f"{search.max_epochs}."
    ]
    if one.num_used < one.num_trials:
        sample = f"{one.num_used} of them (seed {search.seed})"
        said.append(f"A random sample of {sample} stands for all.")
    if one.constant:
        names = ", ".join(f"`{name}`" for name in one.constant)
        said.append(f"Without {names}: of a single value here.")
    said.append(_agreement(one))
    header = ["parameter", "fANOVA", "PED-ANOVA"]
    return [" ".join(said), markdown_table([header, *rows])]


def _agreement(one: Importance) -> str:
    ours, theirs = next(iter(one.fanova)), next(iter(one.ped_anova))
    correlation = one.correlation
    ranks = "" if correlation is None else f" (rank correlation {correlation:.2f})"
    if one.agree:
        return f"The methods agree: both name `{ours}` first{ranks}."
    if ours == theirs:
        named = f"both name `{ours}` first, but rank the others differently"
    else:
        named = f"fANOVA names `{ours}` first, PED-ANOVA `{theirs}`"
    return (
        f"**The methods disagree**: {named}{ranks}. What decides how bad a trial can "
        "be is not what makes a good one, or the trials are too few to tell."
    )


def _schedule_part(figure: Path | None) -> list[str]:
    shown = _figure("Schedules of the best trials", figure)
    return ["## Schedules of the best", *shown, SCHEDULES] if shown else []


def _run_part(
    findings: SearchFindings, commits: Sequence[str], command: str
) -> list[str]:
    study = findings.study
    space = [
        [p.name, p.describe(), condition_text(p.when)] for p in study.space.parameters
    ]
    fixed = [f"`{name}` = {value}" for name, value in study.space.fixed.items()]
    search = [
        [f"search.{name}", str(value)] for name, value in leaves(study.settings.search)
    ]
    epochs, time_s = _trained(findings)
    packages = ("orthotune", "torch", "ray", "optuna", "scikit-learn")
    return [
        "## How it was run",
        _luck(findings),
        markdown_table([["parameter", "values", "when"], *space]),
        *_constraint_part(study),
        *_start_part(study),
        f"Fixed: {', '.join(fixed) or 'nothing, all else has its default'}.",
        markdown_table([["setting", "value"], *search]),
        f"{counted(epochs, 'epoch')} of training, {duration(time_s)} of it; "
        f"{versions(*packages)}, code at {commits_text(commits)}. Every epoch of "
        "every trial is in `trials.jsonl` beside this file. The same command continues "
        "the study or shows it, with another `--name` it runs anew: "
        f"`{command or f'python -m orthotune.search {study.path}'}`",
    ]


def _luck(findings: SearchFindings) -> str:
    settings = findings.study.settings
    if findings.ranking.is_front:
        return FRONT_LUCK.format(name=settings.name)
    if findings.ranking.confirmed or settings.search.is_population:
        return CONFIRMED
    return LUCK.format(name=settings.name)


def _constraint_part(study: Study) -> list[str]:
    texts = [f"`{one.text}`" for one in study.space.constraints]
    return [f"Every trial meets {' and '.join(texts)}."] if texts else []


def _start_part(study: Study) -> list[str]:
    said = "From earlier studies, when it began:"
    lines = [f"- {line}" for line in study.start_lines]
    return ["\n".join([said, "", *lines])] if lines else []


def _trained(findings: SearchFindings) -> tuple[int, float]:
    """Epochs and seconds of training of all trials together."""
    times = [
        metrics["epoch_time_s"]
        for record in findings.records
        for metrics in (*record.history.values(), *(record.audit or {}).values())
    ]
    return len(times), sum(times)
