import base64
import io
import subprocess
import sys
from dataclasses import replace
from itertools import product
from xml.etree import ElementTree

import numpy as np
import pytest
from mlflow.tracking import MlflowClient
from PIL import Image
from scipy.stats import t

from mnist_bench.commands.main import COMMANDS, run_command
from mnist_bench.html.curves import PANEL_HEIGHT, Panels
from mnist_bench.report.cells import BATCH, OPTIMIZER, STYLE, WIDTH, Material, gather
from mnist_bench.report.curves import MOST_POINTS, Band
from mnist_bench.report.findings import examine
from mnist_bench.report.page import file_name, report_page
from mnist_bench.selection.baselines import write_baseline
from mnist_bench.selection.samples import Selection
from mnist_bench.selection.source import Answers, Source
from mnist_bench.text import ordered, shown
from mnist_bench.train.readers import MNIST_FILE
from tests.comparisons import sample
from tests.conftest import ENVIRONMENT
from tests.pages import HOSTILE, Page

STYLES = ("functional", "subclass")
CURVE = {"train_loss": (0.5, 0.25), "val_accuracy": (0.9, 0.95), "train_accuracy": (0.8, 0.9)}


def run(style="functional", width="[16]", optimizer="adam", batch="32", seed=0, **changes):
    own = {"adam": {"optimizer.beta_1": "0.9"}, "sgd": {"optimizer.momentum": "0.0"}}
    settings = {STYLE: style, WIDTH: width, OPTIMIZER: optimizer, BATCH: batch}
    settings |= own[optimizer] | {"data.name": "mnist"} | changes.pop("settings", {})
    made = sample(
        f"{style} {width} {optimizer} b{batch}",
        seed,
        settings=settings,
        **({"total_seconds": 3.0 + 0.001 * seed, "params_total": 10.0} | changes),
    )
    keep = {key: value for key, value in made.settings.items() if key != "model.cell"}
    return replace(made, settings=keep, run_id=f"{made.cell}-{seed}")


def material(runs, histories=None, answers=None, missing=()):
    kept = {r.run_id: CURVE for r in runs if not r.failure} if histories is None else histories
    return Material("sweep:abc", tuple(runs), tuple(missing), kept, answers or {})


def change(report, key, metric="test_accuracy", level=None):
    (found,) = (
        c
        for c in report.effects.changes
        if c.key == key and c.metric.name == metric and level in (None, c.level)
    )
    return found


# Effects


def test_an_effect_is_the_mean_over_cells_and_its_interval_holds_with_all_others():
    # Width adds 0.02 and +-0.005 in one optimizer or the other; all widths vary by 0.01 over seeds.
    runs = [
        run(width=width, optimizer=optimizer, seed=seed, test_accuracy=accuracy + spread)
        for seed, spread in enumerate((-0.01, 0.0, 0.01))
        for optimizer, more in (("adam", 0.005), ("sgd", -0.005))
        for width, accuracy in (("[16]", 0.9), ("[64]", 0.92 + more))
    ]
    report = examine(material(runs))
    found = change(report, WIDTH)
    assert (found.first, found.level) == ("[16]", "[64]")
    assert (found.cells, found.seeds, found.left_out) == (2, 3, 0)
    assert found.value == pytest.approx(0.02)
    # Two settings on two metrics have half of 5 %: t(1 - 0.025 / 4 / 2; 4) is 5.261.
    assert (report.effects.means_tested, report.effects.places_tested) == (4, 4)
    half = t.isf(0.025 / 4 / 2, 4) * 0.01 * (2 / 3) ** 0.5
    assert half == pytest.approx(0.04296, abs=5e-6)
    assert found.interval == pytest.approx((0.02 - half, 0.02 + half), abs=1e-7)
    assert found.direction == 0
    assert found.extremes == pytest.approx((0.015, 0.025))
    assert "all 8 comparisons together (4 mean changes, and 4 changes of" in report_page(report)


def levels(gains, spread=0.001, seeds=(0, 1, 2)):
    """Returns runs of a width a gain, each over the same seeds around its mean."""
    return [
        run(width=f"[{16 + place}]", seed=seed, test_accuracy=0.9 + gain + spread * (seed - 1))
        for place, gain in enumerate(gains)
        for seed in seeds
    ]


