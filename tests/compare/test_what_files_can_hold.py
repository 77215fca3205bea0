"""Every case of a store that once passed and should not have, through the command line.

Files are written as `--export` writes them, and their numbers replaced.
"""

import json
from dataclasses import replace

import numpy as np
import pytest

from mnist_bench.commands.main import run_command
from mnist_bench.selection.baselines import write_baseline
from mnist_bench.selection.samples import Selection
from tests.comparisons import sample, side

GOOD = (0.980, 0.981, 0.979, 0.980, 0.9805)
CELLS = tuple(f"cell{number}" for number in range(16))


def noisy(rng, seeds, mean=0.98, deviation=0.001):
    return [round(float(a), 4) for a in rng.normal(mean, deviation, seeds)]


def whole(selection, name):
    """Returns runs with all that a result needs, of which no two took equally long."""
    runs = []
    for number, run in enumerate(selection.samples):
        rest = {"total_seconds": 9 + number / 100, "params_total": 10.0, **run.metrics}
        metrics = {} if run.failure else rest
        runs.append(replace(run, run_id=f"{name} {run.run_id}", metrics=metrics))
    return Selection(selection.label, tuple(runs))


@pytest.fixture
def compare(tmp_path, capsys):
    """The command on two selections: its exit code, and what it printed."""

    def run(before, after, *arguments, gates=("test_accuracy",)):
        for name, selection in (("before", before), ("after", after)):
            one = whole(selection, "same" if after is before else name)
            write_baseline(tmp_path / f"{name}.json", one)
        files = [str(tmp_path / f"{name}.json") for name in ("before", "after")]
        gated = [word for gate in gates for word in ("--metric", gate)]
        code = run_command(["compare", *files, *gated, *arguments])
        said = capsys.readouterr()
        return code, said.out + said.err

    return run


def row(said, cell):
    return next(line for line in said.splitlines() if line.startswith(f"  {cell} "))


# Runs that collapsed


@pytest.mark.parametrize("cells", [1, 16])
@pytest.mark.parametrize("collapsed", [1, 2, 3, 4, 5])
def test_runs_that_collapsed_fail_and_are_named(compare, cells, collapsed):
    rng = np.random.default_rng(collapsed)
    base = {cell: noisy(rng, 5) for cell in CELLS[:cells]}
    cand = {cell: noisy(rng, 5) for cell in CELLS[:cells]}
    cand["cell0"] = [0.1] * collapsed + cand["cell0"][collapsed:]
    code, said = compare(side("b", base), side("c", cand))
    assert code == 1
    named = ", ".join(f"{seed} (10.00 %)" for seed in range(collapsed))
    assert f"{named} collapsed" in row(said, "cell0")
    assert said.count("collapsed") == 2, "in the row, and in the reason"


def test_a_spread_20_times_wider_around_the_same_mean_fails(compare):
    rng = np.random.default_rng(0)
    base = {cell: noisy(rng, 5) for cell in CELLS}
    cand = {cell: noisy(rng, 5) for cell in CELLS}
    cand["cell3"] = [0.9999, 0.9999, 0.98, 0.99, 0.9302]
    code, said = compare(side("b", base), side("c", cand))
    assert code == 1
    assert "OUTLIERS" in row(said, "cell3")
    assert "4 (93.02 %)" in row(said, "cell3")


def test_a_cell_left_with_one_broken_seed_is_not_dropped(compare):
    rng = np.random.default_rng(1)
    base = side("b", {cell: noisy(rng, 5) for cell in CELLS})
    cand = side("c", {c: noisy(rng, 5) if c != "cell5" else [0.5] for c in CELLS})
    asked = ("--gate", "non-inferiority")
    assert compare(base, cand, *asked, "--fail-on", "regression,failed,inconclusive")[0] == 1
    code, said = compare(base, cand, *asked, "--fail-on", "failed,inconclusive")
    assert code == 3, said


def test_a_cell_that_nobody_can_judge_is_not_passed_where_that_fails(compare):
    rng = np.random.default_rng(2)
    base = side("b", {cell: noisy(rng, 5) for cell in CELLS})
    cand = side("c", {c: noisy(rng, 5) if c != "cell5" else [0.9795] for c in CELLS})
    words = ("--fail-on", "regression,failed,inconclusive")
    code, said = compare(base, cand, *words)
    assert code == 3
    assert "INCONCLUSIVE test_accuracy in cell5" in said


def test_ten_seeds_against_one_that_collapsed(compare):
    rng = np.random.default_rng(3)
    cand = side("c", {"a": [0.1]})
    words = ("--fail-on", "regression,failed")
    code, said = compare(side("b", {"a": noisy(rng, 10)}), cand, *words)
    assert (code, "seed 0 (10.00 %) collapsed" in said) == (1, True)


