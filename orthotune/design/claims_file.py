"""The claims of an ablation as its file says them: what is better, or the same."""

from collections.abc import Sequence

from orthotune.design.ablation import Arm, Claim
from orthotune.errors import AblationError
from orthotune.schema.hints import nearest
from orthotune.schema.rules import Rule, show
from orthotune.space.file_reader import FileReader

BETTER, SAME = ("better", "than", "by"), ("same", "as")
"""The keys of either kind of claim."""

MAX_CLAIMS = 1000
EFFECT = Rule(kind=float, low=0, high=1e6)
"""Of differences that are of interest."""


class ClaimsReader(FileReader):
    """Reads the section `claims`."""

    error = AblationError

    def read(
        self, reference: str, arms: Sequence[Arm], smallest_effect: float
    ) -> tuple[Claim, ...]:
        """The claims; by default that the reference is better than the others.

        Args:
            reference: `full` or `baseline`.
            arms: The arms, the reference first.
            smallest_effect: That of the file.

        Raises:
            AblationError: If one is none, or they are too many.
        """
        entries = self._given("claims", None)
        if entries is None:
            return tuple(_default_claims(reference, arms))
        if not isinstance(entries, list) or not entries:
            raise self._error(
                ("claims",),
                "must be a list such as [{better: full, than: modulation=off}], but "
                f"got {show(entries)}.",
            )
        if len(entries) > MAX_CLAIMS:
            raise self._error(
                ("claims",),
                f"must be at most {MAX_CLAIMS}, but are {len(entries)}: p-values are "
                "corrected for their number.",
            )
        names = [arm.name for arm in arms]
        claims = [self._claim(entry, names) for entry in entries]
        if any(claim.same for claim in claims) and not smallest_effect:
            raise self._error(
                ("claims",),
                "must hold `same` only beside a `smallest_effect` above 0, but it is "
                "0. Say which difference is the smallest that matters.",
            )
        if len(set(claims)) < len(claims):
            raise self._error(("claims",), "must not repeat a claim. Delete one.")
        return tuple(claims)

    def _claim(self, entry: object, names: list[str]) -> Claim:
        keys = ("claims",)
        claim = self._mapping(keys, entry)
        allowed = SAME if "same" in claim or "as" in claim else BETTER
        self._check_keys(keys, claim, allowed)
        first, second, *_ = allowed
        for key in (first, second):
            if claim.get(key) not in names:
                hint = nearest(str(claim.get(key)), names)
                raise self._error(
                    keys,
                    f"must name an arm as `{key}`, but got {show(claim.get(key))}. "
                    f"{hint}",
                )
        if claim[first] == claim[second]:
            raise self._error(
                keys,
                f"must compare two arms, but got {show(claim[first])} twice.",
            )
        self._check_rule(EFFECT, "by", keys, claim.get("by", 0.0))
        return Claim(
            better=claim[first],
            than=claim[second],
            by=float(claim.get("by", 0.0)),
            same=allowed is SAME,
        )


def _default_claims(reference: str, arms: Sequence[Arm]) -> list[Claim]:
    """That `full` is better than the arms without, or `baseline` worse than others."""
    first = arms[0].name
    others = [arm.name for arm in arms[1:]]
    if reference == "baseline":
        return [Claim(better=name, than=first) for name in others]
    return [Claim(better=first, than=name) for name in others]
