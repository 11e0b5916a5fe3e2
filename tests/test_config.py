"""Settings: strict, all problems at once, with the nearest known name."""

import pytest

from wakesmith import config
from wakesmith.errors import ConfigError


class Inner(config.Settings):
    width: int = 8
    rate: float = 0.5


class Outer(config.Settings):
    inner: Inner = Inner()
    names: list[str] = []
    loss: config.Loss = config.part("losses", "cross_entropy")
    losses: list[config.Loss] = []


def problems(data):
    with pytest.raises(ConfigError) as caught:
        config.parse(Outer, data)
    return str(caught.value)


def test_an_unknown_key_names_its_path_and_the_nearest_key():
    assert "inner.widht: unknown key. Did you mean 'width'?" in problems({"inner": {"widht": 3}})


def test_all_problems_are_told_at_once():
    told = problems({"inner": {"width": "wide"}, "lose": 1, "losses": [{"name": "kd", "alpha": 2.0}, "dk"]})

    assert all(path in told for path in ("inner.width", "lose", "losses.0.alpha", "losses.1"))
    assert "4 problems" in told


def test_a_wrong_type_is_not_converted():
    assert "inner.width" in problems({"inner": {"width": "3"}})


def test_an_unknown_part_lists_what_there_is():
    told = problems({"loss": {"name": "cross_entrpy"}})

    assert "loss: unknown name 'cross_entrpy'. Did you mean 'cross_entropy'?" in told
    assert "kd" in told


def test_no_message_says_twice_where_it_is_wrong():
    for data, told in (({"loss": "nothing"}, "configuration: loss: unknown"), (3, "configuration: expected a mapping")):
        with pytest.raises(ConfigError, match=f"^{told}"):
            config.parse(Outer, data)


def test_a_part_may_be_given_by_name_alone():
    assert config.parse(Outer, {"loss": "kd"}).loss.alpha == 0.9


def test_yaml_holds_every_value_and_reads_back_the_same(tmp_path):
    settings = config.parse(Outer, {"inner": {"rate": 0.25}, "losses": ["kd"]})
    (tmp_path / "c.yaml").write_text(config.to_yaml(settings))

    assert config.parse(Outer, config.read_yaml(tmp_path / "c.yaml")) == settings


def test_yaml_that_would_run_code_is_refused(tmp_path):
    (tmp_path / "c.yaml").write_text("inner: !!python/object/apply:os.system ['true']")

    with pytest.raises(ConfigError, match="not readable as YAML"):
        config.read_yaml(tmp_path / "c.yaml")


def test_set_makes_a_nested_value():
    assert config.assignment("a.b=[1, 2]") == {"a": {"b": [1, 2]}}


def test_set_without_a_value_is_an_error():
    with pytest.raises(ConfigError, match="expected key=value"):
        config.assignment("a.b")


def test_merging_replaces_the_options_of_another_part():
    merged = config.merge({"student": {"name": "ds_cnn", "width": 64}}, {"student": {"name": "mobilenet_v3"}})

    assert merged == {"student": {"name": "mobilenet_v3"}}


def test_merging_keeps_the_other_options_of_the_same_part():
    merged = config.merge({"student": {"name": "ds_cnn", "width": 64}}, {"student": {"width": 48}})

    assert merged == {"student": {"name": "ds_cnn", "width": 48}}


def test_options_set_after_a_bare_name_are_of_that_part():
    assert config.merge({"student": "mixednet"}, {"student": {"width": 32}}) == {"student": {"name": "mixednet", "width": 32}}
