"""The published times are those of the committed results."""

import copy
import re

import pytest

from benchmarks import end_to_end, suite
from benchmarks.timing import Spread, machine
from docs import make_performance as made
from docs.make_comparing import part
from mnist_bench.store.runs import StoredRun

RESULTS = made.read()
SPREAD = {"median": 2.0, "min": 1.5, "max": 2.5, "n": 3, "noisy": True}
MEASURED = {"machine": machine(), "load_average": 0.5}


def row(value):
    keys = ("epoch_seconds_median", "compile_seconds", "examples_per_second")
    return {"value": value, **dict.fromkeys((*keys, "peak_memory_bytes", "params_total"), SPREAD)}


def costs_of(**seconds):
    return {"seconds_of_a_run": {**dict.fromkeys(made.SPENT_ON, 0.0), **seconds}}


JOB = {**MEASURED, "target": 4.0, **dict.fromkeys(("ours_seconds", "plain_seconds"), SPREAD)}
KERNELS = ("products_seconds", "update_seconds", "serial_bound_seconds")
BOUNDS = (*KERNELS, "overlapped_bound_seconds", "steady_epoch_seconds", "attained_share")
WHO = {**dict.fromkeys(("steady_epoch_seconds", "first_epoch_seconds", "ratio"), SPREAD)}
WHO |= {"test_accuracy": 0.98, "target": None}
SEED = ("train_seconds", "beside_training_seconds", "eval_seconds")
SEED += ("figures_seconds", "tracking_seconds", "rest_seconds")
COMMAND = {"seconds": 7.0, "peak_memory_bytes": 3e8, "limit": 6.0}
EVERYTHING = {
    "peers": {
        "machine": machine(),
        "rounds": [{"load_average": 0.5}],
        "skipped": ["jax scan"],
        "networks": {"net": {"ours": WHO, "stock fit": {**WHO, "target": 5.5}}},
    },
    "roofline": {
        "machine": machine(),
        "rounds": [{"load_average": 0.5}],
        "networks": {"net": {**dict.fromkeys(BOUNDS, SPREAD), "target": 0.75}},
    },
    "end_to_end": {
        "studies": {**JOB, "ratio": {**SPREAD, "median": 4.5}, "rounds": []},
        "sweep": {
            **JOB,
            "ratio": SPREAD,
            "scripts_timed": 8,
            "scaled_by": 4,
            "rounds": [costs_of(train=1.0, compile=3.0)],
        },
        "single": {**MEASURED, "rounds": [costs_of(train=1.0), costs_of(train=3.0)]},
        "seeds": {**MEASURED, "limit": 0.5, "cells": {"net": dict.fromkeys(SEED, SPREAD)}},
    },
    "scaling": {
        "width": {**MEASURED, "settings": ["train.epochs=5"], "rows": [row(64), row(4096)]},
        "batch": {**MEASURED, "settings": ["train.epochs=5"], "rows": [row(16), row(4096)]},
        "runs": {
            **MEASURED,
            "settings": [],
            "process_seconds": 30.0,
            "memory_growth": 0.2,
            "memory_growth_limit": 0.1,
            "seconds": [0.5] * 24,
            "peak_memory_bytes": [10**9] * 25,
        },
        "store": {
            **MEASURED,
            "planned": 1_000,
            "rows": [
                {"value": 0, "plan": COMMAND},
                {"value": 100, "plan": COMMAND, "compare": {**COMMAND, "limit": None}},
            ],
        },
    },
}


def test_pages_and_plots_are_those_of_the_files():
    assert made.main(["--check"]) == 0


@pytest.mark.parametrize("path", made.PAGES, ids=lambda path: path.stem)
def test_a_page_has_no_figures_but_those_of_the_files(path):
    page = path.read_text(encoding="utf-8")
    assert made.fill(page, EVERYTHING) != page
    nothing = made.fill(page, {})
    found = [name for name in made.PARTS if f"<!-- {name} -->" in page]
    assert found
    assert all(part(nothing, name) == made.NOT_MEASURED for name in found)


def test_every_part_stands_somewhere():
    pages = "".join(path.read_text(encoding="utf-8") for path in made.PAGES)
    assert all(pages.count(f"<!-- {name} -->") == 1 for name in made.PARTS)