def test_the_same_change_is_told_of_one_level_and_not_as_the_largest_of_many():
    # Both intervals are of t(4), standard error 0.001 (2 / 3)^0.5 = 0.00082, a change of 0.004.
    for others, direction in ((0, 1), (7, 0)):
        report = examine(material(levels([0.0, 0.004, *[0.0] * others])))
        assert report.effects.means_tested == 2 * (1 + others)
        found = report.effects.headline(WIDTH)[0]
        assert (found.level, found.direction) == ("[17]", direction)
        assert (found.interval[0] > 0) == bool(direction)
        text = report_page(report)
        word = "better" if direction else "cannot tell"
        assert "Hidden widths, [17] instead of [16]: test accuracy +0.40 pp [" in text
        assert f"pp], {word}; seconds an epoch" in text


def test_a_headline_tells_what_is_beyond_chance_before_what_is_larger():
    wild = [
        run(width="[64]", seed=seed, test_accuracy=0.8 + gain)
        for seed, gain in enumerate((0.0, 0.1, 0.19))
    ]
    report = examine(material([*levels([0.0, -0.009]), *wild]))
    found = report.effects.headline(WIDTH)[0]
    assert (found.level, found.direction) == ("[17]", -1)
    assert "pp], worse; seconds an epoch" in report_page(report)


def grid(gains, spread=0.001, seeds=range(5)):
    """Returns runs of two optimizers by two batch sizes, of which sgd gains this at each."""
    noise = np.random.default_rng(0).normal(0, spread, (2, 2, max(seeds) + 1))
    return [
        run(
            optimizer=optimizer,
            batch=batch,
            seed=seed,
            test_accuracy=0.9 + (optimizer == "sgd") * gains[column] + noise[row, column, seed],
        )
        for row, optimizer in enumerate(("adam", "sgd"))
        for column, batch in enumerate(("32", "512"))
        for seed in seeds
    ]


def test_a_level_that_turns_over_is_told_where_the_mean_hides_it():
    report = examine(material(grid((0.008, -0.007))))
    (found,) = [c for c in report.effects.crossings if c.mean.key == OPTIMIZER]
    assert (found.other, found.better[0], found.worse[0]) == (BATCH, "32", "512")
    assert found.mean.direction == 0
    assert found.better[1].interval[0] > 0 > found.worse[1].interval[1]
    assert found.better[1].confidence == pytest.approx(1 - 0.025 / report.effects.places_tested)
    sentence = "Optimizer, sgd instead of adam: test accuracy is better at batch size 32 (+0."
    text = "".join(Page(report_page(report)).text)
    assert text.count(sentence) == 2  # in the headline and beside the table
    assert "hides it." in text


@pytest.mark.parametrize("gains", [(0.0, 0.0), (0.02, 0.0), (0.02, 0.01)])
def test_a_level_that_does_not_turn_over_is_not_told_to(gains):
    report = examine(material(grid(gains)))
    assert not report.effects.crossings
    text = report_page(report)
    assert "Cannot tell whether a level is better at one value" in text
    assert "of 4 changes at single values" in text
    assert "hides it" not in text


def test_one_seed_tests_no_turning_over_and_says_so():
    report = examine(material(grid((0.1, -0.1), seeds=[0])))
    assert (report.effects.crossings, report.effects.places_tested) == ((), 0)
    text = report_page(report)
    assert "One seed: cannot tell whether a level is better at one value" in text
    assert "pp, cannot tell; seconds an epoch" in text
    assert "together" not in text.replace("all together", "")
    one = report_page(examine(material([run(), run(width="[64]")])))
    assert "whether a level is better" not in one  # there is no other setting


def test_styles_are_one_network_and_turn_nothing_over():
    runs = [run(style=s, width=w, seed=i) for s in STYLES for w in ("[16]", "[64]") for i in (0, 1)]
    report = examine(material(runs))
    assert (report.effects.means_tested, report.effects.places_tested) == (4, 0)


def test_time_changes_by_ratio_and_its_interval_is_in_order():
    runs = [
        run(batch=batch, seed=seed, epoch_seconds_median=seconds)
        for seed, ratio in enumerate((0.5, 0.5, 0.25))
        for batch, seconds in (("32", 2.0), ("128", 2.0 * ratio))
    ]
    found = change(examine(material(runs)), BATCH, "epoch_seconds_median")
    assert (found.first, found.level) == ("32", "128")
    assert found.value == pytest.approx((0.5 * 0.5 * 0.25) ** (1 / 3) - 1)
    low, high = found.interval
    assert low < found.value < high
    assert found.extremes == pytest.approx((-0.75, -0.5))


