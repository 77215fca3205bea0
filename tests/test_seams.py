"""A new data set, launcher or format is as few files as docs/architecture.md says.

An optimizer is added in tests/config, a metric in tests/test_metrics.py.
"""

import json
import subprocess
import sys

import numpy as np
import pytest

from mnist_bench.compare import formats
from mnist_bench.compare.judge import compare_selections
from mnist_bench.compare.options import Options
from mnist_bench.selection.baselines import write_baseline
from tests.comparisons import side
from tests.conftest import ENVIRONMENT
from tests.programs import ask

SWEEP = ("grid=none", "seed=0,1", "data.validation=none", "--dry-run")


@pytest.fixture
def conf(tmp_path):
    """A folder that Hydra searches as it does `conf/`."""
    return tmp_path / "conf"


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def test_a_data_set_is_one_yaml(conf, tmp_path):
    images, labels = np.zeros((20, 28, 28), np.uint8), np.zeros(20, np.uint8)
    np.savez(tmp_path / "tiny.npz", x_train=images, y_train=labels, x_test=images, y_test=labels)
    write(
        conf / "data" / "tiny.yaml",
        f"defaults: [mnist]\nname: custom\npath: {tmp_path / 'tiny.npz'}\ndivisor: 100.0\n",
    )
    planned = ["-m", "--config-dir", str(conf), "data=tiny", *SWEEP]
    composed = ["--config-dir", str(conf), "data=tiny", "--cfg", "job"]
    answers = ask([planned, composed], tmp_path)
    assert answers[tuple(planned)].out.startswith("2 runs: 2 to be run")
    assert "divisor: 100.0" in answers[tuple(composed)].out


def test_a_launcher_is_one_yaml_beside_its_package(conf, tmp_path):
    # Hydra takes a launcher from a package of plugins alone, so the class is joblib's.
    write(conf / "hydra" / "launcher" / "pair.yaml", "defaults: [joblib]\nn_jobs: 2\n")
    planned = ["-m", "--config-dir", str(conf), "hydra/launcher=pair", *SWEEP]
    composed = ["--config-dir", str(conf), "--cfg", "hydra", "hydra/launcher=pair"]
    answers = ask([planned, composed], tmp_path)
    assert answers[tuple(planned)].out.startswith("2 runs: 2 to be run")
    assert "JoblibLauncher\n    n_jobs: 2" in answers[tuple(composed)].out


FORMAT = '''
"""A comparison as one line of Org."""

ORG_FILE = "compare.org"


def as_org(comparison):
    return f"* exit {comparison.exit_code:d}"
'''
PROGRAM = """
import sys
import mnist_bench.compare.formats as formats
from mnist_bench.commands.main import main

formats.__path__.append(sys.argv.pop(1))
sys.exit(main())
"""


def test_a_format_of_compare_is_one_module(tmp_path, monkeypatch):
    write(tmp_path / "formats" / "org.py", FORMAT)
    monkeypatch.setattr(formats, "__path__", [*formats.__path__, str(tmp_path / "formats")])
    assert "org" in formats.format_names()
    same = side("base", {"cell": [0.98, 0.981]}, total_seconds=3.0, params_total=10.0)
    org = formats.load_format("org")
    assert (org.file, org.write(compare_selections(same, [same], Options()))[:8]) == (
        "compare.org",
        "* exit 0",
    )


def test_the_command_line_knows_a_format_that_is_one_module(tmp_path):
    write(tmp_path / "formats" / "org.py", FORMAT)
    baseline = tmp_path / "base.json"
    write_baseline(
        baseline, side("base", {"cell": [0.98, 0.981]}, total_seconds=3.0, params_total=10.0)
    )
    arguments = ("compare", baseline, baseline, "--format", "org")
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, tmp_path / "formats", *arguments],
        env=ENVIRONMENT, cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout.strip()) == (0, "* exit 0"), done.stderr
    assert json.loads(baseline.read_text())
