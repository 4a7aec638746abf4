"""A footprint of a trial, as it is measured."""

from orthotune.training.footprint import Footprint


def footprint(gigabytes=1.0, busy=0.25, total=80.0):
    return Footprint(
        tensor_bytes=int(gigabytes * 1e9),
        context_bytes=500_000_000,
        total_bytes=int(total * 1e9),
        busy=busy,
    )
