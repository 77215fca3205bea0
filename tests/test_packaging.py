"""The wheel works in an empty folder, without the checkout."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--outdir", str(folder), str(ROOT)],
        check=True,
        capture_output=True,
    )
    [path] = folder.glob("*.whl")
    return path


def test_it_holds_the_configuration_the_data_and_both_licences(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    assert names >= {
        "mnist_bench/conf/config.yaml",
        "mnist_bench/conf/optimizer/adam.yaml",
        "mnist_bench/experiments/flatten_1000.yaml",
        "mnist_bench/py.typed",
        "mnist_bench/resources/mnist.npz",
        "mnist_bench/resources/MNIST-LICENSE.md",
        "hydra_plugins/mnist_bench/sweeper.py",
    }
    assert "hydra_plugins/__init__.py" not in names  # it is a namespace, shared with other plugins
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert not [name for name in names if name.startswith(("tests/", "benchmarks/"))]


def test_it_trains_a_sweep_in_an_empty_folder(wheel, tmp_path):
    installed, empty = tmp_path / "installed", tmp_path / "empty"
    empty.mkdir()
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(installed),
         str(wheel)],
        check=True, capture_output=True,
    )  # fmt: skip
    # Everything but the package itself comes from the environment of the tests.
    environment = {**os.environ, "PYTHONPATH": str(installed)}
    where = subprocess.run(
        [sys.executable, "-c", "import mnist_bench; print(mnist_bench.__file__)"],
        cwd=empty, env=environment, check=True, capture_output=True, text=True,
    )  # fmt: skip
    assert where.stdout.startswith(str(installed))
    done = subprocess.run(
        [str(installed / "bin" / "mnist-bench"), "-m", "grid=none", "seed=0,1",
         "data.train_limit=300", "train.epochs=1"],
        cwd=empty, env=environment, check=False, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 runs: 2 finished" in done.stdout
    assert {path.name for path in empty.iterdir()} >= {"mlflow.db", "mlruns"}
