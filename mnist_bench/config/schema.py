"""Types and rules of every setting; the values live in `conf/`.

Neither Hydra nor TensorFlow is loaded, so that what is wrong is refused before anything slow.
"""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, fields, make_dataclass
from enum import Enum
from typing import Any, ClassVar
from urllib.parse import urlsplit

from mnist_bench.config.rules import (
    POSITIVE,
    SHARE,
    Rule,
    Section,
    printable,
    problem,
    setting,
    whole,
)


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
    """Keras's optimizers, one a line: its class there, and the settings that not all of them have.

    To add one, add a line here and a file to `conf/optimizer/`. A setting that is new as well is
    declared in `OwnSettings`.
    """

    adam = "Adam", "beta_1", "beta_2", "epsilon", "amsgrad"
    adamw = "AdamW", "beta_1", "beta_2", "epsilon", "amsgrad"
    rmsprop = "RMSprop", "rho", "momentum", "epsilon", "centered"
    sgd = "SGD", "momentum", "nesterov"

    _value_: str
    keras_class: str
    own_settings: tuple[str, ...]

    def __new__(cls, keras_class: str, *own_settings: str) -> "OptimizerName":
        """Makes a member whose value is its name, as in the other enums."""
        member = object.__new__(cls)
        member._value_ = keras_class.lower()
        member.keras_class, member.own_settings = keras_class, own_settings
        return member


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
class ModelConfig(Section):
    """A dense network: flatten, hidden layers, ten softmax outputs."""

    prefix: ClassVar[str] = "model."

    style: Style = setting("one network, four ways to write it")
    hidden_units: list[int] = setting(
        "widths of the hidden layers",
        Rule("must list 1 to 64 widths", lambda widths: 1 <= len(widths) <= 64, "[128]"),
        Rule(
            "must hold whole numbers from 1 to 65536",
            # OmegaConf lets a list into a list of numbers.
            lambda width: isinstance(width, int) and 1 <= width <= 65_536,
            "[128]",
            is_on_items=True,
        ),
    )
    activation: Activation = setting("of the hidden layers")


@dataclass(slots=True, kw_only=True)
class OptimizerConfig(Section):
    """What all optimizers share; names and defaults are Keras's own."""

    prefix: ClassVar[str] = "optimizer."

    name: OptimizerName
    learning_rate: float = setting("size of a step", POSITIVE)
    weight_decay: float | None = setting(
        "how much weights are drawn to 0",
        Rule("must be null or a finite number of at least 0", lambda x: 0 <= x < math.inf, 0.004),
    )
    clipnorm: float | None = setting("most that the norm of a layer's gradient may be", POSITIVE)
    clipvalue: float | None = setting("most that a number in a gradient may be", POSITIVE)
    global_clipnorm: float | None = setting("most that the norm of all gradients may be", POSITIVE)

    def conflicts(self) -> Iterator[str]:
        """Gives a name of another group, more than one clip, and a decay that is missing."""
        group = OPTIMIZERS.get(type(self), self.name)
        if group is not self.name:
            yield problem(
                "optimizer.name",
                f"is {group.value} in this group",
                self.name.value,
                f"choose the group instead: optimizer={self.name.value}",
            )
        clips = ["clipnorm", "clipvalue", "global_clipnorm"]
        chosen = [name for name in clips if getattr(self, name) is not None]
        if len(chosen) > 1:
            rule = f"takes at most one of {', '.join(clips)}"
            yield problem("optimizer", rule, chosen, "set the others to null")
        if group is OptimizerName.adamw and self.weight_decay is None:
            rule = "must be a number for adamw"
            yield problem("optimizer.weight_decay", rule, None, "use optimizer=adam for no decay")


@dataclass(slots=True, kw_only=True)
class OwnSettings:
    """What some optimizers have besides; `OptimizerName` says which."""

    beta_1: float = setting("decay of the mean gradient", SHARE)
    beta_2: float = setting("decay of the mean square", SHARE)
    rho: float = setting("decay of the mean square", SHARE)
    momentum: float = setting("share of a step in the next", SHARE)
    epsilon: float = setting("keeps divisors above 0", POSITIVE)
    amsgrad: bool = setting("divide by the largest mean square so far")
    centered: bool = setting("divide by the variance, not the mean square")
    nesterov: bool = setting("Nesterov's momentum")


def _optimizer_schema(name: OptimizerName) -> type[OptimizerConfig]:
    own = {item.name: item for item in fields(OwnSettings)}
    return make_dataclass(
        f"{name.keras_class}Config",
        [(key, own[key].type, field(metadata=own[key].metadata)) for key in name.own_settings],
        bases=(OptimizerConfig,),
        namespace={"__doc__": f"`keras.optimizers.{name.keras_class}`.", "__module__": __name__},
        slots=True,
        kw_only=True,
    )


