"""An optimizer is a file in `conf/optimizer/` and a line of Python."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from mnist_bench.config.schema import OPTIMIZERS, OptimizerName

ROOT = Path(__file__).parents[2]
LINE = '    nadam = "Nadam", "beta_1", "beta_2", "epsilon"\n'
YAML = """\
defaults:
  - /schema/optimizer/nadam@_here_

name: nadam
learning_rate: 0.002
beta_1: 0.9
beta_2: 0.999
epsilon: 1.0e-7
weight_decay: null
clipnorm: null
clipvalue: null
global_clipnorm: null
"""


def test_each_name_is_the_value_and_has_a_schema():
    assert all(member.value == name for name, member in OptimizerName.__members__.items())
    assert list(OPTIMIZERS.values()) == list(OptimizerName)


def test_another_optimizer_is_one_file_and_one_line(tmp_path):
    no_caches = shutil.ignore_patterns("__pycache__")
    for folder in ("mnist_bench", "conf", "experiments", "hydra_plugins"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=no_caches)
    (tmp_path / "conf" / "optimizer" / "nadam.yaml").write_text(YAML)
    schema = tmp_path / "mnist_bench" / "config" / "schema.py"
    before, last, after = schema.read_text().partition('    sgd = "SGD", "momentum", "nesterov"\n')
    schema.write_text(before + last + LINE + after)

    def run(*arguments):
        return subprocess.run(
            [sys.executable, "-m", "mnist_bench", *arguments],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(tmp_path)},
            capture_output=True,
            text=True,
            check=False,
        )

    said = run("--help").stdout
    assert "adam, adamw, nadam, rmsprop, sgd" in said
    assert "[0.001; 0.01 with sgd; 0.002 with nadam]" in said
    refused = run("optimizer=nadam", "optimizer.beta_1=1", "optimizer.amsgrad=true").stderr
    assert "optimizer.beta_1 must be at least 0 and below 1, got 1.0; e.g. " in refused
    assert "optimizer.amsgrad: no such key; there are: name, learning_rate" in refused
    small = ("train.epochs=1", "data.train_limit=64", "data.validation=none")
    done = run("optimizer=nadam", *small)
    assert done.returncode == 0, done.stderr
    [record] = tmp_path.glob("mlruns/**/config.yaml")
    assert "name: nadam" in record.read_text()
    assert "nadam b32" in done.stdout
