import hashlib
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mnist_bench import environment, identity
from mnist_bench.config.compose import load_config
from mnist_bench.config.record import flatten
from mnist_bench.config.schema import (
    SEMANTIC,
    Activation,
    DataName,
    EngineName,
    OptimizerName,
    RunConfig,
    Style,
    Validation,
)
from tests.composed import compose, configure, digest_of

DATA = "d" * 64
STUDY_VALUES = (
    "model.style=functional",
    "model.hidden_units=[64,64]",
    "train.batch_size=64",
    "train.epochs=10",
    "data.divisor=225",
    "data.validation=none",
)
RMSPROP = ("optimizer=rmsprop",)
STUDY_JSON = (
    '{"data":{"divisor":225.0,"name":"mnist","path":"' + DATA + '","train_limit":null,'
    '"validation":"none"},"model":{"activation":"relu","hidden_units":[64,64],'
    '"style":"functional"},"optimizer":{"centered":false,"clipnorm":null,"clipvalue":null,'
    '"epsilon":1e-07,"global_clipnorm":null,"learning_rate":0.001,"momentum":0.0,'
    '"name":"rmsprop","rho":0.9,"weight_decay":null},"train":{"batch_size":64,'
    '"engine":"compiled","epochs":10}}'
)


def cell(*values: str, groups: tuple[str, ...] = (), data: str = DATA) -> str:
    return identity.cell_fp(configure(*values, groups=groups), data)


# --- golden hashes: whoever changes one of these makes every finished run be run again ----------


def test_golden_cell() -> None:
    config = configure(*STUDY_VALUES, groups=RMSPROP)
    semantic = identity.semantic(config, DATA)
    assert json.dumps(semantic, sort_keys=True, separators=(",", ":")) == STUDY_JSON
    found = identity.cell_fp(config, DATA)
    assert found == hashlib.sha256(STUDY_JSON.encode("ascii")).hexdigest()
    assert found == "80886e9820963188dc8cddd30ba6e882ce6f0962d5ed4fba9c9525c7f795b394"


def test_golden_run_environment_host_and_sweep() -> None:
    run = identity.run_fp(
        version="0.1.0", cell="a" * 64, seed=7, code="b" * 64, data=DATA, env="e" * 64
    )
    assert run == "68612642ec08d8f02da727c3a2532028efe80efade7db6b13257407ed92b3a1c"
    versions = {"python": "3.11.7", "tensorflow": "2.21.0", "keras": "3.15.0", "numpy": "2.4.6"}
    env = identity.env_fp(versions, {"XLA_FLAGS": "--xla_x=1"}, "CPU")
    assert env == "eb6a75d30c5c2b16c4f8b6890a00d6c206f7ab5c5c377ed35a63ecd4a018d5b7"
    assert (
        identity.host_fp("cpu", 2, 1)
        == "10caa71cea92039022639bdde4e30e530dd1bff181cb2de7abeed68f415b86ce"
    )
    assert (
        identity.sweep_id(["2" * 64, "1" * 64])
        == "055373d2d5916d7245990454c54ab62817bf787538ca4475c73a310b556aabef"
    )


def test_golden_code(tmp_path: Path) -> None:
    for name in identity.DECIDING_MODULES:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(name.encode() + b"\n")
    assert (
        identity.code_fp(tmp_path)
        == "16cac7e2502ff3e21a06aea417ae3cbb69c023d3c5ea6693a7ea271f42cb32ed"
    )


# --- what is the same run, and what is not ------------------------------------------------------


def test_the_order_of_overrides_and_the_spelling_of_numbers_do_not_count() -> None:
    spelled = (
        "optimizer.learning_rate=1e-3",
        "data.divisor=255",
        "optimizer.beta_1=9e-1",
        "train.batch_size=0032",
        "optimizer.epsilon=0.0000001",
        "optimizer.amsgrad=False",
    )
    same = ("optimizer.learning_rate=0.001", "data.divisor=255.0", "optimizer.beta_1=0.90")
    assert cell() == cell(*spelled) == cell(*reversed(spelled)) == cell(*same)
    typed = ["optimizer=rmsprop", *STUDY_VALUES]
    composed = {
        identity.cell_fp(load_config(compose(*order)), DATA) for order in (typed, typed[::-1])
    }
    assert composed == {cell(*STUDY_VALUES, groups=RMSPROP)}