@pytest.mark.parametrize(
    "facts", [{"timing": "shared"}, {"timing": "disturbed"}, {"machine": "other"}]
)
def test_times_count_only_alone_on_one_machine(facts):
    runs = [run(batch="32"), run(batch="128", facts=facts)]
    report = examine(material(runs))
    assert change(report, BATCH, "epoch_seconds_median").value is None
    assert change(report, BATCH).value == 0
    assert "no two runs were timed alone on one machine" in report_page(report)


@pytest.mark.parametrize("facts", [{"timing": "shared"}, {"host_fp": "other"}, None])
def test_the_fastest_is_named_only_where_times_compare(facts):
    quick = run(batch="128", test_accuracy=0.9, epoch_seconds_median=0.1)
    runs = [run(batch="32"), quick]
    assert "Fastest" in report_page(examine(material(runs)))
    if facts is None:  # two machines of which nothing is known are not one
        unknown = {key: value for key, value in quick.facts.items() if key != "host_fp"}
        runs = [replace(r, facts=unknown) for r in runs]
    else:
        runs[1] = replace(quick, facts=quick.facts | facts)
    text = report_page(examine(material(runs)))
    assert "Fastest" not in text
    assert "so the times may not compare" in text


def test_styles_without_a_common_point_prove_nothing():
    text = report_page(examine(material([run(), run(style="subclass", width="[64]")])))
    assert text.count("No two styles finished with all else equal.") == 2
    assert "0 of 0" not in text


def test_only_cells_that_differ_in_one_setting_are_compared():
    runs = [run(width="[16]", batch="32"), run(width="[64]", batch="128")]
    report = examine(material(runs))
    assert {c.cells for c in report.effects.changes} == {0}
    assert "No two cells with a result differ in one of these alone" in report_page(report)
    assert "hidden widths, batch size" in report_page(report)


def test_data_that_differ_are_no_pair():
    runs = [run(width="[16]"), run(width="[64]", facts={"data_fp": "other"})]
    assert change(examine(material(runs)), WIDTH).cells == 0


def test_settings_of_an_optimizer_go_with_it_unless_they_were_swept():
    runs = [
        run(optimizer=optimizer, settings={"optimizer.learning_rate": rate})
        for optimizer, rate in (("adam", "0.001"), ("sgd", "0.01"))
    ]
    report = examine(material(runs))
    assert list(report.swept) == [OPTIMIZER]
    assert change(report, OPTIMIZER).cells == 1
    more = [run(optimizer="sgd", settings={"optimizer.learning_rate": "0.001"})]
    more[0] = replace(more[0], run_id="more", cell="more")
    report = examine(material(runs + more))
    assert list(report.swept) == [OPTIMIZER, "optimizer.learning_rate"]
    assert change(report, OPTIMIZER).cells == 1  # at the rate that both have
    assert change(report, "optimizer.learning_rate").cells == 1


def test_a_failed_run_costs_its_cell_and_a_seed_begun_last_costs_itself():
    runs = [
        run(width=width, optimizer=optimizer, batch=batch, seed=seed)
        for seed, optimizer, batch, width in product(
            (0, 1, 2), ("adam", "sgd"), ("32", "128"), ("[16]", "[64]")
        )
    ]
    runs = [r for r in runs if r.seed < 2 or r.cell == "functional [16] adam b32"]
    failed = run(width="[64]", optimizer="sgd", batch="128", seed=1, failure="diverged")
    runs = [failed if r.run_id == failed.run_id else r for r in runs]
    found = change(examine(material(runs)), WIDTH)
    assert (found.cells, found.seeds, found.left_out) == (3, 2, 1)


def test_levels_are_in_the_order_of_their_numbers():
    assert ordered(["[128]", "[64,32]", "[16]", "[64]"]) == ["[16]", "[64]", "[64,32]", "[128]"]
    assert ordered(["3.15.1", "3.9.0"]) == ["3.9.0", "3.15.1"]
    assert ordered(["1e-3", "0.01", "1e-4"]) == ["1e-4", "1e-3", "0.01"]
    assert ordered(["subclass", "functional"]) == ["functional", "subclass"]


