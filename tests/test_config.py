"""Settings: strict, all problems at once, with the nearest known name."""

import pytest

from wakesmith import config
from wakesmith.errors import ConfigError
from wakesmith.steps import _recipe, compare


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


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"train": {"seed": -1}}, r"train\.seed: "),
        ({"train": {"seed": 2**32}}, r"train\.seed: "),
        ({"train": {"class_shares": [0.5, -0.1, 0.3, 0.3]}}, r"train\.class_shares: expected shares of 0 or more"),
        ({"train": {"class_shares": [0, 0, 0, 0.0]}}, r"train\.class_shares: .*one of them over 0"),
        ({"data": {"most_clips": {"speech": -1}}}, "most_clips: speech is -1, expected 0 or more; leave speech out for no limit"),
    ],
)
def test_numbers_that_a_later_step_would_stop_at_are_told_when_the_recipe_is_read(values, told):
    with pytest.raises(ConfigError, match=told):
        _recipe.load({"phrase": "hey nova", **values})


def test_every_seed_of_a_run_gives_compare_seeds_that_a_training_takes():
    recipe = _recipe.load({"phrase": "hey nova", "seed": 2**32 - 1})

    seeds = [compare.seeded(recipe, number).train.seed for number in range(5)]

    assert seeds == [2**32 - 1000 + number for number in range(5)]
    assert compare.seeded(_recipe.load({"phrase": "hey nova", "seed": 3}), 2).train.seed == 3002


def test_a_wrong_setting_is_told_alone_and_not_what_its_default_would_clash_with():
    values = {"student": {"name": "mixednet", "width": 0}, "losses": ["cross_entropy", "kd", "segments"]}

    with pytest.raises(ConfigError) as caught:
        _recipe.load({"phrase": "hey nova", "teach": {"head": {"content": 8}}, **values})

    assert "student.width" in str(caught.value)
    assert "segments" not in str(caught.value)


def test_a_file_of_settings_may_stand_on_a_preset(tmp_path):
    own = tmp_path / "mine.yaml"
    own.write_text("preset: standard\ntrain: {steps: 12}\n")

    made, under = (_recipe.load({"phrase": "hey nova"}, preset=name) for name in (str(own), "standard"))

    assert made.train.steps == 12
    assert made == under.model_copy(update={"train": under.train.model_copy(update={"steps": 12})})


@pytest.mark.parametrize("under", ["mine", "nothing", "[standard]", "../presets/standard"])
def test_a_file_stands_on_no_other_than_a_preset(tmp_path, under):
    own = tmp_path / "mine.yaml"
    own.write_text(f"preset: {under}\n")

    with pytest.raises(ConfigError, match=r"mine\.yaml: preset: expected one of .*quick, standard, got "):
        _recipe.load({"phrase": "hey nova"}, preset=str(own))
