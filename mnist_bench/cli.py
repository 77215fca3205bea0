"""The command line: `python -m mnist_bench`, and `mnist-bench` where the package is installed.

Nothing heavy is imported before it is needed, so that help and refusals answer at once.
"""

import os
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from mnist_bench.config import (
    ConfigError,
    RunConfig,
    explain,
    load,
    register,
    resource_dir,
    shown,
    without_location,
)

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from mnist_bench.run import RunSummary
    from mnist_bench.training import Epoch

REFUSED = 2
FAILED = 1

HELP = """\
mnist_bench: trains MNIST networks, keeps every run in MLflow, and compares them.

  python -m mnist_bench [KEY=VALUE ...]       train one network and record it
  python -m mnist_bench -m [KEY=A,B ...]      sweep: train every combination
  python -m mnist_bench +experiment=NAME      run a study from experiments/
  python -m mnist_bench compare BASE [CAND]   judge runs against others (compare --help)
  mlflow ui                                   look at the runs (in this folder)

Groups (GROUP=NAME):
{groups}

Keys (KEY=VALUE), defaults in brackets:
  model.style          sequential_add, sequential_list, functional, subclass [sequential_list]
  model.hidden_units   widths of the hidden layers, e.g. 'model.hidden_units=[784,64]' [[128]]
  model.activation     any that Keras names [relu]
  optimizer.*          Keras's own settings, e.g. optimizer.learning_rate [Keras's defaults]
  train.batch_size     [32]          train.epochs  [5]
  train.engine         compiled, fit, fit_tuned [compiled]
  data.path            an .npz file or a folder of IDX files instead of the packaged MNIST
  data.validation      holdout, train_tail, test, none [holdout]
  data.divisor         pixels are divided by it [255]
  data.train_limit     train on the first n rows only
  tracking.uri         MLflow store [$MLFLOW_TRACKING_URI, or sqlite:///mlflow.db]
  tracking.experiment  [mnist_bench]
  seed                 [0]

Examples:
  python -m mnist_bench optimizer=sgd optimizer.learning_rate=0.1 train.epochs=10
  python -m mnist_bench -m grid=none 'model.hidden_units=[64],[256]' seed=0,1,2
  python -m mnist_bench +experiment=flatten_1000

Exit codes: 0 done, 1 a run failed, 2 refused before anything was trained.
More: --cfg job (the configuration, not run), --hydra-help (Hydra's own flags)."""


def main() -> int:
    """Runs the command line and returns the exit code."""
    arguments = sys.argv[1:]
    if arguments[:1] == ["compare"]:
        from mnist_bench import compare_cli

        return compare_cli.main(arguments[1:])
    if {"-h", "--help"} & set(arguments):
        print(_help())
        return 0
    with _refusals():
        _refuse_hostile(arguments)
        _run_hydra()
    return 0


def task(composed: "DictConfig") -> "RunSummary":
    """Runs one configuration that Hydra composed: a single run, or one of a sweep.

    Raises:
        SystemExit: After a single run that failed, or was refused. (Hydra would print a traceback
            for any other exception.)
    """
    from hydra.core.hydra_config import HydraConfig

    overrides = recordable_overrides(HydraConfig.get().overrides.task)
    if composed.tracking.parent_run_id is not None:
        from mnist_bench.run import execute

        return execute(load(composed), overrides)
    with _refusals():
        summary = _single_run(load(composed), overrides)
    if summary.failure:
        sys.exit(FAILED)
    return summary


def _single_run(config: RunConfig, overrides: Sequence[str]) -> "RunSummary":
    from mnist_bench import terminal
    from mnist_bench.run import execute

    console = terminal.make_console()
    epochs = config.train.epochs
    with terminal.make_progress(console) as progress:
        bar = progress.add_task("epochs", total=epochs)

        def on_epoch(epoch: "Epoch") -> None:
            terminal.say(console, terminal.epoch_line(epoch, epochs))
            progress.advance(bar)

        summary = execute(config, overrides, on_epoch)
    terminal.show_run(console, summary)
    return summary


def recordable_overrides(overrides: Iterable[str]) -> list[str]:
    """Returns overrides as they may be recorded.

    What the sweeper adds is left out, and so are folders, hosts and credentials.
    """
    kept = []
    for override in overrides:
        key, _, value = override.partition("=")
        if key in ("tracking.parent_run_id", "tracking.sweep_id"):
            continue
        if key == "data.path":
            value = Path(value.strip("'\"")).name
        elif key == "tracking.uri":
            value = without_location(value.strip("'\""))
        kept.append(f"{key}={value}")
    return kept


def _run_hydra() -> None:
    # Without it Hydra prints errors of its own and exits with 1; here they are one line and 2.
    os.environ["HYDRA_FULL_ERROR"] = "1"
    import hydra

    register()
    hydra.main(version_base="1.3", config_path=str(resource_dir("conf")), config_name="config")(
        task
    )()


def _refuse_hostile(arguments: Sequence[str]) -> None:
    """Refuses what could run code or read the environment while Hydra composes.

    Raises:
        ConfigError: If there is any.
    """
    problems = []
    for argument in arguments:
        if re.search(r"\b_(target|partial|recursive|convert|args)_\b", argument):
            problems.append(f"{shown(argument)}: keys of Hydra's `instantiate` are not allowed")
        if re.search(r"\$\{[^}]*:", argument):
            problems.append(f"{shown(argument)}: resolvers are not allowed; write the value itself")
        if argument.startswith("--experimental-rerun"):
            problems.append(f"{shown(argument)}: not allowed, since it loads a pickle")
    if problems:
        raise ConfigError(problems)


@contextmanager
def _refusals() -> Iterator[None]:
    """Turns what is refused into one line a problem, and exit code 2."""
    try:
        yield
    except ConfigError as error:
        problems: Sequence[str] = error.problems
    except Exception as error:
        if not _is_refusal(error):
            raise
        problems = [explain(error)]
    else:
        return
    for problem in problems:
        print(f"refused: {problem}", file=sys.stderr)
    sys.exit(REFUSED)


def _is_refusal(error: Exception) -> bool:
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    from mnist_bench.data import DataError

    if isinstance(error, HydraException | OmegaConfBaseException | DataError):
        return True
    # Only a program that came as far as the store has it loaded.
    tracking = sys.modules.get("mnist_bench.tracking")
    return tracking is not None and isinstance(error, tracking.TrackingError)


def _help() -> str:
    groups = {
        "optimizer": resource_dir("conf") / "optimizer",
        "data": resource_dir("conf") / "data",
        "grid": resource_dir("conf") / "grid",
        "+experiment": resource_dir("experiments"),
    }
    width = max(map(len, groups)) + 2
    lines = [
        f"  {group:<{width}}{', '.join(sorted(path.stem for path in folder.glob('*.yaml')))}"
        for group, folder in groups.items()
    ]
    return HELP.format(groups="\n".join(lines))
