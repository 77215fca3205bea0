"""Types and rules of every setting; the values live in `conf/`.

Importing this module is cheap: neither Hydra nor TensorFlow is loaded, so that a bad setting is
refused before anything slow happens.
"""

import difflib
import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields, is_dataclass
from enum import Enum
from pathlib import Path
from types import NoneType
from typing import Any, get_args, get_origin
from urllib.parse import urlsplit

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException, ValidationError

MAX_HIDDEN_LAYERS = 64
MAX_HIDDEN_UNITS = 65_536
MAX_BATCH_SIZE = 1_000_000
MAX_EPOCHS = 100_000
MAX_TRAIN_ROWS = 100_000_000
PIXEL_MAXIMUM = 255
MAX_SHOWN_CHARACTERS = 120
"""A refused value is quoted up to this length, so that the message stays one readable line."""


class ConfigError(ValueError):
    """Settings that are refused.

    Attributes:
        problems: One line each: the key, the rule, the value and what to do.
    """

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems))


class Style(Enum):
    """The four ways to write one and the same Keras network."""

    sequential_add = "sequential_add"
    sequential_list = "sequential_list"
    functional = "functional"
    subclass = "subclass"


class Activation(Enum):
    """Names that Keras takes for a layer, of functions that act on each unit by itself."""

    celu = "celu"
    elu = "elu"
    exponential = "exponential"
    gelu = "gelu"
    hard_shrink = "hard_shrink"
    hard_sigmoid = "hard_sigmoid"
    hard_silu = "hard_silu"
    hard_tanh = "hard_tanh"
    leaky_relu = "leaky_relu"
    linear = "linear"
    log_sigmoid = "log_sigmoid"
    mish = "mish"
    relu = "relu"
    relu6 = "relu6"
    selu = "selu"
    sigmoid = "sigmoid"
    silu = "silu"
    soft_shrink = "soft_shrink"
    softplus = "softplus"
    softsign = "softsign"
    sparse_plus = "sparse_plus"
    sparse_sigmoid = "sparse_sigmoid"
    squareplus = "squareplus"
    tanh = "tanh"
    tanh_shrink = "tanh_shrink"


class OptimizerName(Enum):
    """Keras's optimizers that have a file in `conf/optimizer/`."""

    adam = "adam"
    adamw = "adamw"
    rmsprop = "rmsprop"
    sgd = "sgd"


class Engine(Enum):
    """How an epoch is executed: one XLA program, stock `fit`, or `fit` tuned as far as it goes."""

    compiled = "compiled"
    fit = "fit"
    fit_tuned = "fit_tuned"


class DataName(Enum):
    """Where the images come from; `custom` is anything that `data.path` brings."""

    mnist = "mnist"
    fashion_mnist = "fashion_mnist"
    custom = "custom"


class Validation(Enum):
    """Which rows give `val_loss` and `val_accuracy`."""

    holdout = "holdout"
    train_tail = "train_tail"
    test = "test"
    none = "none"


class Timing(Enum):
    """Whether a run had the machine to itself; `shared` times are never judged."""

    exclusive = "exclusive"
    shared = "shared"


class Resume(Enum):
    """Which runs of a sweep are trained: the unfinished, only what failed before, or all."""

    auto = "auto"
    failed = "failed"
    off = "off"


class Match(Enum):
    """What must agree for a finished run to be taken: everything, or all but the environment."""

    all = "all"
    code = "code"


OnError = Enum("OnError", {"continue": "continue", "stop": "stop"})
"""What a sweep does after a run failed."""


