"""The commands that look at what is there, on stores of real runs."""

import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import psutil
import pytest
from PIL import Image

from mnist_bench.commands.main import run_command
from mnist_bench.config.compose import resource_dir
from mnist_bench.config.schema import PublishedConfig
from mnist_bench.errors import Refusal, ServerDied
from mnist_bench.look import mlflow_server, sketch
from mnist_bench.run.execute import execute
from tests.conftest import ENVIRONMENT, Cli
from tests.settings import config


@pytest.fixture(scope="module")
def learned(tmp_path_factory: pytest.TempPathFactory) -> Cli:
    """A store with the default run, which has logged its model, and two that diverged."""
    cli = Cli(tmp_path_factory.mktemp("learned"))
    cli()
    diverging = ("optimizer=sgd", "optimizer.learning_rate=1e30", "data.train_limit=600")
    cli("-m", "grid=none", *diverging, "sweep.max_retries=1", code=1)
    return cli


@pytest.fixture
def show(capsys: pytest.CaptureFixture[str]):
    """The command, on the store of a folder: its exit code and what it printed."""

    def run(cli: Cli, *arguments: str) -> tuple[int, str]:
        code = run_command(["show", *arguments, "--tracking-uri", uri(cli)])
        said = capsys.readouterr()
        return code, said.out + said.err

    return run


@pytest.fixture
def predict(capsys: pytest.CaptureFixture[str]):

    def run(cli: Cli, name: str, files: Sequence[Path]) -> tuple[int, str]:
        code = run_command(["predict", name, *map(str, files), "--tracking-uri", uri(cli)])
        said = capsys.readouterr()
        return code, said.out + said.err

    return run


def uri(cli: Cli) -> str:
    return f"sqlite:///{cli.folder}/mlflow.db"


# --- show


def test_a_run_is_shown_with_its_result_and_curves(learned, show):
    [run] = [run for run in learned.runs() if not run.failure]
    code, said = show(learned, run.run_id[:12])
    assert code == 0
    for part in (
        "sequential_list 128 adam b32 s0",
        f"run       {run.run_id}",
        "state     finished",
        f"TensorFlow {run.tags['tensorflow']}",
        "accuracy: t train, v validation",
        "loss: t train, v validation",
        "epoch 1",
    ):
        assert part in said
    assert re.search(rf"^test accuracy +{run.metrics['test_accuracy']:.4f}$", said, re.MULTILINE)
    assert f"{run.metrics['train_accuracy']:.4f} ┤" in said
    assert "\x1b" not in said


def test_a_failed_run_says_why(learned, show):
    code, said = show(learned, "latest")
    assert code == 0
    assert "FAILED: diverged: the loss became nan in epoch 1" in said
    assert "only the first 600 rows were trained on" in said
    assert "No curve of loss" in said


def test_of_several_of_a_name_the_newest_is_shown(learned, show):
    newest, older = [
        run for run in learned.runs() if run.name.endswith("s0") and run.status == "FAILED"
    ]
    code, said = show(learned, newest.name)
    assert code == 0
    assert said.startswith(f"The newest of 2 of this name; others: {older.run_id[:12]}\n")
    assert newest.run_id in said


def test_a_sweep_is_shown_with_its_leaderboard(trained, show):
    [sweep] = [run for run in trained.runs() if run.tags["kind"] == "sweep"]
    cells = {run.tags["cell"] for run in trained.runs() if run.tags["kind"] == "run"}
    answers = {
        show(trained, name)
        for name in (f"sweep:{sweep.tags['sweep_id'][:6]}", sweep.run_id, sweep.name)
    }
    [(code, said)] = answers
    assert code == 0
    assert "8 planned, 8 finished" in said
    assert all(cell in said for cell in cells)
    best = max(run.metrics.get("test_accuracy", 0) for run in trained.runs())
    [hint] = re.findall(r"mnist_bench show (\w{12})$", said, re.MULTILINE)
    assert f"{best:.4f}" in show(trained, hint)[1]


@pytest.mark.parametrize("name", ["nope", "it's", "a/b", "[red]", "sweep:ffffff"])
def test_what_is_not_there_is_refused_with_what_there_is(trained, show, name):
    code, said = show(trained, name)
    assert code == 2
    assert said.startswith(f"refused: {name}: there is no such run; choose from: latest, ")
    assert said.count("\n") == 1


