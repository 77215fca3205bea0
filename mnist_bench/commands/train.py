"""Training, the command without a name: Hydra composes, and one run or a sweep follows."""

import os
import re
import signal
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from mnist_bench.config.compose import HydraTask, load_config, register, resource_dir
from mnist_bench.config.explain import explain
from mnist_bench.config.keys import group_table, key_table
from mnist_bench.config.record import recordable_overrides
from mnist_bench.errors import ExitCode, Refusal
from mnist_bench.text import shown

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from mnist_bench.train.training import Epoch

HYDRA_FLAGS = (
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
    r"^\W*published\b": "studies set it",
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
{keys}

Examples:
  python -m mnist_bench optimizer=sgd optimizer.learning_rate=0.1 train.epochs=10
  python -m mnist_bench -m grid=none 'model.hidden_units=[64],[256]' seed=0,1,2
  python -m mnist_bench +experiment=flatten_1000

Exit codes: 0 done, 1 a run failed, 2 refused before anything was trained, 130 interrupted,
143 terminated. A sweep that was cut off goes on with the same command.
More: COMMAND --help, --cfg job (the configuration, not run), --hydra-help (Hydra's own flags)."""


def train_or_sweep(arguments: Sequence[str]) -> int:
    """Runs the command and returns its exit code."""
    if {"-h", "--help"} & set(arguments):
        print(HELP.format(groups=group_table(), keys=key_table()))
        return ExitCode.done
    signal.signal(signal.SIGTERM, _terminate)
    # A flag that Hydra's own parser would refuse.
    arguments = [a if a != "--dry-run" else "sweep.dry_run=true" for a in arguments]
    _refuse_hostile(arguments)
    try:
        return _run_hydra(arguments)
    except KeyboardInterrupt:
        print("interrupted; the same command goes on", file=sys.stderr)
        return ExitCode.interrupted


def _terminate(number: int, frame: object) -> None:
    # Like Ctrl-C: it goes up through everything that has to tidy up.
    print("terminated; the same command goes on", file=sys.stderr)
    sys.exit(ExitCode.terminated)


def _run_hydra(arguments: Sequence[str]) -> int:
    # Without it Hydra prints errors of its own and exits with 1; here they are one line and 2.
    os.environ["HYDRA_FULL_ERROR"] = "1"
    import hydra

    register()
    sys.argv[1:] = arguments
    task = HydraTask(_single_run)
    run = hydra.main(
        version_base="1.3", config_path=str(resource_dir("conf")), config_name="config"
    )
    try:
        run(task)()
    except Exception as error:
        # While it composes, Hydra raises whatever bad input leads it to: OSError for a name that
        # is too long, AttributeError, AssertionError, ... A mistake of ours stays a traceback.
        if task.is_reached:
            raise
        raise Refusal(*_all_problems(arguments, error)) from error
    if task.refusal is not None:
        raise task.refusal
    return task.exit_code


def _single_run(composed: "DictConfig") -> int:
    from hydra.core.hydra_config import HydraConfig

    config = load_config(composed)
    if config.sweep.dry_run:
        raise Refusal("--dry-run: prints the plan of a sweep, and this is none; add -m")
    from mnist_bench.look.terminal import epoch_line, make_console, make_progress, say, show_summary
    from mnist_bench.run.execute import execute

    overrides = recordable_overrides(HydraConfig.get().overrides.task)
    console = make_console()
    epochs = config.train.epochs
    with make_progress(console) as progress:
        bar = progress.add_task("epochs", total=epochs)

        def on_epoch(epoch: "Epoch") -> None:
            say(console, epoch_line(epoch, epochs))
            progress.advance(bar)

        summary = execute(config, overrides, on_epoch)
    show_summary(console, summary)
    return ExitCode.failed if summary.failure else ExitCode.done


def _all_problems(arguments: Sequence[str], error: Exception) -> Sequence[str]:
    """Returns what is wrong with the overrides; Hydra itself stops at the first bad value."""
    from hydra import initialize_config_dir
    from hydra.core.global_hydra import GlobalHydra
    from hydra.types import RunMode
    from omegaconf.errors import OmegaConfBaseException

    from mnist_bench.sweep.plan import make_plan

    first = explain(error, arguments)
    if not isinstance(error.__cause__, OmegaConfBaseException):
        return [first]
    overrides = [a for a in arguments if re.match(r"[^-]*=", a) and "hydra" not in a]
    with initialize_config_dir(version_base="1.3", config_dir=str(resource_dir("conf"))):
        loader = GlobalHydra.instance().config_loader()
        sweep = loader.load_configuration("config", overrides=[], run_mode=RunMode.MULTIRUN)
        try:
            make_plan(loader, sweep, {}, overrides, lambda data: data.name.value)
        except Refusal as found:
            known = any(problem.startswith(first) for problem in found.problems)
            return found.problems if known else [first, *found.problems]
    return [first]  # of a key of Hydra's own


def _refuse_hostile(arguments: Sequence[str]) -> None:
    """Refuses what must not come as far as Hydra."""
    problems = []
    for argument in arguments:
        if argument.startswith("-") and argument.partition("=")[0] not in HYDRA_FLAGS:
            problems.append(f"{shown(argument)}: no such flag; see --help")
        # Hydra drops backslashes, and with them what is meant to look harmless.
        plain = argument.replace("\\", "")
        problems += [
            f"{shown(argument)}: {why}" for sign, why in HOSTILE.items() if re.search(sign, plain)
        ]
    if problems:
        raise Refusal(*problems)