@dataclass(slots=True, kw_only=True)
class ModelConfig:
    """A dense network: flatten, hidden layers, ten softmax outputs."""

    style: Style
    hidden_units: list[int]
    activation: Activation

    def __post_init__(self) -> None:
        widths = self.hidden_units
        _refuse(
            _problem(
                1 <= len(widths) <= MAX_HIDDEN_LAYERS,
                "model.hidden_units",
                f"must list 1 to {MAX_HIDDEN_LAYERS} widths",
                widths,
                "e.g. 'model.hidden_units=[128]'",
            ),
            *(
                _problem(
                    # OmegaConf lets a list into a list of numbers.
                    isinstance(width, int) and 1 <= width <= MAX_HIDDEN_UNITS,
                    "model.hidden_units",
                    f"must hold whole numbers from 1 to {MAX_HIDDEN_UNITS}",
                    width,
                    "e.g. 'model.hidden_units=[128]'",
                )
                for width in widths
            ),
        )


@dataclass(slots=True, kw_only=True)
class OptimizerConfig:
    """What all optimizers share; names and defaults are Keras's own."""

    name: OptimizerName
    learning_rate: float
    weight_decay: float | None
    clipnorm: float | None
    clipvalue: float | None
    global_clipnorm: float | None

    def __post_init__(self) -> None:
        _refuse(*self._problems())

    def _problems(self) -> list[str | None]:
        clips = ["clipnorm", "clipvalue", "global_clipnorm"]
        chosen = [name for name in clips if getattr(self, name) is not None]
        own_name = OPTIMIZERS.get(type(self))
        return [
            _problem(
                own_name in (None, self.name),
                "optimizer.name",
                f"is {own_name.value if own_name else None} in this group",
                self.name.value,
                f"choose the group instead: optimizer={self.name.value}",
            ),
            _positive("optimizer.learning_rate", self.learning_rate),
            _problem(
                len(chosen) <= 1,
                "optimizer",
                f"takes at most one of {', '.join(clips)}",
                chosen,
                "set the others to null",
            ),
            *(_positive(f"optimizer.{clip}", getattr(self, clip)) for clip in chosen),
            None
            if self.weight_decay is None
            else _problem(
                0 <= self.weight_decay < math.inf,
                "optimizer.weight_decay",
                "must be null or a finite number of at least 0",
                self.weight_decay,
                "e.g. optimizer.weight_decay=0.004",
            ),
        ]


@dataclass(slots=True, kw_only=True)
class AdamConfig(OptimizerConfig):
    """`keras.optimizers.Adam`."""

    beta_1: float
    beta_2: float
    epsilon: float
    amsgrad: bool

    def _problems(self) -> list[str | None]:
        return [
            *OptimizerConfig._problems(self),
            _share("optimizer.beta_1", self.beta_1),
            _share("optimizer.beta_2", self.beta_2),
            _positive("optimizer.epsilon", self.epsilon),
        ]


@dataclass(slots=True, kw_only=True)
class AdamWConfig(AdamConfig):
    """`keras.optimizers.AdamW`: Adam with decoupled weight decay, which it requires."""

    def _problems(self) -> list[str | None]:
        return [
            *AdamConfig._problems(self),
            _problem(
                self.weight_decay is not None,
                "optimizer.weight_decay",
                "must be a number for adamw",
                self.weight_decay,
                "use optimizer=adam for no decay",
            ),
        ]


@dataclass(slots=True, kw_only=True)
class RMSpropConfig(OptimizerConfig):
    """`keras.optimizers.RMSprop`."""

    rho: float
    momentum: float
    epsilon: float
    centered: bool

    def _problems(self) -> list[str | None]:
        return [
            *OptimizerConfig._problems(self),
            _share("optimizer.rho", self.rho),
            _share("optimizer.momentum", self.momentum),
            _positive("optimizer.epsilon", self.epsilon),
        ]


@dataclass(slots=True, kw_only=True)
class SGDConfig(OptimizerConfig):
    """`keras.optimizers.SGD`."""

    momentum: float
    nesterov: bool

    def _problems(self) -> list[str | None]:
        return [*OptimizerConfig._problems(self), _share("optimizer.momentum", self.momentum)]


OPTIMIZERS: dict[type[OptimizerConfig], OptimizerName] = {
    AdamConfig: OptimizerName.adam,
    AdamWConfig: OptimizerName.adamw,
    RMSpropConfig: OptimizerName.rmsprop,
    SGDConfig: OptimizerName.sgd,
}


