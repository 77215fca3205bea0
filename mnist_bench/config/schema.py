"""Types and rules of every setting; the values live in `conf/`.

Neither Hydra nor TensorFlow is loaded, so that what is wrong is refused before anything slow.
"""

import math
from dataclasses import dataclass
from enum import Enum
from typing import Any

from mnist_bench.config.rules import (
    is_splittable,
    positive,
    problem,
    refuse,
    root_problems,
    share,
    whole,
)

MAX_HIDDEN_LAYERS = 64
MAX_HIDDEN_UNITS = 65_536
MAX_BATCH_SIZE = 1_000_000
MAX_EPOCHS = 100_000
MAX_TRAIN_ROWS = 100_000_000


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


class EngineName(Enum):
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


class Resume(Enum):
    """Which runs of a sweep are trained: the unfinished, only what failed before, or all."""

    auto = "auto"
    failed = "failed"
    off = "off"


class MatchOn(Enum):
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
        refuse(
            problem(
                1 <= len(widths) <= MAX_HIDDEN_LAYERS,
                "model.hidden_units",
                f"must list 1 to {MAX_HIDDEN_LAYERS} widths",
                widths,
                "e.g. 'model.hidden_units=[128]'",
            ),
            *(
                problem(
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
        refuse(*self._problems())

    def _problems(self) -> list[str | None]:
        clips = ["clipnorm", "clipvalue", "global_clipnorm"]
        chosen = [name for name in clips if getattr(self, name) is not None]
        own_name = OPTIMIZERS.get(type(self))
        return [
            problem(
                own_name in (None, self.name),
                "optimizer.name",
                f"is {own_name.value if own_name else None} in this group",
                self.name.value,
                f"choose the group instead: optimizer={self.name.value}",
            ),
            positive("optimizer.learning_rate", self.learning_rate),
            problem(
                len(chosen) <= 1,
                "optimizer",
                f"takes at most one of {', '.join(clips)}",
                chosen,
                "set the others to null",
            ),
            *(positive(f"optimizer.{clip}", getattr(self, clip)) for clip in chosen),
            None
            if self.weight_decay is None
            else problem(
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
            share("optimizer.beta_1", self.beta_1),
            share("optimizer.beta_2", self.beta_2),
            positive("optimizer.epsilon", self.epsilon),
        ]


@dataclass(slots=True, kw_only=True)
class AdamWConfig(AdamConfig):
    """`keras.optimizers.AdamW`: Adam with decoupled weight decay, which it requires."""

    def _problems(self) -> list[str | None]:
        return [
            *AdamConfig._problems(self),
            problem(
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
            share("optimizer.rho", self.rho),
            share("optimizer.momentum", self.momentum),
            positive("optimizer.epsilon", self.epsilon),
        ]


@dataclass(slots=True, kw_only=True)
class SGDConfig(OptimizerConfig):
    """`keras.optimizers.SGD`."""

    momentum: float
    nesterov: bool

    def _problems(self) -> list[str | None]:
        return [*OptimizerConfig._problems(self), share("optimizer.momentum", self.momentum)]


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
    engine: EngineName

    def __post_init__(self) -> None:
        refuse(
            whole("train.batch_size", self.batch_size, 1, MAX_BATCH_SIZE, 32),
            whole("train.epochs", self.epochs, 1, MAX_EPOCHS, 5),
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
        refuse(
            problem(
                self.path is not None or self.name is not DataName.custom,
                "data.path",
                "must be set for data.name=custom",
                self.path,
                "give an .npz file or a folder of IDX files",
            ),
            problem(
                self.path is None or (0 < len(self.path) <= 4_096 and self.path.isprintable()),
                "data.path",
                "must be 1 to 4096 printable characters",
                self.path,
                "give an .npz file or a folder of IDX files",
            ),
            # Beyond these, float32 images would be all zero or infinite.
            problem(
                1e-6 <= self.divisor <= 1e6,
                "data.divisor",
                "must be a number from 0.000001 to 1000000",
                self.divisor,
                "e.g. data.divisor=255",
            ),
            None
            if self.train_limit is None
            else whole("data.train_limit", self.train_limit, 1, MAX_TRAIN_ROWS, 10_000),
        )


@dataclass(slots=True, kw_only=True)
class TrackingConfig:
    """Where MLflow keeps the runs.

    Attributes:
        uri: MLflow tracking URI; None means the environment variable `MLFLOW_TRACKING_URI`, or else
            `sqlite:///mlflow.db` in the current folder.
        log_model: None logs the model of a single run and not those of a sweep.
    """

    uri: str | None
    experiment: str
    log_model: bool | None

    def __post_init__(self) -> None:
        refuse(
            problem(
                self.uri is None or (0 < len(self.uri) <= 2_000 and self.uri.isprintable()),
                "tracking.uri",
                "must be 1 to 2000 printable characters",
                self.uri,
                "e.g. tracking.uri=sqlite:///mlflow.db",
            ),
            problem(
                self.uri is None or is_splittable(self.uri),
                "tracking.uri",
                "must be a URI",
                self.uri,
                "e.g. tracking.uri=http://127.0.0.1:5000",
            ),
            problem(
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
    match: MatchOn
    on_error: OnError
    max_failures: int | None
    max_retries: int
    exclude: list[dict[str, Any]]
    dry_run: bool

    def __post_init__(self) -> None:
        refuse(
            None
            if self.max_failures is None
            else whole("sweep.max_failures", self.max_failures, 1, 1_000_000, 3),
            whole("sweep.max_retries", self.max_retries, 0, 100, 1),
            *(
                problem(
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
        refuse(*root_problems(self.seed, self.study))


SECTIONS = ("model", "optimizer", "train", "data", "tracking", "sweep", "published")
SEMANTIC = ("model", "optimizer", "train", "data")
"""The sections that decide a result; with the seed they are what a run *is*."""
