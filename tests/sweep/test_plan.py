import json
import subprocess
import sys
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser

from mnist_bench import identity
from mnist_bench.config.compose import load_config, resource_dir
from mnist_bench.config.schema import DataConfig, PublishedConfig, RunConfig, Style
from mnist_bench.errors import Refusal
from mnist_bench.metrics import Use, used_for
from mnist_bench.store.runs import StoredRun
from mnist_bench.sweep.plan import Plan
from mnist_bench.sweep.prospects import assess
from tests.composed import compose, digest_of, plan

STUDIES = ["flatten_1000", "functional_64", "stacked_add", "stacked_list", "subclass_784"]


def configs(made: Plan) -> list[RunConfig]:
    return [run.config for run in made.runs]


def problems_of(*arguments: str, digest: Any = digest_of) -> tuple[str, ...]:
    with pytest.raises(Refusal) as refused:
        plan(*arguments, digest=digest)
    return refused.value.problems


def settings_of(made: Plan) -> Counter[tuple[Any, ...]]:
    return Counter(
        (c.model.style, *c.model.hidden_units, c.optimizer.name.value, c.train.batch_size, c.seed)
        for c in configs(made)
    )


# --- what is in a plan --------------------------------------------------------------------------


def test_the_default_grid() -> None:
    made = plan()
    assert settings_of(made) == Counter(
        (style, width, optimizer, batch, 0)
        for style in Style
        for width in (128, 512)
        for optimizer in ("adam", "rmsprop")
        for batch in (32, 128)
    )
    assert {c.train.epochs for c in configs(made)} == {5}
    assert (made.duplicates, made.excluded) == ((), ())
    assert made.sweep_id == identity.sweep_id([run.identity.run_fp for run in made.runs])


def test_the_order_of_what_was_typed_changes_nothing() -> None:
    typed = ["seed=0,1", "optimizer=sgd,adam", "model.style=functional", "train.epochs=2"]
    first, second = plan(*typed), plan(*reversed(typed))
    assert [run.identity for run in first.runs] == [run.identity for run in second.runs]
    assert first.sweep_id == second.sweep_id


def test_seeds_are_outermost_and_cells_are_shuffled_within_them() -> None:
    made = plan("grid=seeds")
    assert len(made.runs) == 160
    assert [c.seed for c in configs(made)] == sorted(c.seed for c in configs(made))
    blocks = [made.runs[start : start + 32] for start in range(0, 160, 32)]
    cells = [[run.identity.cell for run in block] for block in blocks]
    assert all(sorted(block) == sorted(cells[0]) for block in cells)
    assert len({tuple(block) for block in cells}) == 5
    # Shuffled: no style has one end of a block to itself.
    assert all(len({run.config.model.style for run in block[:12]}) > 1 for block in blocks)


@pytest.mark.parametrize(
    ("arguments", "left"),
    [
        (["model.style=functional"], {"model.style": {"functional"}}),
        (["++model.style=functional"], {"model.style": {"functional"}}),
        (["optimizer=sgd"], {"optimizer.name": {"sgd"}}),
        (["train.batch_size=7,8"], {"train.batch_size": {7, 8}}),
        (["seed=range(0,3)"], {"seed": {0, 1, 2}}),
        (["seed=choice(5,6)", "optimizer=adamw"], {"seed": {5, 6}, "optimizer.name": {"adamw"}}),
        (["optimizer=glob(*)"], {"optimizer.name": {"adam", "adamw", "rmsprop", "sgd"}}),
        (["optimizer=glob(a*)"], {"optimizer.name": {"adam", "adamw"}}),
        (["seed=1,2", "seed=3"], {"seed": {3}}),
    ],
)
def test_a_typed_key_replaces_its_axis(arguments: list[str], left: dict[str, set[Any]]) -> None:
    made = plan(*arguments)
    axes: dict[str, set[Any]] = {
        "model.style": {style.value for style in Style},
        "model.hidden_units": {"[128]", "[512]"},
        "optimizer.name": {"adam", "rmsprop"},
        "train.batch_size": {32, 128},
        "seed": {0},
        **left,
    }
    found: dict[str, set[Any]] = {
        "model.style": {c.model.style.value for c in configs(made)},
        "model.hidden_units": {str(c.model.hidden_units) for c in configs(made)},
        "optimizer.name": {c.optimizer.name.value for c in configs(made)},
        "train.batch_size": {c.train.batch_size for c in configs(made)},
        "seed": {c.seed for c in configs(made)},
    }
    assert found == axes
    size = 1
    for values in axes.values():
        size *= len(values)
    assert len(made.runs) == size


