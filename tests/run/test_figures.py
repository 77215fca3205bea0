"""What a figure can get silently wrong: the data on it, its words, its legibility, its bytes."""

import subprocess
import sys
from itertools import combinations

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text
from PIL import Image

from mnist_bench.run import figures

NAN, INF = float("nan"), float("inf")
RUN = "sequential_add 784-64 rmsprop b64 s0"
NOTE = "validation rows were also trained on; pixels divided by 225"
MEASURED = {"train": [0.91, 0.95, 0.97], "validation": [0.93, 0.96, 0.96]}
PUBLISHED = {"train": [0.90, 0.94, 0.96, 0.98], "validation": [0.92, 0.97]}

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(1, 256, (40, 28, 28), dtype=np.uint8)  # no two are alike
LABELS = RNG.integers(0, 10, 40, dtype=np.uint8)
CONFIDENCES = RNG.uniform(0.3, 0.99, 40).astype(np.float16)
PROBABILITIES = np.array([0, 0.01, 0.2, 0, 0, 0.7, 0, 0.09, 0, 0], dtype=np.float32)
MATRIX = np.diag(np.arange(900, 1000, 10))
MATRIX[4, 9], MATRIX[9, 4], MATRIX[2, 7] = 17, 3, 1

FIGURES = {
    "accuracy": lambda: figures.curves(RUN, "accuracy", MEASURED, PUBLISHED, NOTE),
    "loss": lambda: figures.curves(RUN, "loss", MEASURED, PUBLISHED, NOTE),
    "training_samples": lambda: figures.training_samples(IMAGES, LABELS),
    "mistakes": lambda: figures.surest_mistakes(IMAGES, LABELS, 9 - LABELS, CONFIDENCES, RUN),
    "first_test_image": lambda: figures.first_test_image(IMAGES[0], 7, PROBABILITIES, RUN),
    "confusion_matrix": lambda: figures.confusion_matrix(MATRIX, RUN),
}
HARD_CURVES = {
    "one epoch": {"train": [0.3], "validation": [0.2]},
    "diverged": {"train": [0.3, 9.5, NAN, NAN], "validation": [0.2, INF, NAN, NAN]},
    "never finite": {"train": [NAN, -INF]},
    "huge": {"train": [0.3, 1e7, 3e30]},
    "zero": {"train": [0.5, 0.0]},
    "all zero": {"train": [0.0]},
    "flat": {"train": [2.3026, 2.3026]},
    "all right": {"train": [1.0, 1.0]},
    "tiny": {"train": [1e-3, 1e-6]},
    "many epochs": {"train": list(1 / np.arange(1.0, 201.0))},
}


def lines(figure):
    """Return the drawn series by the first line of their labels."""
    return {line.get_label().split("\n")[0]: line for line in figure.axes[0].lines}


def words(figure):
    return "\n".join(text.get_text() for text in figure.findobj(Text))


def labels(figure):
    return figure.findobj(figures.Label)


def tiles(figure):
    """Return caption and pixels of each image of a grid, found below where the caption stands."""
    (axes,) = figure.axes
    pixels = np.ma.filled(axes.images[0].get_array(), NAN)
    found = []
    for text in labels(figure):
        left, above = np.round(text.get_position()).astype(int)
        inked = np.argwhere(~np.isnan(pixels[above:, left:]))
        (down, right) = inked[0]
        assert down <= 4, "the caption stands right above its image"
        assert right <= 1, "the caption begins where its image begins"
        top, start = above + down, left + right
        found.append((text.get_text(), pixels[top : top + 28, start : start + 28]))
    return found


def shown(ticks, limits):
    return [tick for tick in ticks if min(limits) <= tick <= max(limits)]


@pytest.mark.parametrize("metric", ["accuracy", "loss"])
def test_each_series_has_its_values_at_one_based_epochs(metric):
    figure = figures.curves(RUN, metric, MEASURED, PUBLISHED)
    drawn = lines(figure)
    assert set(drawn) == {
        "train, measured",
        "validation, measured",
        "train, published",
        "validation, published",
    }
    for source, series in (("measured", MEASURED), ("published", PUBLISHED)):
        for name, values in series.items():
            line = drawn[f"{name}, {source}"]
            assert line.get_xdata().tolist() == list(range(1, len(values) + 1))
            assert line.get_ydata().tolist() == values
            last = f"{values[-1]:.4f}" if metric == "accuracy" else f"{values[-1]:.4g}"
            assert line.get_label().endswith(f"\n{last} at epoch {len(values)}")
    assert figure.axes[0].get_xlabel() == "epoch"
    assert metric in figure.axes[0].get_ylabel()


