import json
import subprocess
import sys
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from mnist_bench.config.compose import load_config, resource_dir
from mnist_bench.config.explain import explain
from mnist_bench.config.record import as_plain, caveats, flatten, without_location
from mnist_bench.config.schema import (
    OPTIMIZERS,
    SECTIONS,
    Activation,
    DataConfig,
    DataName,
    MatchOn,
    OnError,
    OptimizerName,
    Resume,
    RunConfig,
    Style,
    Validation,
)
from mnist_bench.errors import Refusal
from mnist_bench.text import shown
from tests.composed import compose, configure, override

CONF = resource_dir("conf")
GROUPS = {name.value: (f"optimizer={name.value}",) for name in OptimizerName}
TINY = "5e-324"
HUGE = "1.7976931348623157e308"
BELOW_ONE = "0.9999999999999999"
LONG = "x" * 10_000

WHOLE = {
    # key: (lowest, highest)
    "train.batch_size": (1, 1_000_000),
    "train.epochs": (1, 100_000),
    "data.train_limit": (1, 100_000_000),
    "seed": (0, 2**32 - 1),
    "sweep.max_failures": (1, 1_000_000),
    "sweep.max_retries": (0, 100),
}
POSITIVE = ["learning_rate", "epsilon", "clipnorm", "clipvalue", "global_clipnorm"]
SHARES = {
    "beta_1": "adam",
    "beta_2": "adamw",
    "rho": "rmsprop",
    "momentum": "sgd",
}
NUMBERS = [*(f"optimizer.{key}" for key in POSITIVE), "optimizer.weight_decay", "data.divisor"]
CLOSED = {
    "model.style": Style,
    "model.activation": Activation,
    "optimizer.name": OptimizerName,
    "data.name": DataName,
    "data.validation": Validation,
    "sweep.resume": Resume,
    "sweep.match": MatchOn,
    "sweep.on_error": OnError,
}


REMEDIES = ("; ", "such as ", "one of ", "true or false", "key by key", "a text")


def problems_of(*values: str, groups: tuple[str, ...] = ()) -> tuple[str, ...]:
    """What a person is told; whether the type or the range is wrong."""
    try:
        configure(*values, groups=groups)
    except Refusal as error:
        return error.problems
    except OmegaConfBaseException as error:
        return (explain(error, values),)
    return ()


def check_refused(value: str, said: str, groups: tuple[str, ...] = ()) -> str:
    """Checks that exactly this setting is refused, by key, rule, value and remedy, in one line."""
    key = value.partition("=")[0]
    (problem,) = problems_of(value, groups=groups)
    head, _, tail = problem.partition(", got ")
    assert head.startswith((f"{key} must ", f"{key}[0] must ", f"{key}[1] must ")), problem
    assert tail.partition(";")[0] == said, problem
    assert any(remedy in problem for remedy in REMEDIES), problem
    assert problem.isprintable()
    assert len(problem) <= 700
    return problem


def test_defaults_are_those_of_the_documentation() -> None:
    assert as_plain(configure()) == {
        "model": {"style": "sequential_list", "hidden_units": [128], "activation": "relu"},
        "optimizer": {
            "name": "adam",
            "learning_rate": 0.001,
            "weight_decay": None,
            "clipnorm": None,
            "clipvalue": None,
            "global_clipnorm": None,
            "beta_1": 0.9,
            "beta_2": 0.999,
            "epsilon": 1e-7,
            "amsgrad": False,
        },
        "train": {"batch_size": 32, "epochs": 5, "engine": "compiled"},
        "data": {
            "name": "mnist",
            "path": None,
            "divisor": 255.0,
            "validation": "holdout",
            "train_limit": None,
        },
        "tracking": {"uri": None, "experiment": "mnist_bench", "log_model": None},
        "seed": 0,
        "study": None,
        "published": None,
    }


@pytest.mark.parametrize(("key", "limits"), WHOLE.items())
def test_whole_numbers_are_bounded(key: str, limits: tuple[int, int]) -> None:
    low, high = limits
    for value in limits:
        config = override(f"{key}={value}")
        assert OmegaConf.select(config, key) == value
        load_config(config)
    for value in (low - 1, high + 1, -1, 10**12):
        problem = check_refused(f"{key}={value}", str(value))
        assert f"a whole number from {low} to {high}" in problem