def test_minus_zero_is_zero() -> None:
    assert cell("optimizer.beta_1=-0.0") == cell("optimizer.beta_1=0")


@pytest.mark.parametrize(
    "value",
    [
        "seed=1",
        "tracking.uri=http://elsewhere",
        "tracking.experiment=other",
        "tracking.log_model=true",
        "sweep.resume=off",
        "sweep.match=code",
        "sweep.max_retries=3",
        "study=other",
    ],
)
def test_what_is_no_part_of_a_cell(value: str) -> None:
    assert cell(value) == cell()


ALTERNATIVES: dict[str, list[str]] = {
    "model.style": ["functional", "subclass"],
    "model.hidden_units": ["[64]", "[128,128]", "[12,8]", "[1,28]"],
    "model.activation": ["tanh"],
    "optimizer.learning_rate": ["0.002", "0.0010000000000000002"],
    "optimizer.weight_decay": ["0.1", "0.2"],
    "optimizer.clipnorm": ["1", "2"],
    "optimizer.clipvalue": ["1"],
    "optimizer.global_clipnorm": ["1"],
    "optimizer.beta_1": ["0.5", "0"],
    "optimizer.beta_2": ["0.5"],
    "optimizer.epsilon": ["1e-8"],
    "optimizer.amsgrad": ["true"],
    "optimizer.rho": ["0.5"],
    "optimizer.momentum": ["0.5"],
    "optimizer.centered": ["true"],
    "optimizer.nesterov": ["true"],
    "train.batch_size": ["33"],
    "train.epochs": ["6"],
    "train.engine": ["fit", "fit_tuned"],
    "data.divisor": ["225", "255.00000000000003"],
    "data.validation": ["train_tail", "test", "none"],
    "data.train_limit": ["1", "2"],
}


def test_each_semantic_setting_makes_another_cell() -> None:
    found: dict[str, str] = {}
    for optimizer in OptimizerName:
        groups = (f"optimizer={optimizer.value}",)
        found[optimizer.value] = cell(groups=groups)
        settings = flatten(identity.semantic(configure(groups=groups), DATA))
        for key in settings.keys() - {"optimizer.name", "data.name", "data.path"}:
            # A setting that is new and not in the table fails here.
            for value in ALTERNATIVES[key]:
                found[f"{optimizer.value} {key}={value}"] = cell(f"{key}={value}", groups=groups)
    found["fashion"] = cell(groups=("data=fashion_mnist",))
    found["other data"] = cell(data="e" * 64)
    assert len(found) > 70
    assert len(set(found.values())) == len(found)


def test_the_path_of_data_does_not_count_but_its_digest_does() -> None:
    here, there = (configure(f"data.path={path}") for path in ("/a/x.npz", "b/y.npz"))
    assert identity.identify(here, DATA).run_fp == identity.identify(there, DATA).run_fp
    other = "e" * 64
    assert identity.cell_fp(here, DATA) != identity.cell_fp(here, other)
    assert identity.identify(here, DATA).run_fp != identity.identify(here, other).run_fp


def test_a_seed_makes_another_run_of_the_same_cell() -> None:
    first, second = (identity.identify(configure(f"seed={seed}"), DATA) for seed in (0, 1))
    differing = {
        key for key, value in first.tags().items() if value != second.tags()[key]
    }  # fmt: skip
    assert differing == {"run_fp"}
    assert (first.name, second.name) == (f"{first.cell} s0", f"{first.cell} s1")


def test_code_that_decides_a_result(tmp_path: Path) -> None:
    package = tmp_path / "mnist_bench"
    shutil.copytree(Path(identity.__file__).parent, package)
    before = identity.code_fp(package)
    assert before == identity.identify(configure(), DATA).code_fp
    (package / "README.md").write_text("Something else.")
    for name in ("metrics.py", "train/readers.py", "train/optimizers.py"):
        (package / name).write_text("")
    assert identity.code_fp(package) == before
    found = {before}
    for name in identity.DECIDING_MODULES:
        original = (package / name).read_bytes()
        (package / name).write_bytes(original + b"\n")
        found.add(identity.code_fp(package))
        (package / name).write_bytes(original)
    assert len(found) == 5
    # What moves from the end of one file to the beginning of the next is not the same code.
    whole = (package / "train/data.py").read_bytes()
    (package / "train/data.py").write_bytes(whole[:-1])
    (package / "train/engine.py").write_bytes(
        whole[-1:] + (package / "train/engine.py").read_bytes()
    )
    assert identity.code_fp(package) not in found