# One seed, missing seeds, failures


def test_one_seed_has_no_interval_and_says_so():
    report = examine(material([run(width="[16]"), run(width="[64]", test_accuracy=0.99)]))
    found = change(report, WIDTH)
    assert found.interval is None
    assert found.value == pytest.approx(0.01)
    assert {standing.half_width for standing in report.standings} == {None}
    text = report_page(report)
    assert "There is one seed, so there is no interval" in text
    assert "±" not in text.replace("± is half", "")


def test_seeds_that_are_missing_are_counted_not_filled_in():
    runs = [run(width="[16]", seed=s, test_accuracy=0.9 + 0.01 * s) for s in range(3)]
    runs += [run(width="[64]", seed=s) for s in range(2)]
    report = examine(material(runs, missing=["functional 64 adam b32 s2"]))
    assert {s.cell: s.seeds for s in report.standings} == {"[16]": 3, "[64]": 2}
    assert (change(report, WIDTH).cells, change(report, WIDTH).seeds) == (1, 2)
    text = report_page(report)
    assert "5 of 6 runs finished" in text
    assert "<li>functional 64 adam b32 s2</li>" in text


def test_failures_are_in_no_mean_and_listed():
    runs = [run(seed=0, test_accuracy=0.9), run(seed=1, failure="diverged: loss is nan")]
    report = examine(material(runs))
    (standing,) = report.standings
    assert (standing.seeds, standing.test_accuracy) == (1, 0.9)
    assert report.heat_maps[0].values["[16]", "32"] == (0.9, 1)
    text = report_page(report)
    assert "diverged: loss is nan" in text
    assert '<h1 class="fail">Sweep abc: 1 of 2 runs finished' in text


def test_a_heat_map_is_over_what_all_its_squares_have():
    wide = [run("subclass", "[64]", test_accuracy=0.9), run("functional", "[64]", failure="killed")]
    runs = [run("subclass", test_accuracy=0.8), run("functional", test_accuracy=0.4), *wide]
    (found,) = examine(material(runs)).heat_maps
    assert dict(found.values) == {("[16]", "32"): (0.8, 1), ("[64]", "32"): (0.9, 1)}
    text = report_page(examine(material([runs[1], wide[0]])))  # no style that both widths have
    assert "40.00 %, n 1" in text
    assert "do not have the same settings and seeds" in text


def test_a_sweep_without_any_result_still_gives_a_page():
    text = report_page(
        examine(material([run(failure="diverged"), run(width="[64]", failure="killed")]))
    )
    assert "No run has a result" in text
    assert "<svg" not in text.replace("<svg/>", "")


def test_one_cell_is_not_compared_with_itself():
    one = run()
    labels = np.array([1, 3])
    answers = {one.run_id: Answers(np.array([1, 2]), labels)}
    text = report_page(examine(material([one], answers=answers)))
    assert "<li>1 of 2 test images are wrong.</li>" in text
    for absent in ("Fastest", "Heat map", "Pareto", "what each setting does"):
        assert absent not in text


# Styles and curves


def styles(**second):
    runs = [run(style=s, width=w) for w in ("[16]", "[64]") for s in STYLES]
    histories = {r.run_id: CURVE for r in runs}
    histories[runs[-1].run_id] = CURVE | second
    return runs, histories


def test_styles_that_coincide_share_a_curve_and_are_proven_equal():
    report = examine(material(*styles()))
    assert (report.style_control.equal, report.style_control.points) == (2, 2)
    assert [curve.label for curve in report.curves] == ["[16]", "[64]"]
    assert {curve.styles for curve in report.curves} == {STYLES}
    assert "at 2 of 2 points" in report_page(report)


def test_the_last_bit_of_one_epoch_breaks_the_proof():
    report = examine(material(*styles(train_loss=(0.5, np.nextafter(0.25, 1)))))
    assert (report.style_control.equal, report.style_control.points) == (1, 2)
    assert report.style_control.differing == ("functional [64] adam b32 s0",)
    assert len(report.curves) == 3
    assert "they differ at functional [64] adam b32 s0" in report_page(report)


