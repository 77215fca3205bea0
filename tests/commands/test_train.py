import os
import pickle
import re
import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mnist_bench
from mnist_bench.config.compose import load_config, resource_dir
from mnist_bench.config.record import recordable_overrides
from mnist_bench.config.schema import OptimizerName
from tests.composed import compose, plan
from tests.programs import Answer, ask

LONG = "x" * 10_000
HOME = "/home/marker-4711"
STYLES = "one of sequential_add, sequential_list, functional, subclass"
Answers = dict[tuple[str, ...], Answer]
OPTIMIZERS = f"Available options in 'optimizer': {' '.join(sorted(OptimizerName.__members__))}"


def run(arguments: Sequence[str], folder: Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "mnist_bench", *arguments],
        cwd=folder,
        env={**os.environ, "HOME": HOME},
        capture_output=True,
        text=True,
        check=False,
    )


# Each line is what one `refused: ` line must hold, in their order.
SINGLE: list[tuple[list[str], list[str]]] = [
    # --- values
    (["train.epochs=0"], ["train.epochs must be a whole number from 1 to 100000, got 0"]),
    (["train.epochs=64.0"], ["train.epochs must be a whole number such as 64, got 64.0"]),
    (["model.hidden_units=[]"], ["model.hidden_units must list 1 to 64 widths, got []"]),
    (["model.hidden_units=[32x]"], ["model.hidden_units must be a list, each item a whole number"]),
    (["model.hidden_units=128,64"], ["Ambiguous value for argument 'model.hidden_units=128,64'"]),
    (["optimizer.name=sgd"], ["choose the group instead: optimizer=sgd"]),
    (["model.style=nope"], [f"model.style must be {STYLES}, got nope"]),
    (["data.path=nope.npz"], ["data.path=nope.npz is not readable (No such file or directory)"]),
    (["data.train_limit=50001"], ["data.train_limit must be at most 50000"]),
    # --- all at once, whatever kind they are of
    (
        ["train.epochs=x", "train.batch_size=0", "seed=-1", "study='a b'", "optimizer.rho=1"],
        ["train.epochs must", "optimizer.rho: no such key", "train.batch_size must", "seed must",
         "study must"],
    ),
    # --- keys and groups
    (["model.stile=functional"], ["model.stile: no such key; did you mean style?"]),
    (["modle.style=functional"], ["modle: no such key; did you mean model?"]),
    (["+model.foo=1"], ["model.foo: no such key"]),
    (["++foo=1", "+bar=2"], ["foo: no such key", "bar: no such key"]),
    (["optimizer=nope"], [OPTIMIZERS]),
    (["+experiment=nope"], ["Available options in 'experiment': flatten_1000 functional_64"]),
    (["experiment=flatten_1000"], ["use +experiment=flatten_1000"]),
    (["hydra/launcher=nope"], ["Available options in 'hydra/launcher'"]),
    (["hydra.nope=1", "seed=-1"], ["hydra.nope: no such key; there are: defaults", "seed must"]),
    (["~seed"], ["seed: is missing"]),
    (["~optimizer", "seed=-1"], ["optimizer: is missing"]),
    (["~train.epochs"], ["train.epochs: "]),
    (["train=null"], ["train must be set key by key (batch_size, epochs, engine), got None"]),
    (["optimizer=null"], ["optimizer=null: "]),
    (["optimizer=[adam,sgd]"], ["SGDConfig is not a subclass of AdamConfig"]),
    # --- what cannot be read
    (["foo"], ["foo: cannot be read"]),
    (["=3"], ["=3: "]),
    (["a b=1"], ["a b=1: cannot be read"]),
    (["seed=\n"], ["seed=\\n: cannot be read"]),
    (["<script>alert(1)</script>=1"], ["<script>alert(1)</script>=1: cannot be read"]),
    (["--nope"], ["--nope: no such flag; see --help"]),
    (["--resolve"], ["--resolve"]),
    (["--dry-run"], ["--dry-run: prints the plan of a sweep, and this is none; add -m"]),
    (["-m", "--cfg", "job"], ["Only one of --run, --multirun, --cfg"]),
    (["--config-dir", "nope"], ["nope' not found"]),
    # --- text that is long, or has control characters
    ([f"optimizer={'x' * 300}"], [OPTIMIZERS]),
    ([f"optimizer={LONG}"], ["optimizer=xxxxx"]),
    ([f"{LONG}=1"], ["xxxxx"]),
    ([f"+{LONG}=1"], ["+xxxxx"]),
    ([f"model.{LONG}=1"], ["model.xxxxx"]),
    ([f"study={LONG}"], ["study must be 1 to 64 letters, digits, _ or -, got xxx"]),
    ([f"data.path={LONG}"], ["data.path must be 1 to 4096 printable characters, got xxx"]),
    ([f"tracking.experiment={LONG}"], ["must be 1 to 250 printable characters, got xxx"]),
    (["study='é\n'"], ["study must be 1 to 64 letters, digits, _ or -, got é\\n"]),
    (["data.path='é\n'"], ["printable characters, got é\\n"]),
    (["tracking.experiment='é\n\x1b[31m'"], ["printable characters, got é\\n\\x1b[31m"]),
    (["tracking.uri='http://['"], ["tracking.uri must be a URI, got http://["]),
    # --- what would run code, read the environment or forge a record
    (["_target_=evil.Evil"], ["not allowed"]),
    (["+model._target_=evil.Evil"], ["not allowed"]),
    (["hydra.launcher._target_=evil.Evil"], ["not allowed"]),
    (["hydra.sweeper={_target_: evil.Evil}"], ["not allowed"]),
    (["+hydra.callbacks.x={_\\target_: evil.Evil}"], ["not allowed"]),
    (["hydra.searchpath=[pkg://evil]"], ["a package would be imported"]),
    (["data.path=${oc.env:HOME}"], ["resolvers"]),
    (["data.path='${oc.env:HOME}'"], ["resolvers"]),
    (["data.path=$\\{oc.env\\:HOME\\}"], ["resolvers"]),
    (["study=oc.env", "data.path=${${study}:HOME}"], ["resolvers"]),
    (["tracking.experiment=${oc.env:HOME}", "seed=-1"], ["resolvers"]),
    (["hydra.run.dir=${oc.env:HOME}"], ["resolvers"]),
    (["--experimental-rerun=evil.pickle"], ["no such flag"]),
    (["--experimental-rerun", "evil.pickle"], ["no such flag"]),
    (["--exp", "evil.pickle"], ["no such flag"]),
    (["--e=evil.pickle"], ["no such flag"]),
    (["--config-name=evil"], ["no such flag"]),
    (["--config-path", "."], ["no such flag"]),
    (["optimizer=../../evil"], ["an option of a group is a name, not a path"]),
    (["+experiment=../evil"], ["an option of a group is a name, not a path"]),
    (["tracking={uri: x}"], ["a section is set key by key"]),
    (["published={source: x}"], ["a section is set key by key", "studies set it"]),
    (["published.source=x"], ["studies set it"]),
    (["tracking.parent_run_id=x"], ["tracking.parent_run_id: no such key"]),
    (["++tracking.sweep_id=x"], ["tracking.sweep_id: no such key"]),
]  # fmt: skip

