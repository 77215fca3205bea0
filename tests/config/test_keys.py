"""The tables of `--help`, the README and `conf/` say the same."""

import re
import shlex
from enum import EnumType
from pathlib import Path

import pytest
import yaml
from omegaconf import OmegaConf

from mnist_bench.config.compose import default_values, resource_dir
from mnist_bench.config.keys import all_keys, described_fields, group_table, key_table
from mnist_bench.config.record import flatten
from mnist_bench.config.schema import EngineName, OptimizerName, Validation
from tests.composed import compose, configure

README = Path(__file__).parents[2] / "README.md"
KEYS = all_keys()
CHOSEN_OTHERWISE = {"optimizer.name", "data.name", "published"}
"""By a group or a study."""


@pytest.mark.parametrize("optimizer", [name.value for name in OptimizerName])
def test_the_defaults_are_those_that_hydra_composes(optimizer):
    config = compose(f"optimizer={optimizer}")
    composed = flatten(OmegaConf.to_container(config, enum_to_str=True))
    assert composed.keys() - CHOSEN_OTHERWISE <= KEYS.keys()
    for key, (about, default) in KEYS.items():
        usual, *others = default.split("; ")
        by_optimizer = {name: value for value, name in (o.split(" with ") for o in others)}
        if key in composed:
            said = yaml.safe_load(by_optimizer.get(optimizer, usual))
            # YAML 1.1 takes 1e-07 for a text.
            assert said == composed[key] or float(said) == composed[key], key
        else:
            # It is another optimizer's, and says whose.
            assert key.startswith("optimizer.")
            assert optimizer not in about.rpartition("(")[2].rstrip(")").split(", ")


def test_closed_sets_are_listed_and_lists_have_an_example():
    for key, closed in (("train.engine", EngineName), ("data.validation", Validation)):
        assert KEYS[key][0].startswith(", ".join(member.value for member in closed) + ": ")
    for key in ("model.hidden_units", "sweep.exclude"):
        typed = re.search(r"e\.g\. '(.+)'", KEYS[key][0])[1]
        assert OmegaConf.select(compose(typed), key)


@pytest.mark.parametrize("key", described_fields())
def test_each_setting_has_a_closed_set_or_rules_whose_examples_pass(key):
    field = described_fields()[key]
    rules = field.metadata["rules"]
    is_closed = isinstance(field.type, EnumType) or field.type in (bool, bool | None)
    assert bool(rules) != is_closed
    having = (n.value for n in OptimizerName if key in flatten(default_values(n.value)))
    group = f"optimizer={next(having)}"
    for rule in rules:
        [typed] = shlex.split(rule.typed(key))
        assert configure(typed, groups=(group,))


def test_the_tables_are_in_columns():
    for table in (group_table(), key_table()):
        lines = table.splitlines()
        assert max(map(len, lines)) <= 100
        [column] = {re.match(r"  \S+ +| +", line).end() for line in lines}
        assert 0 < column < 40
    assert [line.split()[0] for line in key_table().splitlines() if line[2] != " "] == list(KEYS)


def test_the_readme_has_these_rows():
    text = README.read_text()
    rows = re.findall(
        r"^\| `([a-z_]+(?:\.\w+)?)` \|.+$", text.partition("| key |")[2], re.MULTILINE
    )
    assert {"model.style", "train.engine", "data.validation", "seed"} <= set(rows)
    for key in rows:
        about, default = KEYS[key]
        assert f"\n| `{key}` | {about} | `{default}` |\n" in text
    sentence = text.partition("\nGroups: ")[2].partition("\n\n")[0]
    named = re.findall(r"`(?:\w+=)?(\w+)`", sentence)
    assert len(named) > 3
    conf = resource_dir("conf")
    assert set(named) <= {path.stem for path in conf.glob("*/*.yaml")}