def test_published_is_dotted_in_the_hue_of_its_series_and_series_differ_by_more_than_hue():
    drawn = lines(figures.curves(RUN, "accuracy", MEASURED, PUBLISHED))
    for name in ("train", "validation"):
        measured, published = drawn[f"{name}, measured"], drawn[f"{name}, published"]
        assert (measured.get_linestyle(), published.get_linestyle()) == ("-", ":")
        assert measured.get_color() == published.get_color()
        assert published.get_markersize() > measured.get_markersize()
        assert published.get_markerfacecolor() == "none"
    train, validation = drawn["train, measured"], drawn["validation, measured"]
    assert train.get_color() != validation.get_color()
    assert train.get_marker() != validation.get_marker()


def test_a_series_without_its_counterpart_is_drawn():
    drawn = lines(figures.curves(RUN, "loss", {"train": [0.3]}, {"validation": [0.2, 0.1]}))
    assert set(drawn) == {"train, measured", "validation, published"}


def test_a_curve_of_training_says_that_it_is_a_mean_over_the_steps():
    assert figures.TRAIN_NOTE in words(figures.curves(RUN, "accuracy", MEASURED, {}))
    assert figures.TRAIN_NOTE in words(figures.curves(RUN, "loss", {}, {"train": [0.2]}))
    alone = figures.curves(RUN, "loss", {"validation": [0.2]}, {})
    assert figures.TRAIN_NOTE not in words(alone)


def test_a_wrong_name_is_refused_and_not_left_out():
    with pytest.raises(KeyError, match="val_loss"):
        figures.curves(RUN, "loss", {"train": [0.3], "val_loss": [0.2]}, {})
    with pytest.raises(KeyError, match="recall"):
        figures.curves(RUN, "recall", {"train": [0.3]}, {})


def test_title_and_note_are_shown_as_they_are():
    figure = figures.curves("cost $1$ run", "loss", MEASURED, {}, NOTE)
    assert "Loss by epoch: cost $1$ run" in words(figure)
    assert NOTE in words(figure)
    (title,) = [text for text in figure.texts if "cost" in text.get_text()]
    assert not title.get_parse_math()


@pytest.mark.parametrize("epochs", [1, 2, 3, 5, 10, 13, 30, 200])
def test_epoch_ticks_are_whole_numbers_of_epochs_that_exist(epochs):
    axes = figures.curves(RUN, "accuracy", {"train": [0.9] * epochs}, {}).axes[0]
    ticks = shown(axes.get_xticks(), axes.get_xlim())
    assert ticks
    assert all(tick == round(tick) and 1 <= tick <= epochs for tick in ticks)
    if epochs <= 10:
        assert ticks == list(range(1, epochs + 1))


@pytest.mark.parametrize("metric", ["accuracy", "loss"])
@pytest.mark.parametrize("case", HARD_CURVES)
def test_hard_curves_are_drawn_in_full_on_a_readable_scale(case, metric, tmp_path):
    series = HARD_CURVES[case]
    if metric == "accuracy":
        series = {
            name: [v if not np.isfinite(v) else min(v, 1) for v in values]
            for name, values in series.items()
        }
    figure = figures.curves(RUN, metric, series, {})
    figures.save(figure, tmp_path / "curve.png")
    axes = figure.axes[0]
    low, high = axes.get_ylim()
    values = np.concatenate(list(series.values()))
    values = values[np.isfinite(values)]
    assert low < high
    assert all(low <= value <= high for value in values)
    assert len(shown(axes.get_yticks(), (low, high))) >= 2
    if metric == "accuracy":
        assert low >= 0
        assert 1 <= high <= 1.05
    elif axes.get_yscale() == "linear":
        assert low == 0
        assert "log" not in axes.get_ylabel()
    else:
        assert "log scale" in axes.get_ylabel()