SWEEPS: list[tuple[list[str], list[str]]] = [
    (["-m", "train.epochs=0"], ["got 0; e.g. train.epochs=5 (in 32 of 32 runs)"]),
    (
        ["-m", "seed=-1,x", "model.style=functional,nope", "train.epochs=y", "optimizer=nope,adam"],
        [f"{OPTIMIZERS} (in 4 of 8 runs)",
         "train.epochs must be a whole number such as 64, got y (in 4 of 8 runs)",
         "seed must be a whole number from 0 to 4294967295, got -1; e.g. seed=0 (in 2 of 8 runs)",
         f"model.style must be {STYLES}, got nope (in 2 of 8 runs)",
         "seed must be a whole number such as 64, got x (in 2 of 8 runs)"],
    ),
    (["-m", "data.path=nope.npz"], ["data.path=nope.npz is not readable"]),
    (["-m", "model.style=glob(zz*)"], ["1 to 100000 runs, got none"]),
    (["-m", "seed=range(0,10000000)"], ["1 to 100000 runs, got more"]),
    (["-m", "optimizer=null,adam"], ["optimizer=null: "]),
    (["-m", "+experiment=notebooks", "seed=-1"], ["(in 5 of 5 runs)"]),
    (["+experiment=style_grid", "seed=-1,-2"], ["(in 32 of 64 runs)", "(in 32 of 64 runs)"]),
    (["hydra.mode=MULTIRUN", "train.epochs=0"], ["(in 32 of 32 runs)"]),
    (["-m", "sweep.exclude=[{model.stile:subclass}]"], ["did you mean model.style?"]),
    (["-m", "sweep.resume=nope"], ["sweep.resume must be one of auto, failed, off, got nope"]),
    (["-m", "--dry-run", "seed=-1"], ["(in 32 of 32 runs)"]),
]  # fmt: skip