def test_duplicates_run_once_and_are_named() -> None:
    made = plan("grid=none", "seed=0,0,1", "data.divisor=255,255.0")
    assert sorted(c.seed for c in configs(made)) == [0, 1]
    named = Counter(made.duplicates)
    assert named == {"sequential_list 128 adam b32 s0": 3, "sequential_list 128 adam b32 s1": 1}


def test_exclusions() -> None:
    made = plan("sweep.exclude=[{model.style:subclass,train.batch_size:32},{optimizer.name:adam}]")
    kept = configs(made)
    assert len(kept) == 32 - 16 - 2
    assert not any(c.optimizer.name.value == "adam" for c in kept)
    assert not any(c.model.style is Style.subclass and c.train.batch_size == 32 for c in kept)
    assert len(made.excluded) == 18
    assert "subclass 128 rmsprop b32 s0" in made.excluded
    # It names runs, so it changes none of them.
    everything = {run.identity.run_fp for run in plan().runs}
    assert {run.identity.run_fp for run in made.runs} < everything


def test_an_exclusion_may_name_what_only_one_optimizer_has() -> None:
    made = plan("sweep.exclude=[{optimizer.rho:0.9,model.style:subclass},{optimizer.beta_1:0.5}]")
    assert sorted(made.excluded) == sorted(
        f"subclass {width} rmsprop b{batch} s0" for width in (128, 512) for batch in (32, 128)
    )


@pytest.mark.parametrize(
    ("exclude", "said"),
    [
        ("{model.stile:subclass}", "model.stile: no such key; did you mean model.style? (in 32 of"),
        ("{style:subclass}", "style: no such key; did you mean model.style? (in 32 of 32 runs)"),
        ("{x.y:null}", "x.y: no such key; `--cfg job` shows all (in 32 of 32 runs)"),
    ],
)
def test_exclusions_of_keys_that_do_not_exist(exclude: str, said: str) -> None:
    (problem,) = problems_of(f"sweep.exclude=[{exclude}]")
    assert problem.startswith(f"sweep.exclude: {said}")


def test_an_exclusion_of_everything_is_refused() -> None:
    assert problems_of("sweep.exclude=[{seed:0}]") == (
        "sweep.exclude leaves no run; drop one of its entries",
    )


def test_each_data_setting_is_read_once() -> None:
    asked: list[DataConfig] = []

    def digest(config: DataConfig) -> str:
        asked.append(config)
        return digest_of(config)

    plan("data.divisor=255,225", "seed=0,1", "data.validation=none,test", digest=digest)
    assert len(asked) == 4
    assert len({repr(config) for config in asked}) == 4


# --- Hydra's own answer -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments",
    [
        ["seed=range(0,2)", "model.hidden_units=[64],[32,16]", "optimizer=adam,sgd"],
        ["optimizer=adamw", "optimizer.weight_decay=0.1,0.2", "optimizer.clipnorm=null,1"],
        ["data=fashion_mnist,mnist", "data.train_limit=null,10", "++train.epochs=2,3"],
        ["tracking.experiment='a, b=\"c\"'", "study=x", "seed=1,2"],
        ["+experiment=flatten_1000,stacked_add", "train.epochs=1,2", "data.validation=none"],
        ["+experiment=functional_64", "optimizer=sgd,adam", "seed=4"],
        ["model.hidden_units=choice([1],[2,3])", "optimizer.learning_rate=1e-2", "study=null"],
        ["data.path='with space.npz',a/b.npz", "sweep.exclude=[{model.style:subclass}]"],
    ],
)
def test_runs_are_what_hydra_itself_composes(arguments: list[str]) -> None:
    typed = ["grid=none", *arguments]
    made = plan(*typed)
    parsed = OverridesParser.create().parse_overrides(typed)
    (batch,) = BasicSweeper.split_arguments(parsed, max_batch_size=None)
    theirs = {
        identity.identify(config, digest_of(config.data)).run_fp: config
        for config in (load_config(compose(*overrides)) for overrides in batch)
    }
    assert len(theirs) == len(batch) > 1
    assert {run.identity.run_fp: run.config for run in made.runs} == theirs
    # And a launcher, which composes from a run's overrides, gets what was planned.
    for run in made.runs[::3]:
        assert load_config(compose(*run.overrides)) == run.config