@pytest.mark.parametrize("key", WHOLE)
@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("64.0", "64.0"),
        ("1e9", "1000000000.0"),
        ("true", "True"),
        ("32x", "32x"),
        ("nan", "nan"),
        ("inf", "inf"),
        ("''", "''"),
        ("[1]", "[1]"),
        ("{a:1}", "{'a': 1}"),
    ],
)
def test_whole_numbers_are_not_other_things(key: str, value: str, said: str) -> None:
    assert "a whole number" in check_refused(f"{key}={value}", said)


@pytest.mark.parametrize("value", ["[1]", "[65536]", "[784,64]", f"[{','.join(['1'] * 64)}]"])
def test_widths(value: str) -> None:
    assert configure(f"model.hidden_units={value}").model.hidden_units == json.loads(value)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("[]", "[]"),
        ("[0]", "0"),
        ("[128,-1]", "-1"),
        ("[65537]", "65537"),
        ("[1000000000]", "1000000000"),
        ("[true]", "True"),
        ("[64,64.0]", "64.0"),
        ("[nan]", "nan"),
        ("[32x]", "32x"),
        ("[null]", "None"),
        ("[[64]]", "[64]"),
        ("[{a:1}]", "{'a': 1}"),
        ("64", "64"),
        ("true", "True"),
        ("32x", "32x"),
        ("null", "None"),
        ("{a:1}", "something else"),
    ],
)
def test_widths_that_are_refused(value: str, said: str) -> None:
    check_refused(f"model.hidden_units={value}", said)


def test_too_many_widths_are_refused_in_a_short_line() -> None:
    value = ",".join(["128"] * 65)
    assert "1 to 64 widths" in check_refused(f"model.hidden_units=[{value}]", shown([128] * 65))


@pytest.mark.parametrize("key", POSITIVE)
def test_positive_numbers(key: str) -> None:
    for value in (TINY, "1e-3", "1e9", "1e30", HUGE):
        config = configure(f"optimizer.{key}={value}")
        assert getattr(config.optimizer, key) == float(value)
    for value in ("0", "-1", f"-{TINY}", "nan", "inf", "-inf", "1e400", "1e-400"):
        problem = check_refused(f"optimizer.{key}={value}", str(float(value)))
        assert "a finite number above 0" in problem


@pytest.mark.parametrize(("key", "optimizer"), SHARES.items())
def test_shares(key: str, optimizer: str) -> None:
    groups = GROUPS[optimizer]
    for value in ("0", TINY, "0.5", BELOW_ONE):
        config = configure(f"optimizer.{key}={value}", groups=groups)
        assert getattr(config.optimizer, key) == float(value)
    for value in ("1", "1.5", f"-{TINY}", "nan", "inf", "-inf"):
        problem = check_refused(f"optimizer.{key}={value}", str(float(value)), groups)
        assert "at least 0 and below 1" in problem


@pytest.mark.parametrize("optimizer", GROUPS)
def test_weight_decay(optimizer: str) -> None:
    groups = GROUPS[optimizer]
    for value in ("0", TINY, "0.004", HUGE):
        config = configure(f"optimizer.weight_decay={value}", groups=groups)
        assert config.optimizer.weight_decay == float(value)
    for value in (f"-{TINY}", "-1", "nan", "inf"):
        problem = check_refused(f"optimizer.weight_decay={value}", str(float(value)), groups)
        assert "a finite number of at least 0" in problem
    if optimizer == "adamw":
        assert "use optimizer=adam" in check_refused("optimizer.weight_decay=null", "None", groups)
    else:
        configure("optimizer.weight_decay=null", groups=groups)


def test_divisor() -> None:
    for value in ("1e-6", "225", "255.0", "1e6"):
        assert configure(f"data.divisor={value}").data.divisor == float(value)
    for value in ("9.9e-7", "1000000.1", "0", "-255", "nan", "inf", "-inf"):
        problem = check_refused(f"data.divisor={value}", str(float(value)))
        assert "from 0.000001 to 1000000" in problem


@pytest.mark.parametrize("key", NUMBERS)
@pytest.mark.parametrize(
    ("value", "said"),
    [("true", "True"), ("32x", "32x"), ("''", "''"), ("[1]", "[1]"), ("{a:1}", "{'a': 1}")],
)
def test_numbers_are_not_other_things(key: str, value: str, said: str) -> None:
    assert "a number" in check_refused(f"{key}={value}", said)


@pytest.mark.parametrize(
    "key",
    [
        *WHOLE,
        *NUMBERS,
        *CLOSED,
        "model",
        "optimizer.beta_1",
        "optimizer.amsgrad",
        "model.hidden_units",
        "tracking.experiment",
    ],
)
def test_null_only_where_it_means_something(key: str) -> None:
    optional = {
        "data.train_limit",
        "sweep.max_failures",
        "optimizer.weight_decay",
        *(f"optimizer.{clip}" for clip in POSITIVE[2:]),
    }
    if key in optional:
        assert problems_of(f"{key}=null") == ()
    else:
        check_refused(f"{key}=null", "None")


