"""The benchmarks of speed: their formulas against hand numbers, and work that must be equal."""

import json
from importlib import import_module

import numpy as np
import pytest

from benchmarks import calibration, clocked, headlines, kernels, peers, roofline, timing
from benchmarks.contestants import keras_fit, ours, prepare, work
from benchmarks.networks import NARROW, NETWORKS, STACKED, WIDE, Product
from mnist_bench.compare.judge import compare_selections
from mnist_bench.compare.options import Options
from mnist_bench.selection.samples import Selection
from tests.comparisons import sample

ROWS = 60_000


def test_an_epoch_of_one_hidden_layer_is_the_published_count_of_operations():
    # N (4 W + 20 h), W = 794 h: the products of all layers but the first layer's input gradient.
    assert WIDE.epoch_flops(ROWS) == ROWS * (4 * 784 * 1000 + 6 * 10 * 1000)
    assert WIDE.epoch_flops(ROWS) == ROWS * (4 * 794 * 1000 + 20 * 1000)
    assert WIDE.epoch_flops(ROWS) / 1e9 == pytest.approx(192, abs=0.5)


def test_updates_stream_seven_or_five_arrays_a_step():
    parameters = 784 * 1000 + 1000 + 1000 * 10 + 10
    assert sum(WIDE.weight_counts()) == parameters == 795_010
    assert WIDE.epoch_optimizer_bytes(ROWS) == 7 * 4 * parameters * 1875
    assert WIDE.epoch_optimizer_bytes(ROWS) / 1e9 == pytest.approx(41.7, abs=0.05)
    # 937 full batches and one of 32 rows.
    assert NARROW.epoch_optimizer_bytes(ROWS) == 5 * 4 * 55_050 * 938


def test_a_step_has_three_products_a_layer_but_the_first():
    assert WIDE.products() == [
        Product("forward", 32, 784, 1000),
        Product("weight_gradient", 784, 32, 1000),
        Product("forward", 32, 1000, 10),
        Product("weight_gradient", 1000, 32, 10),
        Product("input_gradient", 32, 10, 1000),
    ]
    assert len(STACKED.products()) == 8


@pytest.mark.parametrize("product", NARROW.products(), ids=lambda product: product.kind)
def test_operands_are_laid_out_as_in_training(product):
    left, right, turn_left, turn_right = kernels.operands(product, np.random.default_rng(0))
    first = left[0].T if turn_left else left[0]
    second = right.T if turn_right else right
    assert (first @ second).shape == (product.rows, product.columns)
    # Kernels lie as (inputs, outputs) and batches as (rows, units), whatever the product needs.
    batch = NARROW.batch_size
    assert left.shape[1] == batch
    if product.kind == "weight_gradient":
        assert right.shape[0] == batch
    if product.kind == "input_gradient":
        assert right.shape == (product.columns, product.inner)


def test_bounds_take_the_fastest_library_of_each_product():
    timed = [
        {"product_seconds": [4e-6, 1e-6, 1e-6, 1e-6, 1e-6], "update_seconds": 5e-6},
        {"product_seconds": [2e-6, 3e-6, 1e-6, 1e-6, 1e-6], "update_seconds": None},
    ]
    bounds = roofline.bounds(WIDE, timed)
    assert bounds.products_seconds == pytest.approx(6e-6 * 1875)
    assert bounds.update_seconds == pytest.approx(5e-6 * 1875)
    assert bounds.serial == pytest.approx(11e-6 * 1875)
    assert bounds.overlapped == pytest.approx(6e-6 * 1875)


