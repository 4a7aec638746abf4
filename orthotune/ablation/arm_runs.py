"""The arms of an ablation in MLflow: a run for each, the parent of its seeds' runs."""

import statistics
from collections.abc import Mapping
from typing import Any

from orthotune.config.trial import TrialConfig
from orthotune.design.ablation import Arm, tuning_group
from orthotune.tracking.summary import Group
from orthotune.verdicts.findings import Findings


def arm_runs(findings: Findings) -> list[Group]:
    """The runs of the arms that have a result.

    Their metrics: the mean over seeds, by epoch, under the name of the metric itself,
    so that arms and cells stand in one column; `*_sd`, `*_low` and `*_high`, where
    there is an interval; `num_seeds`, `divergence_rate`; and `difference` to the
    reference with `difference_low`, `difference_high` and `corrected_p`.

    Where arms are tuned anew there are further runs for the arms so tuned, and for the
    trials that tuned each: `trials`, and the metric of the one that was chosen.

    Args:
        findings: What is shown.
    """
    again = _own_runs(findings.again) if findings.again is not None else []
    return [*_own_runs(findings), *_tuning_runs(findings), *again]


def _own_runs(findings: Findings) -> list[Group]:
    arms = {arm.name: arm for arm in findings.ablation.arms}
    metric, num_epochs = findings.ablation.metric, findings.ablation.num_epochs
    runs = []
    for name, replicates in findings.arms.items():
        if not replicates:
            continue
        curves = [item.curve(metric, num_epochs) for item in replicates]
        means = map(statistics.fmean, zip(*curves, strict=True))
        runs.append(
            Group(
                name=arms[name].group,
                params=_params(arms[name].fields),
                metrics=_of_arm(findings, name) | _of_difference(findings, name),
                curve=dict(enumerate(means, 1)),
                tags=_tags(arms[name]),
            )
        )
    return runs


def _tuning_runs(findings: Findings) -> list[Group]:
    retuning, metric = findings.retuning, findings.ablation.metric
    runs = []
    for arm in findings.ablation.arms if retuning is not None else ():
        best = retuning.best(arm.name) if retuning is not None else None
        if retuning is None or best is None or best.value is None:
            continue
        curve = {epoch: m[metric] for epoch, m in best.record.history.items()}
        runs.append(
            Group(
                name=tuning_group(arm),
                params=_params(arm.fields),  # a tag, not they, can change yet
                metrics={"trials": float(len(retuning.arms[arm.name]))},
                curve={**curve, best.record.epoch: best.value},
                tags=_tags(arm) | {"orthotune.chosen": best.words},
            )
        )
    return runs


def _tags(arm: Arm) -> dict[str, str]:
    block = {"orthotune.block": arm.block} if arm.block else {}
    return {"orthotune.arm": arm.name, **block}


def _params(fields: Mapping[str, Any]) -> dict[str, Any]:
    params = TrialConfig.from_dict(fields).in_effect()
    return {name: value for name, value in params.items() if name != "seed"}


def _of_arm(findings: Findings, name: str) -> dict[str, float]:
    summary, metric = findings.summaries[name], findings.ablation.metric
    if summary is None:
        return {}
    values = {
        "num_seeds": float(summary.n),
        "divergence_rate": summary.num_diverged / summary.n,
    }
    if summary.sd is not None:
        values[f"{metric}_sd"] = summary.sd
    if summary.interval is not None:
        values[f"{metric}_low"] = summary.interval.low
        values[f"{metric}_high"] = summary.interval.high
    return values


def _of_difference(findings: Findings, name: str) -> dict[str, float]:
    judged = next((j for j in findings.comparisons if j.claim.than == name), None)
    if judged is None or judged.difference is None:
        return {}
    values = {"difference": judged.difference.mean}
    if judged.difference.interval is not None:
        values["difference_low"] = judged.difference.interval.low
        values["difference_high"] = judged.difference.interval.high
    if judged.corrected_p is not None:
        values["corrected_p"] = judged.corrected_p
    return values