@pytest.mark.parametrize(("key", "closed"), CLOSED.items())
@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("nope", "nope"),
        ("''", "''"),
        ("1", "1"),
        ("true", "True"),
        ("Adam", "Adam"),
        ("[relu]", "['relu']"),
        ("{a:1}", "{'a': 1}"),
    ],
)
def test_unknown_names_are_answered_with_the_allowed_ones(
    key: str, closed: Any, value: str, said: str
) -> None:
    problem = check_refused(f"{key}={value}", said)
    assert "one of " + ", ".join(member.value for member in closed) + ", got" in problem


@pytest.mark.parametrize("group", GROUPS)
def test_an_optimizer_keeps_its_name(group: str) -> None:
    for name in GROUPS:
        value = f"optimizer.name={name}"
        if name == group:
            configure(value, groups=GROUPS[group])
        else:
            assert f"optimizer={name}" in problems_of(value, groups=GROUPS[group])[0]


@pytest.mark.parametrize("value", ["foo", "0.5", "[true]", "{a:1}", "''"])
def test_switches_are_true_or_false(value: str) -> None:
    for key in ("optimizer.amsgrad", "tracking.log_model"):
        assert "true or false" in problems_of(f"{key}={value}")[0]


@pytest.mark.parametrize(
    ("value", "said"),
    [("[{}]", "{}"), ("[{model.style:subclass},{}]", "{}"), ("foo", "foo")],
)
def test_exclusions_are_partial_configurations(value: str, said: str) -> None:
    configure("sweep.exclude=[{model.style:subclass,train.batch_size:32}]")
    check_refused(f"sweep.exclude={value}", said)
    # OmegaConf names no key here.
    assert problems_of("sweep.exclude=[foo]")[0].startswith("sweep.exclude=[foo]: ")


def test_at_most_one_kind_of_clipping() -> None:
    clips = ("optimizer.clipnorm=1", "optimizer.clipvalue=2", "optimizer.global_clipnorm=3")
    for one in clips:
        configure(one)
        for other in clips:
            if one != other:
                (problem,) = problems_of(one, other)
                assert "at most one of clipnorm, clipvalue, global_clipnorm" in problem


@pytest.mark.parametrize(
    ("key", "accepted", "refused"),
    [
        ("study", ["a", "A-z_9", "-", "7", "x" * 64], ["", "x" * 65, "é", "a/b", "a.b", "=cmd()"]),
        ("tracking.experiment", ["a", "é 数", "../a", "<b>", "x" * 250], ["", " ", "x" * 251]),
        ("tracking.uri", ["a", "http://h:1", "x" * 2_000], ["", "x" * 2_001, "http://["]),
        ("data.path", ["a", "é 数", "../a", "<b>", "x" * 4_096], ["", "x" * 4_097]),
    ],
)
def test_texts_are_bounded(key: str, accepted: list[str], refused: list[str]) -> None:
    *section, name = key.split(".")
    for text in accepted:
        config = configure(f"{key}='{text}'")
        assert getattr(getattr(config, section[0]) if section else config, name) == text
    hostile = ["a\nb", "\n", "\x1b[31m", "a\tb", LONG, "\udcff", "\u202e"]
    for text in (*refused, *hostile):
        check_refused(f"{key}='{text}'", shown(text) or "''")


@pytest.mark.parametrize("key", [*WHOLE, *NUMBERS, *CLOSED, "optimizer.amsgrad", "model.style"])
@pytest.mark.parametrize(
    "text", ["a\nb\r\n", LONG, "<script>alert(1)</script>", "../../etc/passwd", "\x1b[2J"]
)
def test_hostile_text_stays_one_bounded_line(key: str, text: str) -> None:
    problem = check_refused(f"{key}='{text}'", shown(text))
    assert len(problem) < 600


def test_custom_data_needs_a_path_and_a_path_makes_data_custom() -> None:
    assert "data.path must be set" in problems_of("data.name=custom")[0]
    assert configure("data.path=x.npz").data.name is DataName.custom
    fashion = configure("data.path=x.npz", groups=("data=fashion_mnist",)).data
    assert fashion.name is DataName.fashion_mnist


