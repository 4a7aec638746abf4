"""A study to report of."""

import pytest

from tests.report.searched import SPACE, study_of


@pytest.fixture
def study(tmp_path):
    return study_of(tmp_path, SPACE)
