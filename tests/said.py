"""What a command has said on standard error, sorted."""

import re

ANNOUNCED = re.compile(
    r"orthotune: (this will run|reading data .*|starting Ray .*|connecting to Ray .*)"
    r"|(study|minimizes|trials|rungs|population|confirmed|searched|audit) +.*"
    r"|(question|ablation|compares|cells) +.*"
)


def refusal(err: str) -> str:
    """The one sentence that a command has ended with, after saying what it would do."""
    lines = err.splitlines()
    (sentence,) = [line for line in lines if not ANNOUNCED.fullmatch(line)]
    assert sentence == lines[-1]
    return sentence