def test_all_problems_come_at_once() -> None:
    found = problems_of(
        "model.hidden_units=[0,1,-2]",
        "optimizer.learning_rate=nan",
        "optimizer.beta_1=1",
        "train.epochs=0",
        "train.batch_size=0",
        "data.divisor=0",
        "data.train_limit=0",
        "tracking.experiment=''",
        "seed=-1",
        "study='a b'",
    )
    assert [problem.split()[0] for problem in found] == [
        "model.hidden_units",
        "model.hidden_units",
        "optimizer.learning_rate",
        "optimizer.beta_1",
        "train.batch_size",
        "train.epochs",
        "data.divisor",
        "data.train_limit",
        "tracking.experiment",
        "seed",
        "study",
    ]


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        (["model.stile"], "model.stile: no such key; did you mean style?"),
        (["model.unitz"], "model.unitz: no such key; there are: style, hidden_units"),
        (["optimizer.rho"], "optimizer.rho: no such key; there are: name, learning_rate"),
        (["sed"], "sed: no such key; did you mean seed?"),
        (["zzz"], "zzz: no such key; there are: model, optimizer"),
        (["model.a", "train.b", "c"], "c: no such key"),
    ],
)
def test_keys_that_do_not_exist(keys: list[str], said: str) -> None:
    """Whether they were typed, or forced into the configuration with `+key`."""
    (problem, *_) = problems_of(f"{keys[0]}=1")
    assert problem.startswith(f"{keys[0]}: no such key; ")
    forced = compose(*(f"+{key}=1" for key in keys))
    with pytest.raises(Refusal) as refused:
        load_config(forced)
    assert sorted(p.partition(":")[0] for p in refused.value.problems) == sorted(keys)
    assert any(problem.startswith(said) for problem in refused.value.problems)


@pytest.mark.parametrize("key", ["seed", "model", "optimizer", "data"])
def test_keys_that_were_deleted(key: str) -> None:
    with pytest.raises(Refusal, match=f"^{key}: .*missing"):
        load_config(compose(f"~{key}"))


def test_a_key_without_a_value_is_named() -> None:
    (problem,) = problems_of("model.style=???")
    assert problem.startswith("model.style: ")
    assert "missing" in problem


# --- values and types -------------------------------------------------------------------------


def test_each_key_has_a_value_and_each_value_a_type() -> None:
    main = yaml.safe_load((CONF / "config.yaml").read_text())
    schemas = {field.name: field.type for field in fields(RunConfig)}
    assert set(schemas) == set(main) - {"defaults", "hydra"} | {"optimizer", "data"}
    for section in set(SECTIONS) - {"optimizer", "data", "published"}:
        assert set(main[section]) == {field.name for field in fields(schemas[section])}
    for name in ("mnist", "fashion_mnist"):
        data = yaml.safe_load((CONF / "data" / f"{name}.yaml").read_text())
        assert set(data) == {field.name for field in fields(DataConfig)}
        assert data["name"] == name
    by_name = {name.value: schema for schema, name in OPTIMIZERS.items()}
    assert {path.stem for path in (CONF / "optimizer").glob("*.yaml")} == set(by_name)
    assert set(by_name) == {member.value for member in OptimizerName}
    for name, schema in by_name.items():
        optimizer = yaml.safe_load((CONF / "optimizer" / f"{name}.yaml").read_text())
        assert set(optimizer) - {"defaults"} == {field.name for field in fields(schema)}
        assert optimizer["name"] == name


ASK_KERAS = """
import inspect, json
import keras, numpy as np
from mnist_bench.config.schema import OptimizerName
signatures = {
    name: {
        key: parameter.default
        for key, parameter in inspect.signature(kind.__init__).parameters.items()
        if key not in ("self", "kwargs")
    }
    for name, kind in (
        (member.value, getattr(keras.optimizers, member.keras_class)) for member in OptimizerName
    )
}
values = np.array([[-3.0, -0.2, 0.4, 2.0]], np.float32)
elementwise = []
for name in dir(keras.activations):
    if name.startswith("_") or name in ("get", "serialize", "deserialize"):
        continue
    layer = keras.layers.Activation(name)
    try:
        together = np.asarray(layer(values))
        alone = np.hstack([np.asarray(layer(values[:, [i]])) for i in range(4)])
    except Exception:  # it needs further arguments, or an even number of units
        continue
    if np.allclose(together, alone, atol=1e-6):
        elementwise.append(name)
print(json.dumps({"signatures": signatures, "elementwise": elementwise}))
"""