EVIL_MODULE = "open('pwned', 'w').close()\nclass Evil:\n    pass\n"


class EvilPickle:
    def __reduce__(self) -> Any:
        return open, ("pwned", "w")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An otherwise empty folder with what hostile arguments would like to load."""
    folder = tmp_path_factory.mktemp("empty")
    (folder / "evil.py").write_text(EVIL_MODULE)
    (folder / "evil.pickle").write_bytes(pickle.dumps(EvilPickle()))
    (folder / "evil.yaml").write_text("name: adam\n")
    return folder


@pytest.fixture(scope="module")
def answers(folder: Path) -> Answers:
    return ask([arguments for arguments, _ in SINGLE + SWEEPS], folder, HOME=HOME)


def short(value: Any) -> str:
    return repr(value)[:60]


@pytest.mark.parametrize(("arguments", "said"), SINGLE + SWEEPS, ids=short)
def test_refusals(arguments: list[str], said: list[str], answers: Answers) -> None:
    answer = answers[tuple(arguments)]
    assert (answer.code, answer.out) == (2, ""), answer.err
    lines = answer.err.splitlines()
    assert len(lines) == len(said), answer.err
    for line, part in zip(lines, said, strict=True):
        assert line.startswith("refused: ")
        assert part in line
        assert line.isprintable()
        assert len(line) < 1_200
        assert "marker-4711" not in line
        assert str(Path(mnist_bench.__file__).parent) not in line


def test_refusals_leave_nothing_behind(folder: Path, answers: Answers) -> None:
    assert not any({"tensorflow", "keras", "evil"} & set(a.loaded) for a in answers.values())
    # A refused run has no need of MLflow, which takes a second to load.
    assert not any(answers[tuple(arguments)].loaded for arguments, _ in SINGLE)
    left = {path.name for path in folder.rglob("*")} - {"__pycache__"}
    assert left <= {"evil.py", "evil.pickle", "evil.yaml", "outputs"}


def test_what_hostile_arguments_would_load_does_harm(folder: Path, tmp_path: Path) -> None:
    """Shows that the test above could fail."""
    for program in ("import evil", "import pickle; pickle.load(open('evil.pickle', 'rb'))"):
        for name in ("evil.py", "evil.pickle"):
            (tmp_path / name).write_bytes((folder / name).read_bytes())
        subprocess.run([sys.executable, "-c", program], cwd=tmp_path, check=True)
        (tmp_path / "pwned").unlink()


# --- the real door ------------------------------------------------------------------------------


def test_help(tmp_path: Path) -> None:
    done = run(["--help"], tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert run(["-h", "seed=nope", "-m"], tmp_path).stdout == done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 100
    groups = done.stdout.partition("Groups (GROUP=NAME):")[2].partition("Keys")[0]
    listed = {
        group: names.split(", ")
        for group, names in (
            line.split(maxsplit=1) for line in re.sub(r",\s+", ", ", groups).splitlines() if line
        )
    }
    folders = {
        "optimizer": resource_dir("conf") / "optimizer",
        "data": resource_dir("conf") / "data",
        "grid": resource_dir("conf") / "grid",
        "+experiment": resource_dir("experiments"),
    }
    assert listed == {
        group: sorted(path.stem for path in folder.glob("*.yaml"))
        for group, folder in folders.items()
    }
    for words in ("mnist_bench ui", "Exit codes: 0", "--cfg job", "+experiment=NAME"):
        assert words in done.stdout
    # Each key that is named exists.
    keys = re.findall(r"\b(?:model|train|data|tracking|sweep)\.\w+", done.stdout)
    assert len(set(keys)) > 12
    config = compose()
    for key in keys:
        section, name = key.split(".")
        assert name in config[section], key
    assert list(tmp_path.iterdir()) == []


def test_the_examples_of_the_help_work(tmp_path: Path) -> None:
    help_text = run(["--help"], tmp_path).stdout
    examples = help_text.partition("Examples:\n")[2].partition("\n\n")[0].splitlines()
    assert len(examples) == 3
    sizes = []
    for example in examples:
        python, flag, module, *arguments = shlex.split(example)
        assert (python, flag, module) == ("python", "-m", "mnist_bench")
        if "-m" in arguments:
            arguments.remove("-m")
            sizes.append(len(plan(*arguments).runs))
        else:
            load_config(compose(*arguments))
            sizes.append(1)
    assert sizes == [1, 6, 1]


def test_cfg_job_prints_the_configuration_and_runs_nothing(tmp_path: Path) -> None:
    done = run(["--cfg", "job", "optimizer=sgd", "train.epochs=7"], tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert "name: sgd" in done.stdout
    assert "epochs: 7" in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_a_refused_run_and_sweep_at_the_real_door(tmp_path: Path) -> None:
    for arguments in (["seed=-1"], ["-m", "seed=-1"]):
        done = run(arguments, tmp_path)
        assert (done.returncode, done.stdout) == (2, "")
        (line,) = done.stderr.splitlines()
        assert line.startswith("refused: seed must be a whole number from 0 to 4294967295, got -1")
    assert not (tmp_path / "mlflow.db").exists()
    assert not (tmp_path / "mlruns").exists()


def test_the_module_is_light(tmp_path: Path) -> None:
    program = """
