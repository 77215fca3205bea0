import csv
import io
import json
from importlib.resources import files
from xml.etree import ElementTree

import jsonschema
import pytest
from markdown_it import MarkdownIt

from mnist_bench.compare.formats.csv import as_csv
from mnist_bench.compare.formats.html import as_html
from mnist_bench.compare.formats.json import as_json
from mnist_bench.compare.formats.junit import as_junit
from mnist_bench.compare.formats.markdown import as_markdown
from mnist_bench.compare.formats.text import text_lines
from mnist_bench.compare.judge import compare_selections
from mnist_bench.compare.options import Options
from mnist_bench.html.tradeoff import Point, pareto_front
from mnist_bench.selection.samples import Selection
from mnist_bench.text import shown
from tests.comparisons import sample, side
from tests.pages import HOSTILE, Page

GOOD = [0.980, 0.981, 0.979]
BAD = [0.960, 0.961, 0.959]
SCHEMA = json.loads(
    files("mnist_bench").joinpath("resources/compare.schema.json").read_text(encoding="utf-8")
)


def comparison(name="cell", label="cand"):
    before = side("base", {name: GOOD, "other": GOOD, "gone": GOOD}, params_total=10)
    after = side(label, {name: BAD, "other": GOOD, "fresh": GOOD}, params_total=10)
    failed = replace_last(after, facts={"tensorflow": "2.22.0"})
    return compare_selections(
        before, [failed], Options(gates=("test_accuracy", "epoch_seconds_median"))
    )


def replace_last(selection, **changes):
    *samples, last = selection.samples
    return Selection(
        selection.label, (*samples, sample(last.cell, last.seed, params_total=10, **changes))
    )


def plain_text(result):
    return "\n".join(text for _, text in text_lines(result))


def test_text_is_aligned_and_says_who_what_and_why():
    lines = plain_text(comparison()).splitlines()
    assert lines[0].startswith("baseline   base: 9 runs, seeds 0-2; commit aaaaaaaaaa; tensorflow")
    assert "           MISSING gone" in lines
    assert "           NEW fresh" in lines
    assert any("differs: tensorflow 2.21.0 -> 2.21.0, 2.22.0" in line for line in lines)
    assert "test_accuracy (gated, margin m = 0.2 pp)" in lines
    row = next(line for line in lines if line.startswith("  cell "))
    assert " ".join(row.split()) == (
        "cell 98.00 % ± 0.10 96.00 % ± 0.10 -2.00 pp [-2.23 pp, -1.77 pp] <0.001 REGRESSED"
    )
    titles = next(line for line in lines if "verdict" in line)
    assert titles.index("verdict") == row.index("REGRESSED")
    assert "FAIL (exit 1)" in lines[-4]
    assert lines[-3] == "  MISSING gone"
    assert all(line == line.rstrip() for line in lines)


def test_json_is_what_the_schema_says_and_nothing_else():
    text = as_json(comparison())
    content = json.loads(text, parse_constant=pytest.fail)
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    jsonschema.validate(content, SCHEMA, cls=jsonschema.Draft202012Validator)
    assert content["exit_code"] == 1
    assert {s["run_id"] for s in content["baseline"]["samples"]}
    assert len(content["candidates"][0]["cells"]) == 2 * len(content["candidates"][0]["suites"])


def test_json_has_no_infinity():
    sides = [side(name, {"a": [accuracy] * 2}) for name, accuracy in (("b", 0.75), ("c", 0.5))]
    content = json.loads(
        as_json(compare_selections(sides[0], sides[1:], Options())), parse_constant=pytest.fail
    )
    jsonschema.validate(content, SCHEMA)
    row = content["candidates"][0]["cells"][0]
    assert (row["verdict"], row["hedges_g"]) == ("REGRESSED", None)


