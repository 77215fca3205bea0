"""A comparison as JUnit XML, which CI systems show."""

from xml.etree import ElementTree

from mnist_bench.compare.options import Verdict
from mnist_bench.compare.verdicts import Comparison, Judged, describe_row
from mnist_bench.compare.wording import figures
from mnist_bench.text import shown

JUNIT_FILE = "compare.xml"


def as_junit(comparison: Comparison) -> str:
    """Returns a test case for each gated metric in each cell and over all of them, as JUnit XML."""
    root = ElementTree.Element("testsuites", name="mnist_bench compare")
    for pairing in comparison.pairings:
        suite = ElementTree.SubElement(root, "testsuite", name=_xml(pairing.candidate.label))
        for row in pairing.rows():
            if row.gated:
                _junit_case(suite, row, comparison)
        for cell in pairing.match.missing:
            case = ElementTree.SubElement(suite, "testcase", classname="cells", name=_xml(cell))
            if any(f"MISSING {cell}" in reason for reason in comparison.reasons):
                ElementTree.SubElement(case, "failure", message="MISSING", type="MISSING")
        if pairing is comparison.pairings[-1] and comparison.exit_code:
            _exit_case(suite, root, comparison)
        for name, tag in (("tests", "testcase"), ("failures", "failure"), ("skipped", "skipped")):
            suite.set(name, str(len(suite.findall(f".//{tag}"))))
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _exit_case(
    suite: ElementTree.Element, root: ElementTree.Element, comparison: Comparison
) -> None:
    """Adds a case that fails, where no other does although the exit code is not 0."""
    if root.find(".//failure") is None:
        case = ElementTree.SubElement(suite, "testcase", classname="gate", name="exit code")
        said = _xml("; ".join(comparison.reasons))
        ElementTree.SubElement(case, "failure", message=said, type=str(int(comparison.exit_code)))


def _junit_case(suite: ElementTree.Element, row: Judged, comparison: Comparison) -> None:
    case = ElementTree.SubElement(
        suite, "testcase", classname=row.metric.name, name=_xml(row.cell or "(all cells)")
    )
    said = describe_row(row)
    if any(reason.endswith(said) for reason in comparison.reasons):
        ElementTree.SubElement(case, "failure", message=_xml(said), type=str(row.verdict))
    elif row.verdict in (Verdict.INCONCLUSIVE, Verdict.NOT_COMPARABLE, Verdict.FAILED):
        ElementTree.SubElement(case, "skipped", message=_xml(said))
    ElementTree.SubElement(case, "system-out").text = _xml(" ".join(figures(row, said)))


def _xml(text: str) -> str:
    """Returns text without the characters that XML 1.0 cannot hold, even escaped."""
    return "".join(c for c in shown(text, 2_000) if c not in "\ufffe\uffff")