def test_values_that_are_not_finite_leave_a_gap_and_a_cross():
    figure = figures.curves(
        RUN, "loss", {"train": [0.3, NAN, 0.2, INF], "validation": [0.2, 0.1, 0.1, NAN]}, {}
    )
    train, train_cross, validation, validation_cross = figure.axes[0].lines
    np.testing.assert_array_equal(train.get_ydata(), [0.3, NAN, 0.2, NAN])
    np.testing.assert_array_equal(validation.get_ydata(), [0.2, 0.1, 0.1, NAN])
    for cross, line, epochs in (
        (train_cross, train, [2, 4]),
        (validation_cross, validation, [4]),
    ):
        assert cross.get_xdata().tolist() == epochs
        assert cross.get_marker() == "x"
        assert cross.get_color() == line.get_color()
        heights = (
            figure.axes[0]
            .transAxes.inverted()
            .transform(cross.get_transform().transform(cross.get_xydata()))[:, 1]
        )
        assert ((heights > 0) & (heights < 0.2)).all(), "inside the axes, at their foot"
    assert train_cross.get_ydata()[0] != validation_cross.get_ydata()[0], "both can be seen"
    assert "train, measured\nnot finite: 2 of 4 epochs" in words(figure)
    assert "validation, measured\nnot finite: 1 of 4 epochs" in words(figure)


@pytest.mark.parametrize("count", [40, 20, 7])
def test_training_samples_are_the_first_twenty_each_under_its_own_label(count):
    figure = figures.training_samples(IMAGES[:count], LABELS[:count])
    found = tiles(figure)
    assert len(found) == min(count, 20)
    for (caption, pixels), image, label in zip(found, IMAGES, LABELS, strict=False):
        assert caption == f"label {label}"
        np.testing.assert_array_equal(pixels, image)
    assert f"first {min(count, 20)} training images" in words(figure)


def test_mistakes_are_the_most_confident_wrong_answers_in_order():
    predictions = LABELS.copy()
    wrong = [i for i in range(40) if i % 3]  # 26 of them
    predictions[wrong] = (LABELS[wrong] + 1 + np.arange(26) % 8) % 10
    confidences = CONFIDENCES.copy()
    confidences[0] = 1  # the surest answer of all is right
    confidences[[10, 5, 20]] = 0.995  # equals, in the order of the images
    expected = sorted(wrong, key=lambda i: (-float(confidences[i]), i))[:20]
    assert expected[:3] == [5, 10, 20]

    figure = figures.surest_mistakes(IMAGES, LABELS, predictions, confidences, RUN)
    found = tiles(figure)
    assert len(found) == 20
    for i, (caption, pixels) in zip(expected, found, strict=True):
        assert caption == (
            f"predicted {predictions[i]}, true {LABELS[i]}\np = {float(confidences[i]):.3f}"
        )
        np.testing.assert_array_equal(pixels, IMAGES[i])
    assert "the 20 most confident of 26" in words(figure)
    assert "40 test images" in words(figure)


def test_few_mistakes_are_all_drawn_and_nan_comes_last():
    predictions = LABELS.copy()
    predictions[[3, 8, 30]] = (LABELS[[3, 8, 30]] + 1) % 10
    confidences = CONFIDENCES.copy()
    confidences[[3, 8, 30]] = NAN, 0.4, 0.9
    figure = figures.surest_mistakes(IMAGES, LABELS, predictions, confidences, RUN)
    found = tiles(figure)
    assert [caption.split("\n")[1] for caption, _ in found] == ["p = 0.900", "p = 0.400", "p = nan"]
    for i, (_, pixels) in zip([30, 8, 3], found, strict=True):
        np.testing.assert_array_equal(pixels, IMAGES[i])
    assert "all 3" in words(figure)


def test_no_mistake_is_said_in_words(tmp_path):
    figure = figures.surest_mistakes(IMAGES, LABELS, LABELS, CONFIDENCES, RUN)
    figures.save(figure, tmp_path / "none.png")
    assert "Wrong answers: none" in words(figure)
    assert "40 test images" in words(figure)


@pytest.mark.parametrize(
    ("confidence", "caption"),
    [(1.0, "p = 1.000"), (0.99996, "p > 0.999"), (0.9994, "p = 0.999"), (0.25, "p = 0.250")],
)
def test_rounding_never_makes_a_probability_certain(confidence, caption):
    figure = figures.surest_mistakes(
        IMAGES[:1], LABELS[:1], (LABELS[:1] + 1) % 10, np.array([confidence]), RUN
    )
    ((shown_caption, _),) = tiles(figure)
    assert shown_caption.split("\n")[1] == caption


