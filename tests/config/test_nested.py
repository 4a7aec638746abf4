import re

import pytest

from orthotune.config.config_file import configured
from orthotune.config.nested import EACH, flattened, no_value, unnested
from orthotune.errors import ConfigError, FileError
from orthotune.schema.yaml_file import read_mapping


def read(tmp_path, text, **kwargs):
    path = tmp_path / "a.yaml"
    path.write_text(text)
    return unnested(read_mapping(str(path)), **kwargs)


def test_sections_and_dotted_names_may_be_mixed_at_any_depth():
    mapping = {
        "optimizer": {"lr": 0.1, "schedule": {"kind": "cosine"}, "schedule.warmup": 0},
        "model.my_net": {"width": 4},
        "seed": 1,
    }
    assert flattened(mapping) == {
        "optimizer.lr": 0.1,
        "optimizer.schedule.kind": "cosine",
        "optimizer.schedule.warmup": 0,
        "model.my_net.width": 4,
        "seed": 1,
    }


@pytest.mark.parametrize(
    ("mapping", "words"),
    [
        ({"a": {"b": 1}, "a.b": 1}, "`a.b` must be given once"),
        ({"a.b": {"c": 1}, "a": {"b.c": 2}}, "`a.b.c` must be given once"),
        ({"a": {1: 2}}, "`a` must have words, but got 1"),
    ],
)
def test_what_is_ambiguous_or_no_name_is_refused(mapping, words):
    with pytest.raises(ConfigError, match=words):
        flattened(mapping)


def test_a_mapping_that_holds_itself_is_refused():
    endless: dict = {}
    endless["a"] = endless
    with pytest.raises(ConfigError, match="at most 20 levels"):
        flattened(endless)


def test_an_empty_section_is_a_value_that_the_field_refuses():
    assert flattened({"model": {}}) == {"model": {}}


def test_an_error_names_the_line_of_the_value_in_its_section(tmp_path):
    text = "fixed:\n  model:\n    depth: 8\n    widths:\n      [4, 4, 4]\n  seed: 1\n"
    file = read(tmp_path, text, places={("fixed",): no_value})
    assert list(file.data["fixed"]) == ["model.depth", "model.widths", "seed"]
    found = [file.where("fixed", name)[-2:] for name in file.data["fixed"]]
    assert found == [":3", ":4", ":6"]


def test_what_is_within_a_value_keeps_its_line(tmp_path):
    text = "space:\n  optimizer:\n    lr:\n      type: float\n      low: 0\n"
    file = read(tmp_path, text, places={("space",): lambda one: "type" in one})
    assert file.data["space"]["optimizer.lr"] == {"type": "float", "low": 0}
    assert file.where("space", "optimizer.lr", "low").endswith(":5")


def test_both_ways_of_a_key_are_an_error_with_both_lines(tmp_path):
    text = "fixed:\n  model.depth: 8\n  seed: 1\n  model:\n    depth: 20\n"
    words = "a.yaml:5: must not repeat a key, but `model.depth` stands on line 2 too"
    with pytest.raises(FileError, match=re.escape(words)):
        read(tmp_path, text, places={("fixed",): no_value})


def test_a_dotted_key_of_the_top_level_reaches_into_its_section(tmp_path):
    text = "search.seed: 1\nsearch:\n  num_trials: 3\nother.key: 2\n"
    file = read(tmp_path, text, dotted=["search"], places={})
    assert file.data == {"search": {"num_trials": 3, "seed": 1}, "other.key": 2}
    assert file.where("search", "seed").endswith(":1")
    with pytest.raises(FileError, match=r"a.yaml:3: must not repeat .* line 1 too"):
        read(tmp_path, "search.a: 1\nsearch:\n  a: 3\n", dotted=["search"], places={})
    with pytest.raises(FileError, match=r"a.yaml:1: `search` must be a mapping"):
        read(tmp_path, "search: 3\nsearch.a: 1\n", dotted=["search"], places={})


def test_names_with_dots_of_their_own_are_left_alone(tmp_path):
    text = "arms:\n  v1.0:\n    model:\n      depth: 8\n"
    file = read(tmp_path, text, places={("arms", EACH): no_value})
    assert file.data == {"arms": {"v1.0": {"model.depth": 8}}}
    assert file.where("arms", "v1.0", "model.depth").endswith(":4")


def test_a_configuration_may_be_written_in_sections(tmp_path):
    path = tmp_path / "best.yaml"
    text = "model:\n  depth: 20\noptimizer.lr: 0.2\noptimizer: {momentum: 0.5}\n"
    path.write_text(text)
    config = configured(str(path), {"data": {"batch_size": 32}})
    assert (config.model.depth, config.data.batch_size) == (20, 32)
    assert (config.optimizer.lr, config.optimizer.momentum) == (0.2, 0.5)
    path.write_text("model:\n  depth: 21\n")
    with pytest.raises(FileError, match=r"best.yaml:2: `model.depth` must be 6n"):
        configured(str(path), {})