def test_an_epoch_under_the_overlapped_bound_is_impossible():
    timed = {"xla": {"product_seconds": [1e-4] * 5, "update_seconds": 2e-4}}
    serial, overlapped = 7e-4 * 1875, 5e-4 * 1875

    def summary(*seconds):
        results = [{"timed": timed, "steady_epoch_seconds": s} for s in seconds]
        return roofline.summarise(WIDE, results)

    honest = summary(2 * serial, 4 * serial, 2 * serial)
    assert not honest["impossible"]
    assert honest["attained_share"]["median"] == pytest.approx(0.5)
    assert honest["attained_share"]["min"] == pytest.approx(0.25)
    assert not summary(overlapped * 1.01)["impossible"]
    assert summary(serial, overlapped * 0.99)["impossible"]
    assert "target 0.75" in roofline.table(WIDE, honest)
    [product, *_, update] = honest["kernels"]
    assert product["rate"] == pytest.approx(2 * 32 * 784 * 1000 / 1e-4 / 1e9)
    assert update["rate"] == pytest.approx(7 * 4 * 795_010 / 2e-4 / 1e9)


def test_spread_and_ratios_are_taken_pair_by_pair():
    assert timing.spread([3.0, 1.0, 2.0]) == timing.Spread(2.0, 1.0, 3.0, 3, noisy=True)
    assert not timing.spread([1.0, 1.05, 1.1]).noisy
    assert timing.ratios([8.0, 3.0], [2.0, 3.0]) == [4.0, 1.0]
    with pytest.raises(ValueError, match="shorter"):
        timing.ratios([8.0, 3.0], [2.0])
    assert timing.steady_epoch([90.0, 1.0, 2.0, 4.0]) == 2.0


def result(epoch_seconds, losses=(0.2, 0.1), accuracy=0.97):
    return {
        "epoch_seconds": epoch_seconds,
        "train_loss": list(losses),
        "test_accuracy": accuracy,
        "compile_seconds": 1.0,
    }


def test_the_summary_holds_ratios_to_ours_and_the_targets():
    rounds = [
        {"stock fit": result([9.0, 6.0]), "ours": result([3.0, 1.0])},
        {"ours": result([3.0, 2.0]), "stock fit": result([9.0, 8.0])},
        {"ours": result([3.0, 1.0]), "stock fit": result([9.0, 5.0])},
    ]
    summary = peers.summarise(STACKED, rounds)
    assert list(summary) == ["ours", "stock fit"]
    stock = summary["stock fit"]
    assert (stock["ratio"]["median"], stock["ratio"]["min"], stock["ratio"]["max"]) == (5, 4, 6)
    assert stock["steady_epoch_seconds"]["median"] == 6
    assert stock["first_epoch_seconds"]["median"] == 10
    assert stock["target"] == 4.0
    assert summary["ours"]["target"] is None
    text = peers.table(STACKED.name, summary)
    assert "n = 3" in text
    assert "5.000 (4.000 to 6.000)" in text


@pytest.mark.parametrize(
    ("theirs", "fault"),
    [
        (result([1.0, 1.0], losses=(0.2001, 0.0999)), None),
        (result([1.0, 1.0], losses=(0.2, 0.104)), None),
        (result([1.0, 1.0], losses=(0.208, 0.1)), "loss of epoch 1"),
        (result([1.0, 1.0], losses=(0.2, 0.11)), "loss of epoch 2"),
        (result([1.0, 1.0], losses=(float("nan"), 0.1)), "loss of epoch 1"),
        (result([1.0, 1.0], accuracy=0.95), "test accuracy is 0.9500, ours 0.9700"),
    ],
)
def test_work_that_is_not_equal_is_named(theirs, fault):
    faults = list(peers.unequal_work("net", {"ours": result([1.0, 1.0]), "jax scan": theirs}))
    if fault is None:
        assert faults == []
    else:
        assert len(faults) == 1
        assert "net, jax scan" in faults[0]
        assert fault in faults[0]


def test_every_target_names_a_contestant_that_trains_the_network():
    assert set(peers.TARGETS) == set(NETWORKS)
    for network, targets in peers.TARGETS.items():
        assert all(network in peers.CONTESTANTS[name].networks for name in targets)


