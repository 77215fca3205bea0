"""What a person sees: MLflow's pages of real runs, and our reports, in a real browser."""

import os
import re
from pathlib import Path

import pytest
from playwright.sync_api import expect

from docs import in_browser
from mnist_bench.store import views

EXPECT_MS = 60_000
"""How long a page may take on a machine that is busy with other tests."""

if in_browser.CHROMIUM is None and os.environ.get("MNIST_BENCH_BROWSER") != "required":
    pytest.skip("there is no chromium on PATH", allow_module_level=True)

expect.set_options(timeout=EXPECT_MS)

COLUMNS = {
    "test_accuracy",
    "test_loss",
    "epoch_seconds_median",
    "total_seconds",
    "params_total",
    "model.style",
    "model.hidden_units",
    "optimizer.name",
    "train.batch_size",
    "seed",
    "mnist_bench.caveats",
}


@pytest.fixture(scope="module")
def starting(trained, tmp_path_factory):
    """The command `ui` on its way, while the tests that need no server run."""
    ui = in_browser.Ui(trained.folder, tmp_path_factory.mktemp("ui") / "log")
    yield ui
    ui.stop()


@pytest.fixture(scope="module")
def table(starting):
    """The address that `ui` opens."""
    return starting.wait()


@pytest.fixture(scope="module")
def url(starting, table):
    return starting.url


@pytest.fixture(scope="module")
def browser(starting):
    with in_browser.chromium() as browser:
        yield browser


@pytest.fixture
def page(browser):
    # Wide, since MLflow's table holds only the columns that are in sight.
    context = browser.new_context(viewport={"width": 2560, "height": 1100})
    context.set_default_timeout(EXPECT_MS)
    yield context.new_page()
    context.close()


@pytest.fixture(scope="module")
def runs(trained):
    """By name; the best first."""
    found = [run for run in trained.runs() if run.tags["kind"] == "run"]
    ranked = sorted(found, key=lambda run: -run.metrics["test_accuracy"])
    return {run.name: run for run in ranked}


@pytest.fixture(scope="module")
def reports(trained, tmp_path_factory):
    """Returns the file of each of our HTML reports, written when it is asked for."""
    folder = tmp_path_factory.mktemp("reports")
    written: dict[str, Path] = {}

    def write(kind: str) -> Path:
        if kind in written:
            return written[kind]
        if kind == "compare":
            split = ("--by", "model.style", "--format", "html")
            trained("compare", "latest", *split, "--output", str(folder))
        else:
            trained("report", "latest", "--output", str(folder / "report.html"))
        written[kind] = folder / f"{kind}.html"
        return written[kind]

    return write


# --- our own pages, from disk ------------------------------------------------------------------


@pytest.mark.parametrize("width", [1280, 400])
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("kind", ["compare", "report"])
def test_a_report_needs_no_network_and_fits_the_window(kind, scheme, width, reports, browser):
    address = reports(kind).as_uri()
    context = browser.new_context(
        viewport={"width": width, "height": 900}, color_scheme=scheme, offline=True
    )
    page = context.new_page()
    requested, said = [], []
    page.on("request", lambda request: requested.append(request.url))
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.goto(address, wait_until="load")
    assert [each for each in requested if not each.startswith("data:")] == [address]
    assert said == []
    expect(page.locator("table").first).to_be_visible()
    overflow = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    assert page.evaluate(overflow) == 0
    brightness = page.evaluate(BRIGHTNESS)
    assert brightness < 0.3 if scheme == "dark" else brightness > 0.8
    context.close()


BRIGHTNESS = """() => {
    const colour = [document.body, document.documentElement]
        .map(e => getComputedStyle(e).backgroundColor.match(/[0-9.]+/g).map(Number))
        .find(c => c.length < 4 || c[3] > 0) ?? [255, 255, 255];
    return (colour[0] + colour[1] + colour[2]) / 765;
}"""
"""Of the background, which is that of the root where the body has none."""


# --- MLflow's pages ----------------------------------------------------------------------------