def test_csv_has_a_line_for_each_row():
    rows = list(csv.DictReader(io.StringIO(as_csv(comparison()))))
    row = next(r for r in rows if (r["metric"], r["cell"]) == ("test_accuracy", "cell"))
    assert (row["verdict"], row["baseline_seeds"], row["gated"]) == ("REGRESSED", "3", "True")
    assert float(row["change"]) == pytest.approx(-0.02)
    assert {r["cell"] for r in rows} == {"(all cells)", "cell", "other"}


def test_csv_names_the_candidate_and_gives_its_value():
    header, *rows = csv.reader(io.StringIO(as_csv(comparison(label="who"))))
    assert header[:4] == ["candidate", "metric", "cell", "gated"]
    assert header[7:10] == ["baseline", "candidate", "change"]
    assert {row[0] for row in rows} == {"who"}
    row = next(r for r in rows if r[1:3] == ["test_accuracy", "cell"])
    assert (float(row[7]), float(row[8])) == (pytest.approx(0.98), pytest.approx(0.96))


def test_junit_has_a_case_for_each_gated_row():
    root = ElementTree.fromstring(as_junit(comparison()))
    (suite,) = root
    failures = [case.get("name") for case in suite if case.find("failure") is not None]
    assert failures == ["(all cells)", "cell", "gone"]
    assert (suite.get("failures"), suite.get("tests")) == ("3", str(len(suite)))
    accuracies = [case for case in suite if case.get("classname") == "test_accuracy"]
    assert [case.get("name") for case in accuracies] == ["(all cells)", "cell", "other"]


def test_markdown_renders_as_tables_and_fits_a_comment():
    text = as_markdown(comparison())
    html = MarkdownIt("commonmark").enable("table").render(text)
    assert html.count("<table>") == 2
    assert "<strong>REGRESSED</strong>" in html
    assert "<li>MISSING gone</li>" in html
    cells = {f"cell {number}": GOOD for number in range(500)}
    many = compare_selections(side("b", cells), [side("c", cells, 5)], Options())
    assert len(as_markdown(many)) < 65_536


def test_html_is_one_file_without_network_or_script():
    text = as_html(comparison())
    seen = Page(text)
    assert not {"script", "link", "img", "iframe"} & set(seen.tags)
    assert not [value for name, value in seen.attributes if name in ("src", "href")]
    assert "url(" not in text
    assert "@import" not in text
    assert seen.tags.count("svg") == 5
    assert all(
        f'aria-label="{alt}' in text
        for alt in ("Forest plot", "Box plots", "Test accuracy against")
    )
    assert "prefers-color-scheme: dark" in text


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_names_are_text_in_every_format(text):
    result = comparison(name=text, label=shown(text))
    seen = Page(as_html(result))
    assert not {"script", "img"} & set(seen.tags)
    assert not [name for name, _ in seen.attributes if name.startswith("on")]
    assert "49" not in "".join(seen.text).replace("0.49", "").replace("-1.49", "")
    json.loads(as_json(result))
    ElementTree.fromstring(as_junit(result))
    rows = list(csv.reader(io.StringIO(as_csv(result))))
    assert len({len(row) for row in rows}) == 1
    assert not [value for row in rows for value in row if value[:1] in ("=", "@", "\t", "\r")]
    printed = plain_text(result)
    assert all(c.isprintable() for c in printed.replace("\n", ""))
    assert max(map(len, printed.splitlines())) < 2_500
    html = MarkdownIt("commonmark").enable("table").render(as_markdown(result))
    tags = set(Page(html).tags) - {"details", "summary"}
    assert tags <= {"h3", "ul", "li", "p", "table", "thead", "tbody", "tr", "th", "td", "strong"}


def test_pareto_front_holds_what_nothing_beats():
    points = [
        Point(name, "baseline", seconds, accuracy)
        for name, seconds, accuracy in (("a", 1, 90), ("b", 2, 95), ("c", 2, 93), ("d", 3, 94))
    ]
    assert [point.label for point in pareto_front(points)] == ["a", "b"]