def bars_and_remarks(figure):
    picture, axes = figure.axes
    bars = [(patch.get_y() + patch.get_height() / 2, patch.get_width()) for patch in axes.patches]
    places = {label.get_position(): label.get_text() for label in labels(figure)}
    remarks = {y: text for (x, y), text in places.items() if x > 0}
    assert [text for (x, _), text in places.items() if x < 0] == list("0123456789")
    return picture.images[0].get_array(), dict(bars), remarks


def test_first_test_image_shows_a_wrong_answer_in_words_and_bars():
    figure = figures.first_test_image(IMAGES[0], 2, PROBABILITIES)
    pixels, bars, remarks = bars_and_remarks(figure)
    np.testing.assert_array_equal(pixels, IMAGES[0])
    assert list(bars) == pytest.approx(range(10))
    assert list(bars.values()) == pytest.approx(PROBABILITIES.tolist())
    assert "predicted 5, true 2: wrong" in words(figure)
    assert remarks[5] == "p = 0.700  predicted"
    assert remarks[2] == "p = 0.200  true"
    assert remarks[7].strip() == "p = 0.090"
    assert figure.axes[1].get_ylim()[0] > figure.axes[1].get_ylim()[1], "class 0 is on top"


def test_first_test_image_shows_a_right_answer():
    figure = figures.first_test_image(IMAGES[0], 5, PROBABILITIES.astype(np.float16))
    assert "predicted 5, true 5: right" in words(figure)
    assert bars_and_remarks(figure)[2][5] == "p = 0.700  predicted, true"


def test_nan_probabilities_are_no_prediction(tmp_path):
    probabilities = PROBABILITIES.copy()
    probabilities[3] = NAN
    figure = figures.first_test_image(IMAGES[0], 5, probabilities)
    figures.save(figure, tmp_path / "nan.png")
    assert "no prediction (probabilities not finite), true 5" in words(figure)
    assert bars_and_remarks(figure)[2][3].strip() == "p = nan"
    assert not any("predicted" in remark for remark in bars_and_remarks(figure)[2].values())


def test_confusion_counts_stand_at_true_rows_and_predicted_columns():
    figure = figures.confusion_matrix(MATRIX, RUN)
    (axes,) = figure.axes
    at = {label.get_position(): label.get_text() for label in labels(figure)}
    counts = {place: int(text) for place, text in at.items() if min(place) >= 0 and max(place) <= 9}
    assert counts == {
        (predicted, true): MATRIX[true, predicted] for true, predicted in np.argwhere(MATRIX)
    }
    assert counts[9, 4] == 17, "x is the predicted class, y the true one"
    classes = list("0123456789")
    assert [at[-0.7, true] for true in range(10)] == classes
    assert [at[predicted, 9.7] for predicted in range(10)] == classes
    assert axes.get_xlabel() == "predicted class"
    assert axes.get_ylabel() == "true class"
    assert axes.get_ylim()[0] > axes.get_ylim()[1], "class 0 is on top, as text at y=0 is"


def test_confusion_shade_follows_the_errors_and_not_the_diagonal():
    colours = figures.confusion_matrix(MATRIX, RUN).axes[0].images[0].get_array()
    darkness = 3 - np.asarray(colours).sum(axis=2)
    assert darkness[4, 9] > darkness[9, 4] > darkness[2, 7] > 0.1 > darkness[0, 1] == 0
    grey = colours[0, 0]
    assert grey[0] == grey[1] == grey[2] < 1
    np.testing.assert_array_equal(np.diagonal(colours).T, np.tile(grey, (10, 1)))


def test_confusion_has_recall_and_images_of_each_true_class(tmp_path):
    matrix = MATRIX.astype(np.uint16)
    matrix[3] = 0
    figure = figures.confusion_matrix(matrix, RUN)
    figures.save(figure, tmp_path / "confusion.png")
    beside = {}
    for text in labels(figure):
        x, y = text.get_position()
        if x > 9.5 and y >= 0:
            beside.setdefault(y, []).append((x, text.get_text()))
    found = {row: [word for _, word in sorted(cells)] for row, cells in beside.items()}
    assert found[4] == [f"{940 / 957:.4f}", "957"]
    assert found[9] == [f"{990 / 993:.4f}", "993"]
    assert found[3] == ["none", "0"]
    assert found[0] == ["1.0000", "900"]
    assert len(found) == 10
    right, total = matrix.trace(), matrix.sum()
    assert f"{right:,} of {total:,} right: accuracy {right / total:.4f}" in words(figure)