def test_the_run_table_opens_with_the_columns_that_people_sort_by(page, table, runs):
    page.goto(table)
    expect(page.get_by_test_id("saved-views-trigger")).to_have_text("Runs, best first")
    for name in runs:
        expect(page.get_by_role("link", name=name, exact=True)).to_be_visible()
    titles = page.locator(".ag-header-cell").all_inner_texts()
    assert {title.strip() for title in titles} >= COLUMNS
    cells = page.locator(".ag-center-cols-container [col-id='metrics.`test_accuracy`']")
    seen = [float(text) for text in cells.all_inner_texts() if text != "-"]
    assert seen == [run.metrics["test_accuracy"] for run in runs.values()]


def test_the_charts_beside_the_table_show_all_runs(page, table, runs):
    page.goto(f"{table}&compareRunsMode=CHART")
    for title in (
        "epoch_seconds_median vs. test_accuracy",
        "width vs. test_accuracy",
        "model.style vs. epoch_seconds_median",
        "Parallel Coordinates",
    ):
        expect(page.get_by_text(title, exact=True)).to_be_visible()
    card = page.get_by_test_id("experiment-view-compare-runs-card").first
    expect(card.locator(".scatterlayer .point")).to_have_count(len(runs))


def test_cells_are_grouped_with_their_mean(page, table, runs):
    page.goto(table.replace(views.RUNS, views.CELLS))
    cells = {run.tags["cell"]: run for run in runs.values()}
    for cell in cells:
        group = page.get_by_role("row").filter(has_text=f"Group: {cell}")
        expect(group.first).to_be_visible()
    averages = page.locator("[col-id='metrics.`test_accuracy`']").filter(has_text="(average)")
    seen = sorted(float(text.split()[0]) for text in averages.all_inner_texts())
    assert seen == sorted(run.metrics["test_accuracy"] for run in cells.values())


def test_sweeps_hold_their_runs(page, table, runs):
    page.goto(table.replace(views.RUNS, views.SWEEPS))
    sweep = page.get_by_role("link", name=re.compile(r"^sweep .* \(8 runs\)$"))
    expect(sweep).to_be_visible()
    expect(page.get_by_role("link", name=next(iter(runs)), exact=True)).to_have_count(0)
    page.locator(".ag-row button").first.click()
    for name in runs:
        expect(page.get_by_role("link", name=name, exact=True)).to_be_visible()


def test_the_page_of_a_run_says_its_result_and_its_links_lead_to_figures(page, url, runs):
    name, run = next(iter(runs.items()))
    page.goto(f"{url}/{views.run_route('1', run.run_id)}")
    expect(page.get_by_role("link", name="Model registry")).to_be_visible()
    expect(page.get_by_role("heading", name=name)).to_be_visible()
    accuracy = f"{run.metrics['test_accuracy']:.4f}"
    expect(page.locator("p", has_text=f"test accuracy {accuracy}")).to_be_visible()
    expect(page.get_by_text("Note: only the first 600 rows were trained on.")).to_be_visible()
    page.get_by_text("Show more").first.click()
    with page.context.expect_page() as opened:
        page.get_by_role("link", name="images/mistakes.png").click()
    figure = opened.value.get_by_role("img", name="mistakes.png")
    expect(figure).to_be_visible()
    assert figure.evaluate("e => e.naturalWidth") > 500


def test_a_run_shows_its_curves(page, url, runs):
    run = next(iter(runs.values()))
    page.goto(f"{url}/#/experiments/1/runs/{run.run_id}/model-metrics")
    expect(page.get_by_text("batch_loss", exact=True)).to_be_visible()
    line = page.locator(".js-plotly-plot .scatterlayer path.js-line").first
    expect(line).to_be_visible()


def test_two_runs_can_be_compared(page, table, runs):
    page.goto(table)
    names = list(runs)[:2]
    for name in names:
        row = page.get_by_role("row").filter(has=page.get_by_role("link", name=name, exact=True))
        row.get_by_role("checkbox").check()
    page.get_by_role("button", name="Compare", exact=True).click()
    expect(page.get_by_role("heading", name="Comparing 2 Runs from 1 Experiment")).to_be_visible()
    for name in names:
        expect(page.get_by_text(name, exact=True).first).to_be_visible()


def test_a_sweep_keeps_its_report(page, url, trained):
    [sweep] = [run for run in trained.runs() if run.tags["kind"] == "sweep"]
    page.goto(f"{url}/{views.run_route('1', sweep.run_id, 'report.html')}")
    report = page.frame_locator("iframe")
    expect(report.get_by_role("heading").first).to_be_visible()
    expect(report.locator("table").first).to_be_visible()