@dataclass(slots=True, kw_only=True)
class TrainConfig:
    """How long, in what steps, and by which engine a model is trained."""

    batch_size: int
    epochs: int
    engine: Engine

    def __post_init__(self) -> None:
        _refuse(
            _whole("train.batch_size", self.batch_size, 1, MAX_BATCH_SIZE, 32),
            _whole("train.epochs", self.epochs, 1, MAX_EPOCHS, 5),
        )


@dataclass(slots=True, kw_only=True)
class DataConfig:
    """Which images, how they are scaled, and which rows are held out."""

    name: DataName
    path: str | None
    divisor: float
    validation: Validation
    train_limit: int | None

    def __post_init__(self) -> None:
        # A file of the user's is not the packaged MNIST, whatever it holds; a copy of Fashion-MNIST
        # may keep its name, since its name promises no digest.
        if self.path is not None and self.name is DataName.mnist:
            self.name = DataName.custom
        _refuse(
            _problem(
                self.path is not None or self.name is not DataName.custom,
                "data.path",
                "must be set for data.name=custom",
                self.path,
                "give an .npz file or a folder of IDX files",
            ),
            _problem(
                self.path is None or (0 < len(self.path) <= 4_096 and self.path.isprintable()),
                "data.path",
                "must be 1 to 4096 printable characters",
                self.path,
                "give an .npz file or a folder of IDX files",
            ),
            # Beyond these, float32 images would be all zero or infinite.
            _problem(
                1e-6 <= self.divisor <= 1e6,
                "data.divisor",
                "must be a number from 0.000001 to 1000000",
                self.divisor,
                "e.g. data.divisor=255",
            ),
            None
            if self.train_limit is None
            else _whole("data.train_limit", self.train_limit, 1, MAX_TRAIN_ROWS, 10_000),
        )


@dataclass(slots=True, kw_only=True)
class TrackingConfig:
    """Where MLflow keeps the runs.

    Attributes:
        uri: MLflow tracking URI; None means the environment variable `MLFLOW_TRACKING_URI`, or else
            `sqlite:///mlflow.db` in the current folder.
        log_model: None logs the model of a single run and not those of a sweep.
        parent_run_id: Set by the sweeper on the runs it starts, as are the next two.
        sweep_id: Of the sweep.
        timing: Whether other runs share the machine.
    """

    uri: str | None
    experiment: str
    log_model: bool | None
    parent_run_id: str | None
    sweep_id: str | None
    timing: Timing

    def __post_init__(self) -> None:
        _refuse(
            _problem(
                self.uri is None or (0 < len(self.uri) <= 2_000 and self.uri.isprintable()),
                "tracking.uri",
                "must be 1 to 2000 printable characters",
                self.uri,
                "e.g. tracking.uri=sqlite:///mlflow.db",
            ),
            _problem(
                self.uri is None or _is_splittable(self.uri),
                "tracking.uri",
                "must be a URI",
                self.uri,
                "e.g. tracking.uri=http://127.0.0.1:5000",
            ),
            _problem(
                0 < len(self.experiment.strip()) <= 250 and self.experiment.isprintable(),
                "tracking.experiment",
                "must be 1 to 250 printable characters",
                self.experiment,
                "e.g. tracking.experiment=mnist_bench",
            ),
        )