def test_the_published_figures_stand_beside(learned, show):
    settings = config()
    settings.published = PublishedConfig(
        source="a book",
        curves={"val_loss": [0.5, 0.25]},
        test_accuracy=0.9801,
        params_total=7,
        epoch_seconds=[11, 12],
    )
    settings.tracking.uri = uri(learned)
    settings.tracking.experiment = "other"
    name = execute(settings, []).name
    code, said = show(learned, name)
    assert code == 0
    assert "published  a book" in said
    assert re.search(r"^test accuracy +0\.\d{4} +0\.9801$", said, re.MULTILINE)
    assert re.search(r"^validation loss, last epoch +\d\.\d{4} +0\.2500$", said, re.MULTILINE)


@pytest.mark.parametrize("width", [30, 72])
def test_curves_fit_and_need_no_colour(width):
    curves = {
        "train": [(1, 0.5), (2, 0.75), (3, 1.0)],
        "validation": [(1, 0.5), (2, 0.5), (3, 0.5)],
    }
    lines = [
        re.sub(r"\x1b\[\d*m", "", s)
        for s in sketch.sketch_curves("a", curves, width, 9).split("\n")
    ]
    assert len(lines) == 11
    assert all(len(line) <= width for line in lines[1:])
    assert lines[1].startswith("1.0000 ┤")
    assert lines[1].rstrip().endswith("t")
    assert lines[5].startswith("0.7500 ┤")
    assert lines[9].count("v") >= 2
    assert re.fullmatch(r" +epoch 1 +3", lines[-1])


def test_a_curve_may_be_a_point_or_flat():
    assert "0.5000 ┤" in sketch.sketch_curves("a", {"train": [(1, 0.5)]}, 40, 5)
    assert "epoch 1  " in sketch.sketch_curves("a", {"train": [(1, 0.5), (9, 0.5)]}, 40, 5)


# --- predict


@pytest.mark.parametrize("inverted", [False, True])
def test_ten_digits_are_read_at_both_sizes_and_polarities(learned, predict, tmp_path, inverted):
    with np.load(resource_dir("resources") / "mnist.npz", allow_pickle=False) as arrays:
        images, labels = arrays["x_test"], arrays["y_test"]
    files, expected = [], []
    for digit in range(10):
        first = images[np.flatnonzero(labels == digit)[0]]
        small = Image.fromarray(255 - first if inverted else first)
        for name, image in {
            "28": small,
            "nearest": small.resize((280, 280), Image.Resampling.NEAREST),
            "bicubic": small.resize((280, 280), Image.Resampling.BICUBIC),
        }.items():
            files.append(tmp_path / f"{digit}_{name}.png")
            image.save(files[-1])
            expected.append((files[-1].name, str(digit)))
    code, said = predict(learned, "sequential_list 128 adam b32 s0", files)
    assert code == 0
    assert re.findall(r"^(\S+\.png): (\d) \(", said, re.MULTILINE) == expected
    assert said.count("assumed: dark on light") == (30 if inverted else 0)
    assert len(re.findall(r"^ +\d +\d+\.\d%", said, re.MULTILINE)) == 300


def test_a_run_without_a_model_says_how_to_get_one(trained, predict, tmp_path):
    np.save(tmp_path / "x.npy", np.eye(28))
    code, said = predict(trained, "latest", [tmp_path / "x.npy"])
    assert code == 2
    assert "this run kept no model" in said
    assert "sweep.resume=off tracking.log_model=true" in said


def test_all_bad_pictures_are_named_and_no_model_is_loaded(cli, tmp_path):
    (tmp_path / "empty.png").touch()
    np.save(tmp_path / "nan.npy", np.full((28, 28), np.nan))
    done = cli("predict", "latest", "empty.png", "nan.npy", "no.jpg", code=2)
    assert done.stderr.splitlines() == [
        "refused: empty.png: is empty",
        "refused: nan.npy: pixels must be from 0 to 255, or from 0 to 1, got nan to nan",
        "refused: no.jpg: cannot be read: No such file or directory",
    ]