@pytest.mark.parametrize("name", FIGURES)
def test_bytes_are_reproducible_and_pixels_legible(name, tmp_path):
    for path in (tmp_path / "a.png", tmp_path / "b.png"):
        figures.save(FIGURES[name](), path)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    with Image.open(tmp_path / "a.png") as image:
        assert image.format == "PNG"
        assert "Software" not in image.info
        assert not {key for key in image.info if "date" in key.lower() or "time" in key.lower()}
        assert 700 <= image.width <= 1300
        assert 450 <= image.height <= 1300


LONG_NOTE = f"{NOTE}; first 5,000 training rows; epochs chosen on the test set"
CROWDED = {
    "diverged": lambda: figures.curves(
        f"{RUN} of study stacked_add, reproduced",
        "loss",
        {"train": [0.012345] * 9 + [NAN], "validation": [NAN] * 10},
        {"train": [0.2] * 10, "validation": [1e-9] * 10},
        LONG_NOTE,
    ),
    "certain": lambda: figures.first_test_image(IMAGES[0], 7, np.eye(10)[7] * 0.9999, LONG_NOTE),
    "all wrong": lambda: figures.confusion_matrix(
        np.full((10, 10), 6000), f"{RUN} of study stacked_add"
    ),
}


@pytest.mark.parametrize("name", [*FIGURES, *CROWDED])
def test_words_are_large_enough_inside_the_page_and_clear_of_each_other(name, monkeypatch):
    drawn = []  # without the ticks beyond the limits, which exist and are not drawn
    for kind in (Text, figures.Label):

        def noted(text, to, draw=kind.draw):
            drawn.append(text)
            draw(text, to)

        monkeypatch.setattr(kind, "draw", noted)
    figure = {**FIGURES, **CROWDED}[name]()
    figure.canvas.draw()
    page = figure.bbox
    texts = [text for text in drawn if text.get_visible() and text.get_text().strip()]
    boxes = [(text.get_window_extent(), text.get_text()) for text in texts]
    assert len(boxes) > 10
    assert min(text.get_fontsize() for text in texts) >= 9
    for box, word in boxes:
        assert page.x0 <= box.x0 < box.x1 <= page.x1, word
        assert page.y0 <= box.y0 < box.y1 <= page.y1, word
    for (box, word), (other_box, other) in combinations(boxes, 2):
        assert not box.overlaps(other_box), (word, other)


def test_figures_leave_the_process_as_it_was_and_bytes_do_not_depend_on_it(tmp_path):
    script = """
import sys
from pathlib import Path
import matplotlib
def settings():  # asking for the backend would import pyplot
    return {key: repr(matplotlib.rcParams[key]) for key in matplotlib.rcParams if key != "backend"}
before = settings()
from mnist_bench.run import figures
figures.save(figures.curves("run", "loss", {"train": [0.3, 0.2]}, {}, "note"), Path(sys.argv[1]))
assert settings() == before
print(*{"matplotlib.pyplot", "tensorflow", "keras", "mlflow"} & set(sys.modules))
"""
    there, here = tmp_path / "there.png", tmp_path / "here.png"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", script, there],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout.strip()) == (0, ""), done.stderr
    figures.save(figures.curves("run", "loss", {"train": [0.3, 0.2]}, {}, "note"), here)
    assert here.read_bytes() == there.read_bytes()


@pytest.mark.parametrize(
    ("text", "alignment"),
    [
        ("predicted 3, true 5\np = 0.987", {"va": "baseline"}),
        ("1045", {"ha": "center", "va": "center"}),
        ("p = 0.700  predicted", {"va": "center", "weight": "bold"}),
        ("7", {"ha": "right", "va": "center"}),
    ],
)
def test_a_label_is_drawn_where_matplotlib_would_draw_its_text(text, alignment):
    boxes = []
    for kind in (Text, figures.Label):
        figure = Figure(figsize=(4, 1), dpi=figures.DPI)
        canvas = FigureCanvasAgg(figure)
        label = kind(240, 60, text, color="black", fontsize=10, transform=None, **alignment)
        figure.add_artist(label)
        canvas.draw()
        inked = np.argwhere(np.asarray(canvas.buffer_rgba())[..., 0] < 128)
        boxes.append([*inked.min(axis=0), *inked.max(axis=0)])
    np.testing.assert_allclose(*boxes, atol=4)  # unhinted letters are a little narrower