@dataclass(slots=True, kw_only=True)
class SweepConfig:
    """How a sweep goes about its runs; nothing here changes what a run is.

    Attributes:
        resume: Which runs are trained.
        match: What must agree for a finished run to be taken instead.
        on_error: What to do after a failure.
        max_failures: Stop after so many failed runs; None never does.
        max_retries: How often a failed run is tried again at once.
        exclude: Partial configurations, by dotted key; a run that has all of one is left out.
        dry_run: Print the plan and train nothing.
    """

    resume: Resume
    match: Match
    on_error: OnError
    max_failures: int | None
    max_retries: int
    exclude: list[dict[str, Any]]
    dry_run: bool

    def __post_init__(self) -> None:
        _refuse(
            None
            if self.max_failures is None
            else _whole("sweep.max_failures", self.max_failures, 1, 1_000_000, 3),
            _whole("sweep.max_retries", self.max_retries, 0, 100, 1),
            *(
                _problem(
                    bool(partial),
                    "sweep.exclude",
                    "must list partial configurations",
                    partial,
                    "e.g. 'sweep.exclude=[{model.style:subclass,train.batch_size:32}]'",
                )
                for partial in self.exclude
            ),
        )


@dataclass(slots=True, kw_only=True)
class PublishedConfig:
    """Figures that a study reproduces.

    Attributes:
        source: Where they were published.
        curves: Metric key -> a value for each epoch.
        test_accuracy: Share of correct test images, in [0, 1].
        params_total: Number of weights.
        epoch_seconds: Lower and upper end of the published time of an epoch.
    """

    source: str
    curves: dict[str, list[float]]
    test_accuracy: float | None
    params_total: int | None
    epoch_seconds: list[float] | None


@dataclass(slots=True, kw_only=True)
class RunConfig:
    """Everything that one run reads."""

    model: ModelConfig
    optimizer: OptimizerConfig
    train: TrainConfig
    data: DataConfig
    tracking: TrackingConfig
    sweep: SweepConfig
    seed: int
    study: str | None
    published: PublishedConfig | None

    def __post_init__(self) -> None:
        _refuse(*_root_problems(self.seed, self.study))


SECTIONS = ("model", "optimizer", "train", "data", "tracking", "sweep", "published")
SEMANTIC = ("model", "optimizer", "train", "data")
"""The sections that decide a result; with the seed they are what a run *is*."""


def load(config: DictConfig) -> RunConfig:
    """Returns the checked configuration as dataclasses.

    Args:
        config: What Hydra composed, without its `hydra` node.

    Raises:
        ConfigError: With all problems of all sections, not only the first.
    """
    known = _keys_of(RunConfig)
    missing = [key for key in known if key not in config or OmegaConf.is_missing(config, key)]
    problems = [_no_such_key(str(key), known) for key in config if key not in known]
    problems += [f"{key}: is missing; leave its default where it is" for key in missing]
    for name in SECTIONS:
        if name not in missing and config[name] is not None:
            problems += _section_problems(name, config[name])
    if not missing:
        problems += [problem for problem in _root_problems(config.seed, config.study) if problem]
    if problems:
        raise ConfigError(problems)
    loaded = OmegaConf.to_object(config)
    assert isinstance(loaded, RunConfig)
    return loaded


def caveats(config: DataConfig) -> dict[str, str]:
    """Returns what makes a run's figures other than they seem: tag -> sentence."""
    found = {}
    if config.validation is Validation.train_tail:
        found["validation_leak"] = "the validation rows were also trained on"
    if config.validation is Validation.test:
        found["selected_on_test"] = "the test set served as validation set"
    if config.divisor != PIXEL_MAXIMUM:
        found[f"divisor_{config.divisor:g}"] = (
            f"pixels were divided by {config.divisor:g}, so they end in "
            f"[0, {PIXEL_MAXIMUM / config.divisor:.3f}]"
        )
    if config.train_limit is not None:
        found["train_limit"] = f"only the first {config.train_limit:,} rows were trained on"
    return found


def as_plain(config: RunConfig) -> dict[str, Any]:
    """Returns the configuration as nested dicts of JSON types, fit to be recorded anywhere.

    Folders, credentials and hosts are left out: a record says which file or kind of store it was,
    not where somebody's home is. What the sweeper passes to its runs is left out too.
    """
    plain: dict[str, Any] = _plain(asdict(config))
    if config.data.path is not None:
        plain["data"]["path"] = Path(config.data.path).name
    if config.tracking.uri is not None:
        plain["tracking"]["uri"] = without_location(config.tracking.uri)
    for internal in ("parent_run_id", "sweep_id", "timing"):
        del plain["tracking"][internal]
    del plain["sweep"]
    return plain