def test_without_curves_nothing_is_proven():
    runs, _ = styles()
    report = examine(material(runs, histories={}))
    assert (report.style_control.equal, report.style_control.unknown) == (0, 2)
    assert not report.curves
    assert "2 keep no curves to tell by" in report_page(report)


def test_a_band_goes_from_the_lowest_to_the_highest_seed():
    runs = [run(seed=seed) for seed in range(3)]
    values = ((0.5, 0.75), (0.25, 0.75), (0.75, 0.75))
    histories = {r.run_id: {"val_accuracy": v} for r, v in zip(runs, values, strict=True)}
    (curve,) = examine(material(runs, histories)).curves
    band = curve.bands["validation"]
    assert band.epochs.tolist() == [1, 2]
    assert (band.mean.tolist(), band.low.tolist(), band.high.tolist()) == (
        [0.5, 0.75],
        [0.25, 0.75],
        [0.75, 0.75],
    )


def test_long_curves_are_thinned():
    history = {"val_accuracy": tuple(np.linspace(0.1, 0.9, 5_000))}
    one = run()
    (curve,) = examine(material([one], {one.run_id: history})).curves
    epochs = curve.bands["validation"].epochs
    assert (len(epochs), epochs[0], epochs[-1]) == (MOST_POINTS, 1, 5_000)


# Mistakes


def test_mistakes_of_all_are_drawn_from_the_packaged_images():
    with np.load(MNIST_FILE) as arrays:
        labels, pixels = arrays["y_test"], arrays["x_test"]
    runs = [run(seed=seed) for seed in range(3)]
    answers = {}
    for r, wrong in zip(runs, ((7, 8), (7,), (7, 9)), strict=True):
        predicted = labels.copy()
        predicted[list(wrong)] = (labels[list(wrong)] + 1 + (r.seed == 2)) % 10
        answers[r.run_id] = Answers(predicted, labels)
    report = examine(material(runs, answers=answers))
    found = report.mistakes
    assert (found.runs, found.distinct, found.by_some) == (3, 3, 3)
    (image,) = found.by_all
    label = int(labels[7])
    assert (image.index, image.label) == (7, label)
    assert image.said == (((label + 1) % 10, 2), ((label + 2) % 10, 1))
    seen = Page(report_page(report))
    (source,) = (value for name, value in seen.attributes if name == "src")
    drawn = Image.open(io.BytesIO(base64.b64decode(source.partition(",")[2])))
    assert np.array_equal(255 - np.asarray(drawn), pixels[7])
    (alt,) = (value for name, value in seen.attributes if name == "alt")
    assert alt.startswith(f"Test image 7, a {label} that all 3 runs got wrong: 2 said")


def test_mistakes_on_other_images_are_counted_but_not_drawn():
    one = replace(run(), cell="functional [16] adam b32 mnist-da7a")
    answers = {one.run_id: Answers(np.array([1, 2]), np.array([1, 3]))}
    report = examine(material([one], answers=answers))
    assert [image.index for image in report.mistakes.by_all] == [1]
    text = report_page(report)
    assert "<img" not in text
    assert "only the images of the packaged MNIST" in text


def test_different_images_have_no_mistakes_in_common():
    runs = [run(seed=0), run(seed=1)]
    labels = np.array([1, 3]), np.array([1, 4])
    answers = {r.run_id: Answers(a, a) for r, a in zip(runs, labels, strict=True)}
    assert examine(material(runs, answers=answers)).mistakes is None


# Page


def big():
    return [
        run(s, w, o, b, seed=seed, test_accuracy=0.9 + 0.01 * seed + 0.001 * len(w + b))
        for s, w, o, b, seed in product(
            STYLES, ("[16]", "[784,64]"), ("adam", "sgd"), ("32", "128"), range(2)
        )
    ]


