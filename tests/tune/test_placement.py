from orthotune.cluster.gpu_sharing import GpuShares
from orthotune.config.trial import TrialConfig
from orthotune.training.footprint import shape_of
from orthotune.tune.assignment import STUDY
from orthotune.tune.placement import placements
from tests.cluster.footprints import footprint


def test_each_trial_is_placed_by_the_share_it_was_assigned():
    shape = shape_of(TrialConfig())
    shares = GpuShares(default=1.0, measured={"H100": {shape: footprint()}})
    place = placements(2, shares)
    for gpus in (0.25, 1.0):
        found = place({STUDY: {"gpus": gpus}})
        assert found.required_resources == {"CPU": 2, "GPU": gpus}
    for default, wanted in ((0.5, {"CPU": 1, "GPU": 0.5}), (0.0, {"CPU": 1})):
        said = placements(1, GpuShares(default=default))
        assert said.required_resources == wanted