UNSTABLE = (0.98, 0.981, 0.1, 0.979, 0.98)


@pytest.mark.parametrize(
    ("accuracies", "code"),
    [
        ((0.1, 0.98, 0.98, 0.981, 0.98), 0),
        ((0.1, 0.1, 0.98, 0.981, 0.98), 3),
        ((0.1, 0.1, 0.1, 0.1, 0.98), 3),
        ((0.1,) * 5, 1),
        ((0.1,) * 2, 3),
        ((0.1,), 3),
        ((0.98,), 0),
        ((0.75, 0.76, 0.77, 0.75, 0.76), 1),
    ],
)
def test_where_the_baseline_collapses_too_more_of_it_is_never_a_pass(compare, accuracies, code):
    words = ("--fail-on", "regression,failed")
    base, cand = side("b", {"a": UNSTABLE}), side("c", {"a": accuracies})
    found, said = compare(base, cand, *words)
    assert found == code, said
    assert ("did: cannot be told" in said) is (code == 3)


def test_runs_that_collapse_more_often_are_found_where_there_are_enough(compare):
    rng = np.random.default_rng(6)
    base, cand = ([0.1] * bad + noisy(rng, 20 - bad) for bad in (2, 16))
    code, said = compare(side("b", {"a": base}), side("c", {"a": cand}))
    assert code == 1
    assert "collapsed more often than 2 of 20 runs of the baseline, p 0.0" in row(said, "a")


def test_one_seed_a_side_still_finds_a_network_that_collapsed(compare):
    code, said = compare(side("b", {"a": [0.98]}), side("c", {"a": [0.3]}))
    assert (code, "seed 0 (30.00 %) collapsed" in said) == (1, True)


def test_a_run_that_collapsed_fails_whatever_is_gated(compare):
    rng = np.random.default_rng(4)
    base = side("b", {"a": noisy(rng, 5)})
    cand = side("c", {"a": [*noisy(rng, 4), 0.1]})
    assert compare(base, cand, "--metric", "test_accuracy:info", "--metric", "test_loss")[0] in (
        1,
        2,
    )


def test_a_cell_that_is_as_unsteady_on_both_sides_is_no_finding(compare):
    base = side("b", {"a": [0.98, 0.97, 0.1, 0.98, 0.975]})
    cand = side("c", {"a": [0.98, 0.1, 0.97, 0.975, 0.98]}, 5)
    assert compare(base, cand)[0] == 0


def test_a_small_loss_of_one_run_is_no_finding(compare):
    base, cand = side("b", {"a": [0.98] * 5}), side("c", {"a": [0.98] * 4 + [0.979]})
    assert compare(base, cand)[0] == 0, "ten times the step, but less than the margin"


@pytest.mark.parametrize("seeds", [1, 2])
def test_five_times_the_errors_are_no_pass_with_too_few_seeds(compare, seeds):
    base = side("b", {"a": GOOD[:seeds]})
    code, said = compare(base, side("c", {"a": [0.88, 0.86][:seeds]}))
    assert (code, "far below the baseline, with so few seeds: cannot be told" in said) == (3, True)
    few = compare(side("b", {"a": GOOD[:1]}), side("c", {"a": [0.95]}))
    assert few[0] == 0, "one seed cannot tell three times the errors"


@pytest.mark.parametrize("mean", [0.11, 0.3, 0.45])
def test_where_the_baseline_has_hardly_learnt_nothing_has_collapsed(compare, mean):
    rng = np.random.default_rng(9)
    base = {c: np.clip(rng.normal(mean, mean / 4, 3), 0, 1).tolist() for c in CELLS}
    cand = {c: np.clip(rng.normal(mean, mean / 4, 3), 0, 1).tolist() for c in CELLS}
    code, said = compare(side("b", base), side("c", cand))
    assert code != 1, said
    assert "collapsed" not in said


def test_a_broken_cell_does_not_hide_in_a_weighted_mean(compare):
    rng = np.random.default_rng(10)
    base = {cell: noisy(rng, 3, 0.98, 0.001) for cell in CELLS}
    cand = {cell: noisy(rng, 3, 0.98, 0.001) for cell in CELLS}
    cand["cell0"] = [0.955, 0.93, 0.9]
    asked = ("--gate", "non-inferiority", "--fail-on", "failed")
    code, said = compare(side("b", base), side("c", cand), *asked)
    assert code == 3
    suite = next(line for line in said.splitlines() if "suite of 16 cells" in line)
    assert "INCONCLUSIVE" in suite
    assert "less weight on 1 cell" in suite