def test_what_is_shown_is_what_was_measured():
    page = made.fill(made.PAGES[0].read_text(encoding="utf-8"), EVERYTHING)
    assert made.NOT_MEASURED not in page
    assert (
        "| net | stock fit | 2.000 (1.500 to 2.500) † | 2.00 (1.50 to 2.50) † | 5.5: **not met** |"
        " 1.00 |" in page
    )
    assert "Skipped, since not installed: jax scan." in page
    assert (
        "| five notebook studies | 2 (2 to 2) † | 2 (2 to 2) † | 4.5 (1.5 to 2.5) † | 4: met"
        in page
    )
    assert "| default sweep, 32 runs |" in page
    assert "| **training** | 2.00 s, 100% | 1.00 s, 25% |" in page
    assert "| all but training | 0.00 s, 0% | 3.00 s, 75% |" in page
    assert "2.00 (1.50 to 2.50) † | at most 0.5: **not met** |" in page
    assert "Memory at the end is +20.0% of that after run 20, **beyond** the limit" in page
    assert "| 0 | 7.0 (**over** 6) | 300 |  |  |" in page
    assert "| 100 | 7.0 (**over** 6) | 300 | 7.0 | 300 |" in page


@pytest.mark.parametrize("name", made.PLOTS)
def test_a_plot_tells_which_record_it_was_drawn_from(name, tmp_path, monkeypatch):
    monkeypatch.setattr(made, "IMAGES", tmp_path)
    record = EVERYTHING["scaling"][name]
    assert not made.is_drawn(name, record)
    made.draw(name, record)
    first = made.image(name).read_bytes()
    made.draw(name, copy.deepcopy(record))
    assert made.image(name).read_bytes() == first
    assert made.is_drawn(name, record)
    assert not made.is_drawn(name, {**record, "load_average": 9.0})


def test_the_page_says_where_each_figure_comes_from():
    page = made.PAGES[0].read_text(encoding="utf-8")
    for name in made.PARTS:
        shown = part(page, name)
        if shown and shown != made.NOT_MEASURED:
            assert re.search(r"n = \d+", shown), name
            assert re.search(r"\d+ cores of .*commit [0-9a-f]{10}", shown), name


def test_seconds_by_what_they_went_to_add_up():
    metrics = {f"{name}_seconds": 1.0 for name in end_to_end.RECORDED}
    runs = [StoredRun(str(n), "", "FINISHED", n, {}, metrics, {}, "", "", "") for n in range(4)]
    shares = end_to_end.shares(suite.Outcome(60.0, {"imports": 8.0, "other": 50.0}, runs))
    assert list(shares) == list(made.SPENT_ON)
    assert shares["imports"] == 2.0
    assert shares["train"] == 1.0
    assert sum(shares.values()) == pytest.approx(60.0 / 4)


def test_a_further_seed_takes_what_is_not_training_until_the_next_begins():
    metrics = {f"{name}_seconds": 0.1 for name in end_to_end.BESIDE_TRAINING}
    metrics["train_seconds"] = 2.0
    one, other = (
        StoredRun("", "", "FINISHED", ms, {}, metrics, {}, "", "", "") for ms in (5_000, 7_750)
    )
    found = end_to_end.beside_training(one, other)
    assert found["beside_training_seconds"] == pytest.approx(0.75)
    assert found["rest_seconds"] == pytest.approx(0.45)


def test_a_ratio_of_two_jobs_is_taken_round_by_round(capsys):
    rounds = [
        {"ours_seconds": 10.0, "plain_seconds": 40.0},
        {"ours_seconds": 20.0, "plain_seconds": 100.0},
        {"ours_seconds": 10.0, "plain_seconds": 60.0},
    ]
    found = end_to_end.compared("studies", rounds)
    assert Spread(**found["ratio"]) == Spread(5.0, 4.0, 6.0, 3, True)
    assert "plain / ours 5.000 (4.000 to 6.000)" in capsys.readouterr().out


def test_different_work_is_not_compared():
    end_to_end.check_equal_work("net", 0.980, 0.976)
    with pytest.raises(SystemExit, match="not the same work"):
        end_to_end.check_equal_work("net", 0.980, 0.974)