def test_work_comes_back_as_it_was_written(tmp_path, capsys):
    arrays = {
        "images": np.eye(4, 784, dtype=np.float32),
        "labels": np.arange(4, dtype=np.int32),
        "test_images": np.ones((2, 784), np.float32),
        "test_labels": np.array([1, 0], np.int32),
        "orders": np.array([[3, 1, 2, 0]], np.int32),
    }
    # More than ten, so that an order by name would differ.
    weights = [np.full((2, 1), index, np.float32) for index in range(12)]
    work.write(tmp_path / "given", {"batch_size": 2, "optimizer": "adam"}, arrays, weights)
    given = work.read(tmp_path / "given")
    assert (given.batch_size, given.optimizer) == (2, "adam")
    for name, array in arrays.items():
        np.testing.assert_array_equal(getattr(given, name), array)
    assert [weight[0, 0] for weight in given.weights] == list(range(12))

    work.hand_back([1.0, 2.0], [np.float32(0.5)], np.float64(0.9))
    handed = json.loads(capsys.readouterr().out)
    assert handed == {
        "epoch_seconds": [1.0, 2.0],
        "train_loss": [0.5],
        "test_accuracy": 0.9,
        "compile_seconds": 0.0,
    }


def test_ours_and_the_plain_script_do_the_same_work(tmp_path, capsys, monkeypatch):
    folder, settings = str(tmp_path / "given"), [*NARROW.overrides, "train.epochs=2"]
    settings += ["data.validation=none", "data.train_limit=600"]

    def handed_back(contestant, *arguments):
        monkeypatch.setattr("sys.argv", [contestant.__name__, *arguments])
        contestant.main()
        return json.loads(capsys.readouterr().out.splitlines()[-1])

    monkeypatch.setattr("sys.argv", ["prepare", folder, *settings])
    prepare.main()
    results = {"ours": handed_back(ours, *settings), "stock fit": handed_back(keras_fit, folder)}
    assert list(peers.unequal_work(NARROW.name, results)) == []
    assert results["stock fit"]["train_loss"] == pytest.approx(results["ours"]["train_loss"], 1e-4)


@pytest.mark.parametrize("benchmark", [peers, roofline])
def test_a_single_epoch_is_refused_for_it_has_no_steady_one(benchmark, capsys):
    with pytest.raises(SystemExit) as refused:
        benchmark.main(["--epochs", "1"])
    assert refused.value.code == 2
    assert "first epoch is not a steady one" in capsys.readouterr().err


@pytest.mark.parametrize(("module", "function"), clocked.CLOCKED)
def test_what_has_a_clock_is_where_it_is_looked_for(module, function):
    assert callable(getattr(import_module(module), function))


def test_reports_of_noise_are_judged_against_reports_without():
    scenario = headlines.Scenario("turns over", gains=(10, -10))
    axes = dict.fromkeys(headlines.KEYS[:2], ("0", "1"))
    true = headlines.reported(scenario, axes, np.zeros((2, 4, 3)))
    assert (true.means_tested, true.places_tested) == (4, 4)  # times compare
    assert ("model.hidden_units", "1", "optimizer.name", "0", "1") in headlines.turnings(true)
    assert headlines.judged(true, true) == (False, False, False, False, False, True)
    level = headlines.Scenario("better", gains=(5, 5))
    wrong = headlines.reported(level, axes, np.zeros((2, 4, 3)))
    assert headlines.judged(wrong, true) == (True, True, True, False, True, False)
    null = headlines.reported(headlines.NULL, axes, np.zeros((2, 4, 3)))
    assert headlines.judged(true, null)[3:] == (True, True, False)


def test_rates_of_headlines_are_written(tmp_path, capsys):
    file = tmp_path / "rates.json"
    assert headlines.main(["--repetitions", "1", "--output", str(file)]) in (0, 1)
    rows = json.loads(file.read_text())["rows"]
    assert {(row["settings"], row["levels"], row["seeds"]) for row in rows} >= {
        (1, 1, 3),
        (3, 8, 5),
    }
    assert "false_anything" in capsys.readouterr().out