def test_the_environment_is_part_of_a_run(monkeypatch: pytest.MonkeyPatch) -> None:
    here = environment.describe()
    plain = identity.identify(configure(), DATA)

    def identity_with(**changes: Any) -> identity.Identity:
        changed = replace(here, **changes)
        with monkeypatch.context() as patch:
            patch.setattr(environment, "describe", lambda: changed)
            return identity.identify(configure(), DATA)

    def with_version(package: str) -> identity.Identity:
        return identity_with(versions={**here.versions, package: "9.9"})

    for package in ("python", "tensorflow", "keras", "numpy"):
        other = with_version(package)
        assert other.env_fp != plain.env_fp
        assert other.run_fp != plain.run_fp
        assert other.cell_fp == plain.cell_fp
    assert identity_with(flags={"XLA_FLAGS": "--x"}).run_fp != plain.run_fp
    assert identity_with(device="GPU").run_fp != plain.run_fp
    assert with_version("version").run_fp != plain.run_fp
    assert with_version("mlflow").run_fp == plain.run_fp
    moved = identity_with(cpu="another", cores=99, git_commit="f" * 40, git_dirty=True)
    assert moved.run_fp == plain.run_fp
    assert moved.host_fp != plain.host_fp
    hosts = {identity_with(**{key: 77}).host_fp for key in ("cores", "threads")}
    assert len(hosts | {plain.host_fp, moved.host_fp}) == 4


def test_a_sweep_is_the_set_of_its_runs() -> None:
    one, two, three = ("1" * 64, "2" * 64, "3" * 64)
    assert identity.sweep_id([one, two, two]) == identity.sweep_id([two, one])
    assert identity.sweep_id([one, two]) != identity.sweep_id([one, two, three])


IN_ANOTHER_PROCESS = """
import json, sys
sys.path.insert(0, sys.argv[1])
from tests.composed import compose
from mnist_bench.config.compose import load_config
from mnist_bench.identity import identify
identity = identify(load_config(compose(*sys.argv[3:])), sys.argv[2])
heavy = sorted({"tensorflow", "keras", "mlflow"} & set(sys.modules))
print(json.dumps({"name": identity.name, **identity.tags(), "heavy": heavy}))
"""


@pytest.mark.parametrize("hash_seed", ["0", "4711"])
def test_another_process_agrees(hash_seed: str, tmp_path: Path) -> None:
    typed = ["optimizer=rmsprop", *STUDY_VALUES, "seed=3"]
    order: Callable[[list[str]], Any] = sorted if hash_seed == "0" else reversed
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            IN_ANOTHER_PROCESS,
            str(Path(__file__).parents[1]),
            DATA,
            *order(typed),
        ],
        env={**environment.os.environ, "PYTHONHASHSEED": hash_seed},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    here = identity.identify(configure(*STUDY_VALUES, "seed=3", groups=RMSPROP), DATA)
    # Versions are read without importing the packages.
    expected = {"name": here.name, **here.tags(), "heavy": []}
    assert json.loads(done.stdout) == expected


# --- labels -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "groups", "label"),
    [
        ((), (), "sequential_list 128 adam b32"),
        (("seed=3", "study=x"), (), "sequential_list 128 adam b32"),
        (
            STUDY_VALUES,
            RMSPROP,
            "functional 64-64 rmsprop b64 epochs=10 divisor=225.0 validation=none",
        ),
        (
            ("optimizer.learning_rate=0.1", "train.engine=fit"),
            ("optimizer=sgd",),
            "sequential_list 128 sgd b32 learning_rate=0.1 engine=fit",
        ),
        ((), ("data=fashion_mnist",), "sequential_list 128 adam b32 fashion_mnist"),
        (("data.path=x.npz",), (), "sequential_list 128 adam b32 custom-dddddddd"),
        (
            ("data.path=x.npz",),
            ("data=fashion_mnist",),
            "sequential_list 128 adam b32 fashion_mnist-dddddddd",
        ),
        (
            ("model.activation=tanh", "optimizer.weight_decay=null"),
            ("optimizer=adam",),
            "sequential_list 128 adam b32 activation=tanh",
        ),
    ],
)
def test_labels_are_readable(values: tuple[str, ...], groups: tuple[str, ...], label: str) -> None:
    assert identity.cell_label(configure(*values, groups=groups), DATA) == label