def test_a_gate_that_cannot_be_judged_is_no_pass(compare):
    base, cand = (side(n, {"a": GOOD}, s) for n, s in (("b", 0), ("c", 5)))
    code, said = compare(base, cand, gates=("test_accuracy", "epoch_seconds_median"))
    assert (code, "NOT COMPARABLE epoch_seconds_median" in said.splitlines()[-1]) == (3, True)


def test_junit_fails_where_the_exit_code_does(compare, capsys, tmp_path):
    base = side("b", {"a": GOOD, "b": GOOD})
    broken = side("c", {"a": [*GOOD[:4], 0.1], "b": GOOD})
    newer = side("c", {"a": GOOD, "b": GOOD, "c": GOOD})
    for cand, arguments in (
        (broken, ()),
        (newer, ("--expect-same",)),
        (
            side("c", {"a": [0.98, 0.97, 0.96, 0.99, 0.98], "b": GOOD}),
            ("--fail-on", "inconclusive"),
        ),
    ):
        for gate in ("test_accuracy", "test_loss"):
            code, said = compare(base, cand, "--format", "junit", *arguments, gates=(gate,))
            assert ("<failure" in said) is (code != 0), said


def test_paired_turns_of_unequal_number_are_written_in_every_form(compare):
    order = [(0, "b"), (0, "c"), (1, "b"), (1, "c"), (2, "b"), (2, "c"), (3, "c"), (3, "b")]
    sides = {"b": [], "c": []}
    for place, (seed, which) in enumerate(order):
        run = sample("a", seed, test_accuracy=GOOD[seed], epoch_seconds_median=0.5 + place / 100)
        sides[which].append(replace(run, start_ms=20_000 * place))
    both = [Selection(name, tuple(runs)) for name, runs in sides.items()]
    for form in ("json", "csv"):
        assert compare(*both, "--paired", "--format", form)[0] == 0


# Seeds that are not there, runs that are there twice


def test_seeds_that_were_not_run_are_listed_and_fail(compare):
    code, said = compare(side("b", {"a": GOOD}), side("c", {"a": GOOD[:2]}))
    assert (code, "MISSING a: seeds 2-4" in said) == (1, True)
    forgiven = ("--fail-on", "regression,failed")
    code, said = compare(side("b", {"a": GOOD}), side("c", {"a": GOOD[:2]}), *forgiven)
    assert (code, "MISSING a: seeds 2-4" in said) == (0, True)


def test_fresh_seeds_are_not_missing_but_fewer_are(compare):
    assert compare(side("b", {"a": GOOD}), side("c", {"a": GOOD}, 5))[0] == 0
    code, said = compare(side("b", {"a": GOOD}), side("c", {"a": GOOD[:3]}, 5))
    assert (code, "MISSING a: seeds 0-4" in said) == (1, True)


@pytest.mark.parametrize(
    ("failure", "code"), [("error: no space", 1), ("diverged", 1), ("killed", 0)]
)
def test_the_newest_attempt_counts_even_if_it_failed(compare, failure, code):
    old = side("c", {"a": GOOD})
    new = [
        replace(sample("a", seed, failure=failure), start_ms=10_000_000 + seed, run_id=f"new{seed}")
        for seed in range(5)
    ]
    found, said = compare(side("b", {"a": GOOD}), Selection("c", (*old.samples, *new)))
    assert found == code
    assert ("FAILED" in row(said, "a")) is (code == 1)


def test_a_run_that_is_compared_with_itself_is_said_and_its_time_is_not_judged(compare):
    same = side("b", {"a": GOOD})
    code, said = compare(same, same)
    assert code == 0
    assert "; the same runs are on both sides (all), which" in said.splitlines()[-1]
    gates = ("test_accuracy", "epoch_seconds_median")
    code, said = compare(same, same, gates=gates)
    assert code == 3, "a gate that was asked for and judged nowhere"
    said_of_time = said.partition("epoch_seconds_median (gated")[2]
    assert "NOT COMPARABLE" in said_of_time.splitlines()[2]


def test_one_run_under_five_seeds_is_refused(compare):
    one = sample("a", 0)
    copies = [replace(one, seed=seed) for seed in range(5)]
    code, said = compare(side("b", {"a": GOOD}), Selection("c", tuple(copies)))
    assert (code, "seeds 0 and 1 are copies of one run" in said) == (2, True)
    renamed = [sample("a", seed, total_seconds=9.25) for seed in range(5)]
    code, said = compare(side("b", {"a": GOOD}), Selection("c", tuple(renamed)))
    assert (code, "seeds 0 and 1 are copies of one run" in said) == (2, True)


