import os

import pytest

from orthotune.cluster.environment import DEFAULTS, prepare


@pytest.fixture
def bare(monkeypatch, tmp_path):
    """An environment without anything of Ray's, and the home of a new user."""
    monkeypatch.setattr(os, "environ", {"HOME": str(tmp_path)})
    return os.environ


def test_what_the_user_has_set_stays(bare):
    bare["RAY_USAGE_STATS_ENABLED"] = "1"
    prepare()
    found = {name: bare[name] for name in DEFAULTS}
    assert found == {**DEFAULTS, "RAY_USAGE_STATS_ENABLED": "1"}


def test_a_token_is_offered_wherever_ray_would_find_it(bare, tmp_path):
    token = tmp_path / ".ray" / "auth_token"
    token.parent.mkdir()
    prepare()
    assert "RAY_AUTH_MODE" not in bare
    for place in ({"RAY_AUTH_TOKEN": "x"}, {"RAY_AUTH_TOKEN_PATH": str(token)}, {}):
        token.touch()
        bare |= place
        prepare()
        assert bare.pop("RAY_AUTH_MODE") == "token"
        for name in place:
            del bare[name]


def test_a_mode_of_the_users_own_is_not_changed(bare):
    bare |= {"RAY_AUTH_TOKEN": "x", "RAY_AUTH_MODE": "disabled"}
    prepare()
    assert bare["RAY_AUTH_MODE"] == "disabled"