def test_the_page_is_one_file_without_network_or_script():
    text = report_page(examine(material(big())))
    seen = Page(text)
    assert not {"script", "link", "iframe"} & set(seen.tags)
    links = {value for name, value in seen.attributes if name in ("src", "href", "xlink:href")}
    assert links == {"#all-curves"}
    assert "url(" not in text
    assert "@import" not in text
    assert "prefers-color-scheme: dark" in text
    assert "@media print" in text
    labels = [value for name, value in seen.attributes if name == "aria-label"]
    for said in ("Heat map of test accuracy", "Accuracy by epoch of", "Test accuracy against"):
        assert any(label.startswith(said) for label in labels)
    assert "[784,64]" in "".join(seen.text)


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_names_are_text(text):
    runs = [
        replace(run(seed=0), cell=text, name=text),
        replace(run(seed=1, failure=text), cell=text, name=text),
        run(width=text, settings={text: text}),
    ]
    made = material(runs, missing=[text])
    seen = Page(report_page(examine(replace(made, label=text))))
    assert not {"script", "img"} & set(seen.tags)
    assert not [name for name, _ in seen.attributes if name.startswith("on")]
    assert shown(text) in "".join(seen.text)
    assert file_name(text) == f"report-{file_name(text)[7:-5]}.html"
    assert not {"/", " ", "<", "\n"} & set(file_name(text))


def test_the_scale_of_curves_ends_where_no_mistake_is_left():
    band = Band(np.array([1, 2]), *[np.array([0.5, 1.0])] * 3)
    svg = ElementTree.fromstring(Panels([{"training": band}]).panel(0, "title"))
    polyline = svg.find("polyline")
    (_, first), (_, last) = (p.split(",") for p in polyline.get("points").split())
    assert 0 < float(last) < float(first) < PANEL_HEIGHT


# The command


def test_the_report_of_a_real_sweep(trained, tmp_path):
    done = trained("report", "--output", str(tmp_path / "r.html"))
    assert done.stdout.startswith(f"wrote {tmp_path / 'r.html'}: 8 runs of sweep:")
    text = (tmp_path / "r.html").read_text(encoding="utf-8")
    assert "all 8 runs finished" in text
    assert "at 2 of 2 points" in text
    (written,) = (trained.folder / "outputs").glob("report-sweep-*.html")
    assert written.read_text(encoding="utf-8") == text
    (artifact,) = (trained.folder / "mlruns").rglob("report.html")
    assert artifact.read_text(encoding="utf-8") == text


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["sweep:ffff"], "sweep:ffff: there is no such sweep; choose from: sweep:"),
        (["latest", "more"], "unexpected extra argument"),
        (["--output", "{folder}/no/r.html"], "cannot write it: No such file"),
        (["--tracking-uri", "sqlite:///{folder}/none.db"], "there is no store"),
    ],
)
def test_what_cannot_be_done_is_refused_in_one_line(
    arguments, said, trained, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(trained.folder)
    given = [argument.format(folder=tmp_path) for argument in arguments]
    assert run_command(["report", *given]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("refused: ")
    assert said in line
    assert not list(tmp_path.iterdir())


def test_a_failure_is_told_with_its_message(tmp_path):
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    client = MlflowClient(uri)
    experiment = client.create_experiment("x", artifact_location=tmp_path.as_uri())
    tags = {
        "mnist_bench.kind": "run",
        "mnist_bench.failure": "diverged",
        "mnist_bench.failure_message": "the loss became nan",
    }
    run_id = client.create_run(experiment, tags=tags).info.run_id
    client.log_param(run_id, "seed", 0)
    client.set_terminated(run_id, "FAILED")
    (failed,) = gather(Source(uri), f"run:{run_id}").samples
    assert failed.failure == "diverged: the loss became nan"


def test_the_report_of_a_baseline_file_needs_no_store(tmp_path):
    write_baseline(tmp_path / "x.json", Selection("x", (run(), run(seed=1, failure="killed"))))
    source = Source(f"sqlite:///{tmp_path}/none.db")
    assert len(gather(source, str(tmp_path / "x.json")).samples) == 2


def test_tensorflow_is_never_loaded(trained, tmp_path):
    code = (
        "import sys; from mnist_bench.commands.main import run_command;"
        f"code = run_command(['report', 'latest', '--output', {str(tmp_path / 'r.html')!r}]);"
        "sys.exit(code or bool({'tensorflow', 'keras'} & set(sys.modules)))"
    )
    command = [sys.executable, "-c", code]
    subprocess.run(command, cwd=trained.folder, env=ENVIRONMENT, capture_output=True, check=True)


def test_every_command_is_in_the_help(cli):
    text = cli("--help").stdout
    assert all(f"python -m mnist_bench {name} " in text for name in COMMANDS)