OPTIMIZERS = {_optimizer_schema(name): name for name in OptimizerName}

# So that a process which is sent one finds it by its name.
globals().update({schema.__name__: schema for schema in OPTIMIZERS})


@dataclass(slots=True, kw_only=True)
class TrainConfig(Section):
    """How long, in what steps, and by which engine a model is trained."""

    prefix: ClassVar[str] = "train."

    batch_size: int = setting("images a step", whole(1, 1_000_000, 32))
    epochs: int = setting("rounds through all rows", whole(1, 100_000, 5))
    engine: EngineName = setting("how an epoch is executed; compiled is one XLA program")


_FILES = "give an .npz file or a folder of IDX files"


@dataclass(slots=True, kw_only=True)
class DataConfig(Section):
    """Which images, how they are scaled, and which rows are held out."""

    prefix: ClassVar[str] = "data."

    name: DataName
    path: str | None = setting(
        "an .npz file or a folder of IDX files instead of the packaged MNIST",
        printable(4_096, "images.npz", _FILES),
    )
    divisor: float = setting(
        "pixels are divided by it",
        # Beyond these, float32 images would be all zero or infinite.
        Rule("must be a number from 0.000001 to 1000000", lambda x: 1e-6 <= x <= 1e6, 255),
    )
    validation: Validation = setting("rows of val_loss; holdout is the last 10,000, not trained on")
    train_limit: int | None = setting("train on the first n rows", whole(1, 100_000_000, 10_000))

    def __post_init__(self) -> None:
        # A file of the user's is not the packaged MNIST, whatever it holds; a copy of Fashion-MNIST
        # may keep its name, since its name promises no digest.
        if self.path is not None and self.name is DataName.mnist:
            self.name = DataName.custom
        Section.__post_init__(self)

    def conflicts(self) -> Iterator[str]:
        """Gives custom data without a path."""
        if self.path is None and self.name is DataName.custom:
            yield problem("data.path", "must be set for data.name=custom", None, _FILES)


def _is_splittable(uri: str) -> bool:
    try:
        urlsplit(uri)
    except ValueError:
        return False
    return True


@dataclass(slots=True, kw_only=True)
class TrackingConfig(Section):
    """Where MLflow keeps the runs."""

    prefix: ClassVar[str] = "tracking."

    uri: str | None = setting(
        "MLflow store, for null $MLFLOW_TRACKING_URI or sqlite:///mlflow.db",
        printable(2_000, "sqlite:///mlflow.db"),
        Rule("must be a URI", _is_splittable, "http://127.0.0.1:5000"),
    )
    experiment: str = setting("MLflow's experiment", printable(250, "mnist_bench"))
    log_model: bool | None = setting("keep the model; null keeps that of a run outside of sweeps")


@dataclass(slots=True, kw_only=True)
class SweepConfig(Section):
    """How a sweep goes about its runs; nothing here changes what a run is."""

    prefix: ClassVar[str] = "sweep."

    resume: Resume = setting("which runs are trained; auto: the unfinished ones, off: all again")
    match: MatchOn = setting("what a finished run must share; with code, versions may differ")
    on_error: OnError = setting("what to do after a run failed")
    max_failures: int | None = setting("stop after so many failed runs", whole(1, 1_000_000, 3))
    max_retries: int = setting("how often a failed run is tried again at once", whole(0, 100, 1))
    exclude: list[dict[str, Any]] = setting(
        "partial configurations; a run that has all of one is left out",
        Rule(
            "must list partial configurations",
            bool,
            "[{model.style:subclass,train.batch_size:32}]",
            is_on_items=True,
        ),
    )
    dry_run: bool = setting("print the plan and train nothing")


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
class RunConfig(Section):
    """Everything that one run reads."""

    model: ModelConfig
    optimizer: OptimizerConfig
    train: TrainConfig
    data: DataConfig
    tracking: TrackingConfig
    sweep: SweepConfig
    seed: int = setting("where all that is random starts", whole(0, 2**32 - 1, 0))
    study: str | None = setting(
        "name of the study that the runs belong to",
        Rule(
            "must be 1 to 64 letters, digits, _ or -",
            lambda text: re.fullmatch("[A-Za-z0-9_-]{1,64}", text) is not None,
            "my_study",
        ),
    )
    published: PublishedConfig | None


SECTIONS = ("model", "optimizer", "train", "data", "tracking", "sweep", "published")
SEMANTIC = ("model", "optimizer", "train", "data")
"""The sections that decide a result; with the seed they are what a run *is*."""