import sys
import mnist_bench.commands.main
print(sorted({"hydra", "tensorflow", "keras", "mlflow", "numpy", "rich"} & set(sys.modules)))
"""
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"


def test_a_mistake_of_ours_is_not_called_a_refusal(tmp_path: Path) -> None:
    program = """
import sys
from mnist_bench.commands import main
from mnist_bench.train import data
def broken(config):
    raise RuntimeError("a mistake in our code")
data.load_cached = broken
sys.argv = ["mnist_bench", *sys.argv[1:]]
main.main()
"""
    for arguments in ([], ["-m"]):
        done = subprocess.run(
            [sys.executable, "-c", program, *arguments],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 1
        assert "refused" not in done.stderr
        assert done.stderr.endswith("RuntimeError: a mistake in our code\n")


def test_hostile_names_are_kept_inside_the_store_and_folders_out_of_it(tmp_path: Path) -> None:
    """And a run that fails says so in a line, with exit code 1."""
    store, elsewhere = tmp_path / "store", tmp_path / "marker-4712"
    store.mkdir()
    elsewhere.mkdir()
    pixels, labels = np.zeros((64, 28, 28), np.uint8) + 200, np.arange(64) % 10
    np.savez(elsewhere / "é <b>.npz", x_train=pixels, y_train=labels, x_test=pixels, y_test=labels)
    done = run(
        [
            "optimizer=sgd",
            "optimizer.learning_rate=1e30",
            "train.epochs=2",
            "data.validation=none",
            f"++data.path='{elsewhere}/é <b>.npz'",
            "tracking.experiment='../../é <script>alert(1)</script> =cmd()'",
            "study=-evil-",
        ],
        store,
    )
    assert done.returncode == 1, done.stderr
    lines = done.stdout.splitlines()
    assert all(line.isprintable() for line in lines)
    assert any(line.startswith("FAILED ") and "diverged: the loss became" in line for line in lines)
    assert "Traceback" not in done.stderr
    assert {path.name for path in tmp_path.iterdir()} == {"store", "marker-4712"}
    assert {path.name for path in store.iterdir()} <= {
        *("mlflow.db", "mlflow.db-shm", "mlflow.db-wal", "mlflow.db.lock", "mlruns", "outputs"),
        *(path.name for path in store.glob("mlflow.db*")),
    }
    kept = [path.read_bytes() for path in store.rglob("*") if path.is_file()]
    assert any(b"learning_rate=1e30" in content for content in kept)
    assert not any(b"marker-4711" in content or b"marker-4712" in content for content in kept)


# --- what is recorded of a command ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("typed", "recorded"),
    [
        ("train.epochs=3", "train.epochs=3"),
        ("optimizer=sgd", "optimizer=sgd"),
        ("+experiment=flatten_1000", "+experiment=flatten_1000"),
        ("data.path=/home/alice/x.npz", "data.path=x.npz"),
        ("++data.path='/home/alice/my data.npz'", "++data.path=my data.npz"),
        ("+data.path=../alice/x.npz", "+data.path=x.npz"),
        ("tracking.uri=http://alice:secret@host/x", "tracking.uri=http:"),
        ("++tracking.uri='sqlite:////home/alice/runs.db'", "++tracking.uri=sqlite:runs.db"),
    ],
)
def test_recordable_overrides(typed: str, recorded: str) -> None:
    assert recordable_overrides([typed]) == [recorded]