def test_the_default_grid_is_what_hydra_composes() -> None:
    for run in plan().runs[::9]:
        assert load_config(compose(*run.overrides)) == run.config


# --- studies ------------------------------------------------------------------------------------


def test_each_study_plans_and_fits_its_published_figures() -> None:
    reproductions = []
    for path in sorted(resource_dir("experiments").glob("*.yaml")):
        for config in configs(plan(f"+experiment={path.stem}", "seed=0")):
            assert path.stem in (config.study, "notebooks")
            if config.published is not None and path.stem != "notebooks":
                reproductions.append(path.stem)
                check_published(config, config.published)
    assert reproductions == STUDIES


def check_published(config: RunConfig, published: PublishedConfig) -> None:
    for key, curve in published.curves.items():
        assert len(curve) == config.train.epochs, key
        assert key.endswith("loss") or all(0 < share < 1 for share in curve)
        assert key.startswith("train_") or config.data.validation.value != "none"
    assert published.epoch_seconds is not None
    low, high = published.epoch_seconds
    assert 0 < low < high
    sizes = [784, *config.model.hidden_units, 10]
    assert published.params_total == sum((a + 1) * b for a, b in pairwise(sizes))


def test_only_the_first_run_of_a_cell_is_estimated_to_compile() -> None:
    [cell, other] = {r.identity.cell_fp for r in plan("grid=none", "train.batch_size=32,64").runs}
    earlier = [
        stored_run(cell, "fresh", 9.0),
        stored_run(cell, "reused", 2.0),
        stored_run(cell, "reused", 4.0),
        stored_run(other, "fresh", 20.0),
    ]
    made = plan("grid=none", "train.batch_size=32,64", "seed=5,6,7")
    estimates: dict[str, list[float | None]] = {cell: [], other: []}
    for prospect in assess(made, earlier):
        estimates[prospect.run.identity.cell_fp].append(prospect.seconds)
    assert estimates == {cell: [9, 3, 3], other: [20, 20, 20]}


def stored_run(cell: str, compiled: str, seconds: float) -> StoredRun:
    names = ("version", "code_fp", "data_fp", "run_fp")
    tags = dict.fromkeys(names, "") | {"cell_fp": cell, "compiled": compiled}
    return StoredRun(
        run_id="",
        name="",
        status="FINISHED",
        start_ms=0,
        params={"seed": "0"},
        metrics=dict.fromkeys(used_for(Use.needed), seconds),
        tags={**tags, "kind": "run", "complete": "1"},
        parent_run_id="",
        artifacts="",
        experiment_id="",
    )


def test_a_study_of_studies_runs_each_as_it_is_by_itself() -> None:
    made = plan("+experiment=notebooks")
    assert sorted(run.config.study or "" for run in made.runs) == STUDIES
    for run in made.runs:
        assert run.config == load_config(compose(f"+experiment={run.config.study}"))
        assert load_config(compose(*run.overrides)) == run.config


def test_what_is_typed_beats_every_study_in_it() -> None:
    made = plan("+experiment=notebooks", "train.epochs=1", "seed=3,4")
    assert len(made.runs) == 10
    assert {c.train.epochs for c in configs(made)} == {1}
    assert {c.seed for c in configs(made)} == {3, 4}
    fewer = plan("+experiment=notebooks", "+case=stacked_add,stacked_list")
    assert sorted(c.study or "" for c in configs(fewer)) == ["stacked_add", "stacked_list"]


def test_the_style_grid_is_the_default_grid_over_five_seeds() -> None:
    made = plan("+experiment=style_grid")
    assert {c.study for c in configs(made)} == {"style_grid"}
    grid = {run.identity.run_fp for run in plan("grid=seeds").runs}
    assert {run.identity.run_fp for run in made.runs} == grid