@pytest.fixture(scope="module")
def keras_says() -> Any:
    done = subprocess.run(
        [sys.executable, "-c", ASK_KERAS], capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("name", GROUPS)
def test_optimizer_defaults_are_those_of_keras(name: str, keras_says: Any) -> None:
    ours = yaml.safe_load((CONF / "optimizer" / f"{name}.yaml").read_text())
    theirs = keras_says["signatures"][name]
    not_ours = {
        "use_ema",
        "ema_momentum",
        "ema_overwrite_frequency",
        "loss_scale_factor",
        "gradient_accumulation_steps",
        "name",
    }
    # An option that Keras adds fails here, so that somebody decides whether it becomes a key.
    assert {key: ours[key] for key in set(ours) - {"defaults", "name"}} == {
        key: theirs[key] for key in set(theirs) - not_ours
    }


def test_activations_are_those_of_keras_that_act_on_each_unit_by_itself(keras_says: Any) -> None:
    second_names = {"swish", "hard_swish"}
    assert {member.value for member in Activation} == set(keras_says["elementwise"]) - second_names


# --- what is said and recorded ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "tags"),
    [
        ([], []),
        (["data.validation=none"], []),
        (["data.validation=train_tail"], ["validation_leak"]),
        (["data.validation=test"], ["selected_on_test"]),
        (["data.divisor=225"], ["divisor_225"]),
        (["data.divisor=127.5"], ["divisor_127.5"]),
        (["data.train_limit=60000"], ["train_limit"]),
        (
            ["data.validation=train_tail", "data.divisor=225", "data.train_limit=1"],
            ["validation_leak", "divisor_225", "train_limit"],
        ),
    ],
)
def test_caveats(values: list[str], tags: list[str]) -> None:
    found = caveats(configure(*values).data)
    assert list(found) == tags
    # The tags are written comma-separated, and the sentences into one line.
    assert not any("," in tag for tag in found)
    assert all(sentence.isprintable() and sentence for sentence in found.values())


def test_the_caveat_of_a_divisor_says_where_pixels_end() -> None:
    assert "[0, 1.133]" in caveats(configure("data.divisor=225").data)["divisor_225"]


@pytest.mark.parametrize(
    ("uri", "recorded"),
    [
        ("sqlite:///mlflow.db", "sqlite:mlflow.db"),
        ("sqlite:////home/alice/secret/mlflow.db", "sqlite:mlflow.db"),
        ("sqlite:///../runs.db?token=secret#secret", "sqlite:runs.db"),
        ("http://alice:secret@host.example:5000/alice?token=secret", "http:"),
        ("postgresql+psycopg2://alice:secret@host.example/alice", "postgresql+psycopg2:"),
        ("databricks://alice", "databricks:"),
        ("file:///home/alice", "file:"),
        ("/home/alice", "file:"),
        ("./alice", "file:"),
        ("x:secret@host.example:5000", "x:"),
        ("x:/alice:secret@host.example", "x:"),
    ],
)
def test_no_location_is_recorded(uri: str, recorded: str) -> None:
    assert without_location(uri) == recorded
    config = configure(f"tracking.uri='{uri}'", "data.path=/home/alice/images/mine.npz")
    plain = as_plain(config)
    assert plain["tracking"]["uri"] == recorded
    assert plain["data"]["path"] == "mine.npz"
    text = json.dumps(plain)
    assert not any(word in text for word in ("alice", "secret", "host.example", "images"))


@given(st.text(max_size=60))
def test_any_tracking_uri_is_refused_or_can_be_recorded(uri: str) -> None:
    config = configure()
    try:
        config = replace(config, tracking=replace(config.tracking, uri=uri))
    except Refusal:
        return
    assert "@" not in as_plain(config)["tracking"]["uri"].partition(":")[0]


def test_the_plain_configuration_is_json_and_complete() -> None:
    for path in sorted(resource_dir("experiments").glob("*.yaml")):
        plain = as_plain(load_config(compose(f"+experiment={path.stem}")))
        assert json.loads(json.dumps(plain, allow_nan=False)) == plain
    assert flatten({"a": {"b": 1, "c": {"d": [2]}}, "e": None}) == {
        "a.b": 1,
        "a.c.d": [2],
        "e": None,
    }


@given(st.text(), st.integers(1, 50))
def test_shown_values_are_one_bounded_printable_line(text: str, limit: int) -> None:
    line = shown(text, limit)
    assert line.isprintable()
    assert len(line) <= limit + len("... (999999999 characters)")
    if text.isprintable() and len(text) <= limit:
        assert line == text


def test_folders_of_resources_hold_what_is_expected() -> None:
    assert (resource_dir("conf") / "config.yaml").is_file()
    assert (resource_dir("experiments") / "notebooks.yaml").is_file()
    assert Path(resource_dir("conf")).is_absolute()
