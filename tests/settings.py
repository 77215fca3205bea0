"""Settings of small runs, made without Hydra."""

from omegaconf import OmegaConf

from mnist_bench.config.compose import resource_dir
from mnist_bench.config.schema import OPTIMIZERS as SCHEMAS
from mnist_bench.config.schema import (
    Activation,
    DataConfig,
    DataName,
    EngineName,
    MatchOn,
    ModelConfig,
    OnError,
    Resume,
    RunConfig,
    Style,
    SweepConfig,
    TrackingConfig,
    TrainConfig,
    Validation,
)


def optimizer(name, **changes):
    values = OmegaConf.to_container(OmegaConf.load(resource_dir("conf") / f"optimizer/{name}.yaml"))
    del values["defaults"], values["name"]
    schema, member = next((s, m) for s, m in SCHEMAS.items() if m.value == name)
    return schema(name=member, **{**values, **changes})


def config(
    style=Style.sequential_list,
    hidden_units=(16, 8),
    optimizer_config=None,
    batch_size=64,
    epochs=2,
    engine=EngineName.compiled,
    validation=Validation.holdout,
    seed=0,
):
    return RunConfig(
        model=ModelConfig(style=style, hidden_units=list(hidden_units), activation=Activation.relu),
        optimizer=optimizer_config or optimizer("adam"),
        train=TrainConfig(batch_size=batch_size, epochs=epochs, engine=engine),
        data=DataConfig(
            name=DataName.mnist, path=None, divisor=255.0, validation=validation, train_limit=600
        ),
        tracking=TrackingConfig(
            uri=None,
            experiment="x",
            log_model=None,
        ),
        sweep=SweepConfig(
            resume=Resume.auto,
            match=MatchOn.all,
            on_error=OnError["continue"],
            max_failures=None,
            max_retries=0,
            exclude=[],
            dry_run=False,
        ),
        seed=seed,
        study=None,
        published=None,
    )