# Numbers


@pytest.mark.parametrize("top", [0.98, 0.9812, 0.9731])
def test_a_loss_of_exactly_the_margin_is_one_whatever_it_starts_from(compare, top):
    before = [round(top + d, 5) for d in (0, 1e-5, -1e-5, 2e-5, -2e-5)]
    after = [round(a - 0.002, 5) for a in before]
    code, said = compare(side("b", {"a": before}), side("c", {"a": after}))
    assert (code, "REGRESSED" in row(said, "a")) == (1, True)


@pytest.mark.parametrize(
    ("metric", "value", "rule"),
    [
        ("test_accuracy", 98.0, "from 0 to 1"),
        ("test_accuracy", 1.03, "from 0 to 1"),
        ("test_accuracy", -0.1, "from 0 to 1"),
        ("test_loss", 1e300, "from 0 to 1e"),
        ("epoch_seconds_median", -1.0, "from 0 to 1e"),
    ],
)
def test_a_number_that_no_run_gives_is_refused_by_name(
    compare, tmp_path, capsys, metric, value, rule
):
    compare(side("b", {"a": GOOD}), side("c", {"a": GOOD}, 5))
    path = tmp_path / "after.json"
    content = json.loads(path.read_text())
    content["samples"][2]["metrics"][metric] = value
    path.write_text(json.dumps(content))
    assert run_command(["compare", str(tmp_path / "before.json"), str(path)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert f"sample 2: metrics.{metric} must be {rule}" in line
    assert str(value) in line


def test_ties_of_two_seeds_are_no_certainty(compare):
    rng = np.random.default_rng(5)
    alarms = 0
    for _ in range(20):
        sides = [
            side(
                name, {f"c{i}": np.round(rng.normal(0.98, 1e-4, 2), 4).tolist() for i in range(64)}
            )
            for name in "bc"
        ]
        code, said = compare(*sides)
        alarms += "worse<m" in said or "better<m" in said or code != 0
    assert alarms <= 2


# What is said of the figures


@pytest.mark.parametrize(("images", "said"), [("10000", "10,000"), ("400", "400"), ("", "")])
def test_the_error_of_the_test_images_is_of_their_number(compare, images, said):
    facts = {"test_images": images} if images else {}
    sides = [side(name, {"a": GOOD}, start, facts=facts) for name, start in (("b", 0), ("c", 5))]
    error = 100 * (0.9801 * 0.0199 / int(images)) ** 0.5 if images else 0
    told = f"The choice of {said} test images alone has a standard error of {error:.2f} pp"
    code, text = compare(*sides)
    assert (code, told in text) == (0, bool(images))
    assert ("test images" in text) is bool(images)


def test_one_image_more_is_no_finding_where_there_are_few(compare):
    """Accuracy in steps of 1/400: no spread of 3 seeds a side is no certainty of 0.25 points."""
    base = side("b", {"a": [0.98] * 3}, facts={"test_images": "400"})
    for images, code in (("400", 0), ("10000", 1)):
        cand = side("c", {"a": [0.9775] * 3}, 3, facts={"test_images": images})
        known = replace_fact(base, images)
        assert compare(known, cand)[0] == code


def replace_fact(selection, images):
    runs = [replace(r, facts=r.facts | {"test_images": images}) for r in selection.samples]
    return Selection(selection.label, tuple(runs))


def test_the_advice_to_run_more_seeds_says_what_a_second_look_costs(compare):
    rng = np.random.default_rng(8)
    base, cand = (
        side(n, {"a": noisy(rng, 3, deviation=0.003)}, s) for n, s in (("b", 0), ("c", 3))
    )
    code, said = compare(base, cand)
    assert (code, "INCONCLUSIVE (needs " in said) == (0, True)
    assert "Run that many anew and look once" in said
    assert "two looks: --alpha 0.025 each" in said
    assert "look once" not in compare(side("b", {"a": GOOD}), side("c", {"a": GOOD}))[1]


@pytest.mark.parametrize(
    ("facts", "code"), [({}, 3), ({"majority_share": "0.9000"}, 1), ({"majority_share": "x"}, 3)]
)
def test_a_network_that_always_says_the_same_has_collapsed_whatever_the_classes(
    compare, facts, code
):
    """Nine of ten images are of one class: 90 % is what guessing gets, not 10 %."""
    base = side("b", {"a": [0.99]}, facts=facts)
    assert compare(base, side("c", {"a": [0.9]}, facts=facts))[0] == code