def test_a_model_file_that_holds_code_is_refused(tmp_path):
    import keras

    from mnist_bench.train import models

    layers = [keras.Input((28, 28)), keras.layers.Lambda(lambda x: x), keras.layers.Flatten()]
    keras.Sequential(layers).save(tmp_path / "lambda.keras")
    keras.Sequential([keras.Input((3,)), keras.layers.Dense(10)]).save(tmp_path / "other.keras")
    (tmp_path / "text.keras").write_text("no model")
    for name, reason in {
        "lambda": "cannot be loaded",
        "text": "cannot be loaded",
        "other": "is no network for images of digits",
    }.items():
        with pytest.raises(Refusal, match=reason):
            models.load_model(tmp_path / f"{name}.keras")


# --- ui


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def status(address: str, **headers: str) -> int:
    try:
        with urllib.request.urlopen(urllib.request.Request(address, headers=headers)) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def beside(folder: Path) -> set[str]:
    """Returns what lies in a folder, but for the store itself and SQLite's files for it."""
    return {path.name for path in folder.iterdir() if not path.name.startswith("mlflow.db")}


def test_the_ui_serves_this_machine_alone_and_ends_cleanly(trained, tmp_path):
    port = free_port()
    before = beside(trained.folder)
    with (tmp_path / "said").open("w+") as said:
        program = subprocess.Popen(
            [sys.executable, "-m", "mnist_bench", "ui", "--no-browser", "--port", str(port)],
            cwd=trained.folder, env={**ENVIRONMENT, "PYTHONUNBUFFERED": "1"}, stdout=said,
            stderr=subprocess.STDOUT,
        )  # fmt: skip
        try:
            while "Ctrl-C" not in (tmp_path / "said").read_text():
                assert program.poll() is None, (tmp_path / "said").read_text()
                time.sleep(0.2)
            address = f"http://127.0.0.1:{port}"
            [run, *_] = trained.runs()
            experiment = Path((tmp_path / "said").read_text().split("#")[1]).parts[2]
            assert run.parent_run_id
            query = f"{address}/ajax-api/2.0/mlflow/experiments/get?experiment_id={experiment}"
            with urllib.request.urlopen(query) as answer:
                assert b'"name": "mnist_bench"' in answer.read()
            assert status(address) == 200
            assert status(address, Host=f"localhost:{port}") == 200
            assert status(address, Host="127.0.0.1.evil.com") == 403
            assert status(address, Host=f"evil.com:{port}") == 403
            taken = trained("ui", "--port", str(port), code=2)
            assert (
                f"refused: --port {port}: cannot be used (Address already in use)" in taken.stderr
            )
            assert f"--port {port + 1}" in taken.stderr
            family = psutil.Process(program.pid).children(recursive=True)
            assert family
            program.send_signal(signal.SIGINT)
            assert program.wait(30) == 0
        finally:
            if program.poll() is None:
                program.terminate()
                program.wait(30)
    assert not [process for process in family if process.is_running()]
    assert beside(trained.folder) == before


def test_no_process_of_a_server_outlives_it():
    code = (
        "import subprocess, sys; p = subprocess.Popen(['sleep', '600']); print(p.pid, flush=True)"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, start_new_session=True
    )
    child = psutil.Process(int(process.stdout.readline()))
    assert process.wait(30) == 0
    assert child.is_running()
    mlflow_server._end(process)
    process.stdout.close()
    assert not child.is_running() or child.status() == psutil.STATUS_ZOMBIE


def test_a_server_that_dies_is_told_with_what_it_said(trained, monkeypatch):
    monkeypatch.setenv("MLFLOW_UVICORN_OPTS", "--no-such-option")
    with (
        mlflow_server.serving(uri(trained), free_port()) as running,
        pytest.raises(ServerDied, match=r"ended with code \d+; it said:(.|\n)*such-option"),
    ):
        running.wait_until_it_answers()


def test_the_ui_needs_a_store(cli):
    done = cli("ui", "--no-browser", "--port", str(free_port()), code=2)
    assert "refused: tracking.uri: there is no store mlflow.db here" in done.stderr
    assert not list(cli.folder.iterdir())


def test_a_store_behind_a_server_is_shown_there(cli):
    with socket.socket() as server:  # its port is not one to listen on again
        server.bind(("127.0.0.1", 0))
        server.listen()
        address = f"127.0.0.1:{server.getsockname()[1]}"
        done = cli(
            *("ui", "--no-browser", "--port", address.partition(":")[2]),
            *("--tracking-uri", f"http://name:secret@{address}/"),
        )
    assert done.stdout == f"The store is a server already: http://{address}/#/experiments\n"
