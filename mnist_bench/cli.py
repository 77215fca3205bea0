"""The command line: `python -m mnist_bench`, and `mnist-bench` where the package is installed.

Nothing heavy is imported before it is needed, so that help and refusals answer at once.
"""

import os
import re
import signal
import sys
import textwrap
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from pkgutil import resolve_name
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
INTERRUPTED = 128 + signal.SIGINT
TERMINATED = 128 + signal.SIGTERM

COMMANDS = {
    "compare": "mnist_bench.compare_cli:main",
    "report": "mnist_bench.report_cli:main",
    "ui": "mnist_bench.view_cli:ui",
    "show": "mnist_bench.view_cli:show",
    "predict": "mnist_bench.view_cli:predict",
}
"""What there is beside training -> where it is; it takes its arguments and returns an exit code."""

FLAGS = (
    *("--multirun", "-m", "--run", "-r", "--cfg", "-c", "--package", "-p", "--resolve"),
    *("--info", "-i", "--hydra-help", "--version", "--shell-completion", "-sc"),
    *("--config-dir", "-cd"),
)
"""What is handed on to Hydra. Not its `--experimental-rerun`, which loads a pickle, nor the
abbreviations that its parser would take for that; nor what replaces the whole configuration."""

HOSTILE = {
    r"\b_(target|partial|recursive|convert|args)_\b": "keys that run code are not allowed",
    r"\$\{": "resolvers and other references are not allowed; write the value itself",
    r"searchpath.*pkg:": "a package would be imported; name a folder",
    r"^[^.=]*=.*\.\.": "an option of a group is a name, not a path",
    r"^[^.=]*=.*(?<!\$)\{": "a section is set key by key, e.g. train.epochs=5",
    r"^\W*(published|tracking\.(parent_run_id|sweep_id|timing))\b": "studies and sweeps set it",
}
"""Overrides that could run code, read the environment or forge a record -> why they are refused."""

HELP = """\
mnist_bench: trains MNIST networks, keeps every run in MLflow, and compares them.

  python -m mnist_bench [KEY=VALUE ...]       train one network and record it
  python -m mnist_bench -m [KEY=A,B ...]      sweep: train every combination
  python -m mnist_bench -m --dry-run          print what a sweep would train
  python -m mnist_bench +experiment=NAME      run a study from experiments/
  python -m mnist_bench compare BASE [CAND]   judge runs against others
  python -m mnist_bench report [SWEEP]        write what a sweep showed as one HTML file
  python -m mnist_bench ui                    look at the runs in the browser
  python -m mnist_bench show RUN              look at one run, or a sweep, here
  python -m mnist_bench predict RUN IMAGE...  read digits from image files with a run's model

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
  sweep.resume         auto: finished runs are not run again; failed; off: all again [auto]
  sweep.exclude        partial configurations to leave out [[]]
  sweep.on_error       continue, stop [continue]    sweep.max_failures, sweep.max_retries

Examples:
  python -m mnist_bench optimizer=sgd optimizer.learning_rate=0.1 train.epochs=10
  python -m mnist_bench -m grid=none 'model.hidden_units=[64],[256]' seed=0,1,2
  python -m mnist_bench +experiment=flatten_1000

Exit codes: 0 done, 1 a run failed, 2 refused before anything was trained, 130 interrupted,
143 terminated. A sweep that was cut off goes on with the same command.
More: COMMAND --help, --cfg job (the configuration, not run), --hydra-help (Hydra's own flags)."""


def main() -> int:
    """Runs the command line and returns the exit code."""
    arguments = sys.argv[1:]
    if arguments and arguments[0] in COMMANDS:
        command: Callable[[Sequence[str]], int] = resolve_name(COMMANDS[arguments[0]])
        return command(arguments[1:])
    if {"-h", "--help"} & set(arguments):
        print(_help())
        return 0
    signal.signal(signal.SIGTERM, _terminate)
    if "--dry-run" in arguments:  # a flag that Hydra's own parser would refuse
        arguments = [a if a != "--dry-run" else "sweep.dry_run=true" for a in arguments]
        sys.argv[1:] = arguments
    try:
        with _refusals():
            _refuse_hostile(arguments)
            _run_hydra(arguments)
    except KeyboardInterrupt:
        print("interrupted; the same command goes on", file=sys.stderr)
        return INTERRUPTED
    return 0


def _terminate(number: int, frame: object) -> None:
    # Like Ctrl-C: it goes up through everything that has to tidy up.
    print("terminated; the same command goes on", file=sys.stderr)
    sys.exit(TERMINATED)