CONFIGS = {name: configure(groups=(f"optimizer={name.value}",)) for name in OptimizerName}
CHOICES: dict[str, st.SearchStrategy[Any]] = {
    "style": st.sampled_from(Style),
    "hidden_units": st.sampled_from([[1], [12], [1, 2], [1, 2, 3], [12, 3], [1, 23]]),
    "activation": st.sampled_from(Activation),
    "optimizer": st.sampled_from(OptimizerName),
    "learning_rate": st.sampled_from([0.001, 0.5]),
    "clipnorm": st.sampled_from([None, 0.5]),
    "batch_size": st.sampled_from([3, 32]),
    "epochs": st.sampled_from([2, 5]),
    "engine": st.sampled_from(EngineName),
    "name": st.sampled_from([DataName.mnist, DataName.fashion_mnist]),
    "path": st.sampled_from([None, "a.npz", "b.npz"]),
    "divisor": st.sampled_from([255.0, 225.0, 2.0]),
    "validation": st.sampled_from(Validation),
    "train_limit": st.sampled_from([None, 2, 5]),
}


@st.composite
def neighbours(draw: st.DrawFn) -> list[RunConfig]:
    """Two configurations that differ in at most two settings."""
    first = draw(st.fixed_dictionaries(CHOICES))
    changed = draw(st.lists(st.sampled_from(list(CHOICES)), max_size=2, unique=True))
    return [settled(first), settled({**first, **{key: draw(CHOICES[key]) for key in changed}})]


def settled(choice: dict[str, Any]) -> RunConfig:
    config = CONFIGS[choice["optimizer"]]
    sections = {
        section: replace(part, **{key: choice[key] for key in choice if hasattr(part, key)})
        for section in ("model", "train")
        for part in [getattr(config, section)]
    }
    data = {key: choice[key] for key in ("name", "path", "divisor", "validation", "train_limit")}
    optimizer = {key: choice[key] for key in ("learning_rate", "clipnorm")}
    return replace(
        config,
        **sections,
        data=replace(config.data, **data),
        optimizer=replace(config.optimizer, **optimizer),
    )


@given(neighbours())
def test_two_cells_share_a_label_only_if_they_are_one(pair: list[RunConfig]) -> None:
    labels, cells = set(), set()
    for config in pair:
        digest = digest_of(config.data)
        label = identity.cell_label(config, digest)
        assert label.isprintable()
        labels.add(label)
        cells.add(identity.cell_fp(config, digest))
    assert len(labels) == len(cells)


def test_labels_of_all_single_changes_are_distinct() -> None:
    labels = []
    for optimizer in OptimizerName:
        groups = (f"optimizer={optimizer.value}",)
        plain = flatten(identity.semantic(configure(groups=groups), DATA))
        for key in plain.keys() & ALTERNATIVES.keys():
            for value in ALTERNATIVES[key]:
                config = configure(f"{key}={value}", groups=groups)
                labels.append(identity.cell_label(config, DATA))
    assert len(labels) > 70
    assert len(set(labels)) == len(labels)
    # In a spreadsheet, a cell that begins with one of these is a formula.
    assert not any(label.startswith(("=", "+", "-", "@")) for label in labels)


def test_all_semantic_sections_are_told_apart_by_key_alone() -> None:
    """A label names keys without their section, so no two sections may share one."""
    for optimizer in OptimizerName:
        semantic = identity.semantic(CONFIGS[optimizer], DATA)
        keys = [key for section in SEMANTIC for key in semantic[section] if key != "name"]
        assert len(keys) == len(set(keys))