def without_location(uri: str) -> str:
    """Returns a tracking URI without credentials, host or folders, e.g. `sqlite:mlflow.db`."""
    parts = urlsplit(uri)
    # In any other scheme a path may be somebody's home, or what follows a mistyped password.
    name = Path(parts.path).name if parts.scheme == "sqlite" and not parts.netloc else ""
    return f"{parts.scheme or 'file'}:{name}"


def flatten(plain: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Returns `{"a": {"b": 1}}` as `{"a.b": 1}`."""
    flat: dict[str, Any] = {}
    for key, value in plain.items():
        if isinstance(value, dict):
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def resource_dir(name: str) -> Path:
    """Returns the absolute folder `name` (`conf` or `experiments`).

    In a wheel it lies inside the package, in a checkout beside it.
    """
    package = Path(__file__).resolve().parent
    inside = package / name
    return inside if inside.is_dir() else package.parent / name


def register() -> None:
    """Tells Hydra of the schemas, and of `experiments/` as the groups `experiment` and `case`."""
    from hydra.core.config_store import ConfigStore

    store = ConfigStore.instance()
    store.store(group="schema", name="run", node=RunConfig)
    for schema, name in OPTIMIZERS.items():
        store.store(group="schema/optimizer", name=name.value, node=schema)
    for path in sorted(resource_dir("experiments").glob("*.yaml")):
        study = OmegaConf.load(path)
        # `case` lets a study of studies sweep over the others: Hydra takes `experiment` only once.
        for group in ("experiment", "case"):
            store.store(group=group, name=path.stem, node=study, package="_global_")


def explain(error: Exception, overrides: Sequence[str] = ()) -> str:
    """Returns an error of Hydra or OmegaConf as one line: the key, and what is allowed.

    Args:
        error: What was raised.
        overrides: What it was raised for; named where the error itself names nothing.
    """
    cause = error.__cause__ if isinstance(error.__cause__, OmegaConfBaseException) else error
    if not isinstance(cause, OmegaConfBaseException):
        return _explain_hydra(error, overrides)
    key = shown(str(cause.full_key or cause.key or "").partition("[")[0])
    types = _types_of(cause.object_type)
    # OmegaConf adds lines on the types of its own.
    message = str(cause).partition("\n    full_key:")[0] or type(cause).__name__
    if types and "not in" in message:
        return _no_such_key(key, list(types))
    hint = types.get(str(cause.key)) or (cause.ref_type if cause.object_type is list else None)
    if hint is not None and (isinstance(cause, ValidationError) or "merge" in message):
        got = _quoted(cause.value) if isinstance(cause, ValidationError) else "something else"
        return f"{key} must be {_kind(hint)}, got {got}"
    subject = key or shown(" ".join(overrides))
    return f"{subject}: {shown(message, limit=1_000)}" if subject else shown(message, limit=1_000)


def shown(value: object, limit: int = MAX_SHOWN_CHARACTERS) -> str:
    """Returns a value as one printable line of bounded length."""
    text = "".join(c if c.isprintable() else repr(c)[1:-1] for c in str(value))
    return text if len(text) <= limit else f"{text[:limit]}... ({len(text)} characters)"


def _section_problems(name: str, section: DictConfig) -> list[str]:
    known = _keys_of(OmegaConf.get_type(section))
    # `+key=` adds what no type knows of.
    foreign = [f"{name}.{key!s}" for key in section if key not in known]
    if foreign:
        return [_no_such_key(key, known) for key in foreign]
    try:
        OmegaConf.to_object(section)
    except ConfigError as error:
        return list(error.problems)
    except OmegaConfBaseException as error:
        return [explain(error)]
    return []


def _explain_hydra(error: Exception, overrides: Sequence[str]) -> str:
    # The text of an OSError repeats the path, which here is one of Hydra's own.
    text = (error.strerror if isinstance(error, OSError) else None) or str(error)
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    override = getattr(error, "override", None)
    if override is not None:
        # The last line is a link, the one before it the reason, or a marker of the place.
        reason = "" if lines[-2] == "^" else f" ({shown(lines[-2])})"
        return (
            f"{shown(override)}: cannot be read{reason}; write KEY=VALUE, with quotes around what "
            "holds spaces, commas or brackets"
        )
    # Hydra ends some messages with the folders that it searched.
    message = " ".join(lines).partition(" Config search path:")[0].partition(" full_key:")[0]
    message = shown(message, limit=1_000) or type(error).__name__
    # Hydra names what is wrong in its own errors, but not in those that merely befall it.
    named = type(error).__module__.startswith("hydra.") or not overrides
    return message if named else f"{shown(' '.join(overrides))}: {message}"


def _no_such_key(key: str, known: list[str]) -> str:
    near = difflib.get_close_matches(key.rpartition(".")[2], known, n=1)
    advice = f"did you mean {near[0]}? " if near else ""
    return f"{shown(key)}: no such key; {advice}there are: {', '.join(known)}"


_KINDS = {
    int: "a whole number such as 64",
    float: "a number such as 0.001",
    bool: "true or false",
    str: "a text",
}


def _kind(hint: Any) -> str:
    """Returns what a key of this type takes, in words."""
    inner = [part for part in get_args(hint) if part is not NoneType]
    if NoneType in get_args(hint):
        return f"{_kind(inner[0])}, or null"
    if get_origin(hint) is list:
        return f"a list, each item {_kind(inner[0])}"
    if get_origin(hint) is dict:
        return "a mapping such as {train.epochs:5}"
    if isinstance(hint, type) and issubclass(hint, Enum):
        return f"one of {', '.join(hint.__members__)}"
    if is_dataclass(hint):
        return f"set key by key ({', '.join(_keys_of(hint))})"
    return _KINDS.get(hint, str(hint))


def _types_of(schema: Any) -> dict[str, Any]:
    return {field.name: field.type for field in fields(schema)} if is_dataclass(schema) else {}


def _keys_of(schema: Any) -> list[str]:
    return list(_types_of(schema))


def _is_splittable(uri: str) -> bool:
    try:
        urlsplit(uri)
    except ValueError:
        return False
    return True


def _plain(value: Any) -> Any:
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    # -0.0 and 0.0 are one value, but two in JSON.
    return value + 0.0 if isinstance(value, float) else value


def _root_problems(seed: int, study: str | None) -> list[str | None]:
    return [
        _whole("seed", seed, 0, 2**32 - 1, 0),
        _problem(
            study is None or re.fullmatch(r"[A-Za-z0-9_-]{1,64}", study) is not None,
            "study",
            "must be 1 to 64 letters, digits, _ or -",
            study,
            "e.g. study=my_study",
        ),
    ]


def _refuse(*problems: str | None) -> None:
    found = [problem for problem in problems if problem is not None]
    if found:
        raise ConfigError(found)


def _problem(ok: bool, key: str, rule: str, value: object, advice: str) -> str | None:
    return None if ok else f"{key} {rule}, got {_quoted(value)}; {advice}"


def _quoted(value: object) -> str:
    return shown(value) or "''"


def _whole(key: str, value: int, low: int, high: int, example: int) -> str | None:
    rule = f"must be a whole number from {low} to {high}"
    return _problem(low <= value <= high, key, rule, value, f"e.g. {key}={example}")


def _positive(key: str, value: float) -> str | None:
    # Written so that NaN, which compares false with everything, fails.
    return _problem(
        0 < value < math.inf, key, "must be a finite number above 0", value, f"e.g. {key}=0.001"
    )


def _share(key: str, value: float) -> str | None:
    return _problem(0 <= value < 1, key, "must be at least 0 and below 1", value, f"e.g. {key}=0.9")