def task(composed: "DictConfig") -> "RunSummary":
    """Runs one configuration that Hydra composed: a single run, or one of a sweep.

    Raises:
        SystemExit: After a single run that failed, or was refused. (Hydra would print a traceback
            for any other exception.)
    """
    from hydra.core.hydra_config import HydraConfig

    typed = HydraConfig.get().overrides.task
    if composed.tracking.parent_run_id is not None:
        from mnist_bench.run import execute

        return execute(load(composed), recordable_overrides(typed))
    with _refusals():
        summary = _single_run(load(composed), recordable_overrides(typed))
    if summary.failure:
        sys.exit(FAILED)
    return summary


def _single_run(config: RunConfig, overrides: Sequence[str]) -> "RunSummary":
    if config.sweep.dry_run:
        raise ConfigError(["--dry-run: prints the plan of a sweep, and this is none; add -m"])
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
        name = key.lstrip("+")
        if name in ("tracking.parent_run_id", "tracking.sweep_id", "tracking.timing"):
            continue
        if name == "data.path":
            value = Path(value.strip("'\"")).name
        elif name == "tracking.uri":
            value = without_location(value.strip("'\""))
        kept.append(f"{key}={value}")
    return kept


def _run_hydra(arguments: Sequence[str]) -> None:
    # Without it Hydra prints errors of its own and exits with 1; here they are one line and 2.
    os.environ["HYDRA_FULL_ERROR"] = "1"
    import hydra

    register()
    run = hydra.main(
        version_base="1.3", config_path=str(resource_dir("conf")), config_name="config"
    )
    try:
        run(task)()
    except Exception as error:
        if _was_composed(error):
            raise
        raise ConfigError(_all_problems(arguments, error)) from error


def _was_composed(error: Exception) -> bool:
    """Returns whether Hydra came as far as to hand over to this package.

    While it composes, it raises whatever bad input leads it to: OSError for a name that is too
    long, AttributeError, AssertionError, ValueError. A mistake of ours must stay a traceback.
    """
    raised: BaseException | None = error
    while raised is not None:
        for frame, _ in traceback.walk_tb(raised.__traceback__):
            ours = frame.f_globals["__name__"].startswith(
                ("mnist_bench.", "hydra_plugins.mnist_bench")
            )
            if ours and frame.f_code is not _run_hydra.__code__:
                return True
        raised = raised.__cause__
    return False


def _all_problems(arguments: Sequence[str], error: Exception) -> Sequence[str]:
    """Returns what is wrong with the overrides; Hydra itself stops at the first bad value."""
    from hydra import initialize_config_dir
    from hydra.core.global_hydra import GlobalHydra
    from hydra.types import RunMode
    from omegaconf.errors import OmegaConfBaseException

    from mnist_bench.plan import make_plan

    first = explain(error, arguments)
    if not isinstance(error.__cause__, OmegaConfBaseException):
        return [first]
    overrides = [a for a in arguments if re.match(r"[^-]*=", a) and "hydra" not in a]
    with initialize_config_dir(version_base="1.3", config_dir=str(resource_dir("conf"))):
        loader = GlobalHydra.instance().config_loader()
        sweep = loader.load_configuration("config", overrides=[], run_mode=RunMode.MULTIRUN)
        try:
            make_plan(loader, sweep, {}, overrides, lambda data: data.name.value)
        except ConfigError as found:
            known = any(problem.startswith(first) for problem in found.problems)
            return found.problems if known else [first, *found.problems]
    return [first]  # of a key of Hydra's own


def _refuse_hostile(arguments: Sequence[str]) -> None:
    """Refuses what must not come as far as Hydra.

    Raises:
        ConfigError: If there is any.
    """
    problems = []
    for argument in arguments:
        if argument.startswith("-") and argument.partition("=")[0] not in FLAGS:
            problems.append(f"{shown(argument)}: no such flag; see --help")
        # Hydra drops backslashes, and with them what is meant to look harmless.
        plain = argument.replace("\\", "")
        problems += [
            f"{shown(argument)}: {why}" for sign, why in HOSTILE.items() if re.search(sign, plain)
        ]
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
        problems = [str(error)]
    else:
        return
    for problem in problems:
        print(f"refused: {problem}", file=sys.stderr)
    sys.exit(REFUSED)


def _is_refusal(error: Exception) -> bool:
    from mnist_bench.data import DataError

    if isinstance(error, DataError):
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
        textwrap.fill(
            ", ".join(sorted(path.stem for path in folder.glob("*.yaml"))),
            width=100,
            initial_indent=f"  {group:<{width}}",
            subsequent_indent=" " * (width + 2),
        )
        for group, folder in groups.items()
    ]
    return HELP.format(groups="\n".join(lines))