# --- refusals -----------------------------------------------------------------------------------


def test_all_errors_of_all_runs_come_at_once_and_say_in_how_many() -> None:
    found = problems_of(
        "model.style=subclass,nope",
        "model.hidden_units=[64],[]",
        "train.epochs=0,5",
        "train.batch_size=x,y",
        "optimizer=adam,nope,sgd",
        "optimizer.learning_rate=nan",
        "seed=-1,1",
    )
    total = 2 * 2 * 2 * 2 * 3 * 2
    counts = {}
    for problem in found:
        text, _, count = problem.partition(" (in ")
        assert count.endswith(f" of {total} runs)")
        counts[text.partition("; ")[0]] = int(count.split()[0])
    styles = ", ".join(style.value for style in Style)
    named = {
        f"model.style must be one of {styles}, got nope": 32,
        "model.hidden_units must list 1 to 64 widths, got []": 32,
        "train.epochs must be a whole number from 1 to 100000, got 0": 32,
        "train.batch_size must be a whole number such as 64, got x": 32,
        "train.batch_size must be a whole number such as 64, got y": 32,
        "optimizer.learning_rate must be a finite number above 0, got nan": 64,
        "seed must be a whole number from 0 to 4294967295, got -1": 32,
    }
    (unknown,) = counts.keys() - named.keys()
    assert counts.pop(unknown) == 32
    assert unknown.endswith("Could not find 'optimizer/nope' Available options in 'optimizer': "
                            "adam adamw rmsprop sgd")  # fmt: skip
    assert counts == named


def test_a_single_run_is_not_counted() -> None:
    (problem,) = problems_of("grid=none", "seed=-1")
    assert problem.endswith("e.g. seed=0")


def test_data_that_cannot_be_used_is_refused_with_the_rest() -> None:
    def digest(config: DataConfig) -> str:
        if config.path == "bad.npz":
            raise Refusal("data.path=bad.npz is broken")
        return digest_of(config)

    assert problems_of(
        "grid=none", "data.path=bad.npz,good.npz", "seed=0,1", "train.epochs=1,0", digest=digest
    ) == (
        "data.path=bad.npz is broken (in 2 of 8 runs)",
        "train.epochs must be a whole number from 1 to 100000, got 0; e.g. train.epochs=5 "
        "(in 4 of 8 runs)",
    )


@pytest.mark.parametrize(
    ("argument", "said"),
    [
        ("seed=range(0,5000000)", "1 to 100000 runs, got more"),
        ("model.style=glob(nothing*)", "1 to 100000 runs, got none"),
        ("optimizer=glob(nothing*)", "1 to 100000 runs, got none"),
        ("train.epochs=interval(1,3)", "train.epochs=interval(1,3): a sweep needs a list"),
        ("optimizer=null,adam", "optimizer=null: "),
        (f"optimizer={'x' * 300},adam", f"Could not find 'optimizer/{'x' * 300}'"),
        (f"optimizer={'x' * 10_000},adam", "File name too long"),
    ],
)
def test_sweeps_that_cannot_be_planned(argument: str, said: str) -> None:
    (problem,) = problems_of(argument)
    assert said in problem
    assert problem.isprintable()
    assert len(problem) < 1_200


PLAN_IN_ANOTHER_PROCESS = """
import json, sys
sys.path.insert(0, sys.argv[1])
from tests.composed import plan
from mnist_bench.train.data import load_cached
made = plan("seed=0,1", digest=lambda config: load_cached(config).digest)
heavy = sorted({"tensorflow", "keras", "mlflow", "matplotlib"} & set(sys.modules))
print(json.dumps([len(made.runs), made.sweep_id, heavy]))
"""


def test_a_plan_with_its_data_loads_neither_tensorflow_nor_mlflow(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PLAN_IN_ANOTHER_PROCESS, str(Path(__file__).parents[2])],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    runs, sweep_id, heavy = json.loads(done.stdout)
    assert runs == 64
    assert len(sweep_id) == 64
    assert heavy == []
    assert list(tmp_path.iterdir()) == []
