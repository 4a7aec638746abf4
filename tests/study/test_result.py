import pytest

from orthotune.errors import StudyError
from orthotune.study.result import Locations


def test_the_folder_of_a_study_is_the_same_for_every_process(
    tiny_study, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    here = Locations(storage="studies", tracking_uri="")
    assert here.of_study(tiny_study, "ray") == str(tmp_path / "studies/tiny/ray")
    bucket = Locations(storage="s3://bucket/in?region=eu", tracking_uri="")
    assert bucket.of_study(tiny_study) == "s3://bucket/in/tiny?region=eu"


def test_a_tracking_uri_that_cannot_be_written_to_is_refused(tmp_path):
    with pytest.raises(StudyError, match="--tracking-uri"):
        Locations.of(str(tmp_path), "ftp://host/mlflow", None)
