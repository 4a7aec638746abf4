import pytest

from orthotune.config.sections import DataConfig, ModelConfig, OptimizerConfig
from orthotune.errors import ConfigError


def test_sections_take_keywords_only():
    with pytest.raises(TypeError, match="positional"):
        ModelConfig("plain", 44)


def test_a_section_of_its_own_speaks_of_its_own_fields():
    with pytest.raises(ConfigError, match=r"^`depth` must be 6n \+ 2 .* but got 45\."):
        ModelConfig(depth=45)
    with pytest.raises(ConfigError, match=r"^`lr` must be .* but got 0\."):
        OptimizerConfig(lr=0)


def test_the_smallest_batch_has_two_images():
    assert DataConfig(batch_size=2).batch_size == 2