def test_the_published_rates_of_headlines_are_those_that_were_measured():
    record = json.loads(headlines.RESULTS.read_text(encoding="utf-8"))
    page = (headlines.RESULTS.parents[2] / "docs/reading-results.md").read_text(encoding="utf-8")
    text = " ".join(page.split())
    null = [row for row in record["rows"] if row["scenario"] == headlines.NULL.name]
    errs, alone = (max(row[name] for row in null) for name in ("false_anything", "unadjusted"))
    assert max(row["false_anything"] for row in record["rows"]) <= headlines.ALPHA
    assert f"simulates {record['repetitions']:,} pages a row" in text
    assert f"at most {100 * errs:.1f} %" in text
    assert f"up to {100 * alone:.1f} %" in text
    (found, _) = (row["found"] for row in record["rows"] if row["scenario"] == "5 SD better")
    assert f"Three seeds find {100 * found:.1f} %" in text


# Error rates


def of_a_store(scenario, sides, repetition):
    """Returns the two selections that a simulated comparison stands for, one gate an accuracy."""
    names = ("test_accuracy", "test_loss")
    margins = {"test_accuracy": 1e-3, "test_loss": float(np.expm1(0.05))}
    selections = []
    for side, seeds in enumerate(scenario.seeds):
        runs = []
        for cell in range(scenario.cells):
            for seed in range(seeds):
                scores = [pair[side][repetition, cell, seed] for pair in sides]
                accuracy = 0.98 + scores[0] * 2e-3  # a margin is half a deviation
                loss = 0.07 * np.exp(-0.1 * scores[1]) if len(scores) > 1 else 0.07
                metrics = dict(zip(names, (accuracy, loss), strict=True))
                runs.append(sample(f"cell{cell}", 100 * side + seed, **metrics))
        selections.append(Selection("ab"[side], tuple(runs)))
    gates = names[: scenario.gates]
    return *selections, Options(gates=gates, margins=margins, fail_on=frozenset({"regression"}))


@pytest.mark.parametrize(
    "changes",
    [
        {"drop": 1.5},
        {"drop": 6, "broken": 1, "gates": 1},
        {"spread": 20, "cells": 2},
        {"unstable": 0.2, "cells": 2},
        {"noise": "skewed", "drop": 1, "wild": 1},
        {"seeds": (6, 2), "drop": 2},
        {"seeds": (4, 1), "collapsed": 1, "unstable": 0.1},
    ],
)
def test_the_simulated_comparison_is_the_one_that_users_get(changes):
    """Whole comparisons of the same numbers: one exit code, one alarm, however they are drawn."""
    scenario = calibration.Scenario(**{"name": "", "seeds": (4, 4), "cells": 4} | changes)
    sides = calibration.draw(np.random.default_rng(1), scenario, 40)
    for pair in sides:
        for side in pair:
            np.maximum(side, -439, out=side)  # no accuracy is below 10 %
    simulated = calibration.judge(scenario, sides)
    found = {"alarm": [], "failed": []}
    for repetition in range(40):
        before, after, options = of_a_store(scenario, sides, repetition)
        comparison = compare_selections(before, [after], options)
        gated = [row for row in comparison.pairings[0].rows() if row.metric.name in options.gates]
        alarms = {"REGRESSED", "worse<m", "IMPROVED", "better<m", "OUTLIERS"}
        found["alarm"].append(any(row.verdict in alarms or row.outliers for row in gated))
        found["failed"].append(comparison.exit_code == 1)
    assert found["alarm"] == simulated.alarm.tolist()
    assert found["failed"] == simulated.failed.tolist()
    assert any(found["failed"])
    assert not all(found["failed"])
