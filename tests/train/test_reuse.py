"""A run with a program that an earlier one compiled gives the same bits as one on its own."""

from dataclasses import replace

import numpy as np
import pytest

from mnist_bench.config.schema import EngineName, Style
from mnist_bench.train.data import Split, load_cached
from mnist_bench.train.engine import PROGRAM_BYTES, Programs
from mnist_bench.train.training import Diverged, _compiled_in, forget_models, train
from tests.settings import config, optimizer

PLENTY = 10**9
SETTINGS = {
    "adam": {"amsgrad": True},
    "adamw": {},
    "rmsprop": {"momentum": 0.9, "centered": True},
    "sgd": {"momentum": 0.9},
}


def trained(settings, programs=None, dataset=None, **arguments):
    dataset = dataset or load_cached(settings.data)
    return train(settings, dataset, programs=programs, **arguments)


def bits(result):
    """Everything that a training decides, and nothing of its times."""
    curves = [
        (e.train_loss, e.train_accuracy, e.val_loss, e.val_accuracy, e.step_losses.tobytes())
        for e in result.epochs
    ]
    variables = [*result.model.weights, *result.model.optimizer.variables]
    weights = [np.asarray(variable).tobytes() for variable in variables]
    return curves, result.test_loss, result.probabilities.tobytes(), weights


@pytest.mark.parametrize(("name", "style"), list(zip(SETTINGS, Style, strict=True)), ids=str)
def test_reuse_changes_no_bit(name, style):
    """Of any optimizer, in any style, after a run with another seed and learning rate."""
    made = optimizer(name, **SETTINGS[name])
    settings = config(style=style, optimizer_config=made, seed=3)
    other = replace(settings, seed=4, optimizer=replace(made, learning_rate=0.05))
    programs = Programs(PLENTY)
    first = trained(other, programs)
    before = bits(first)
    forget_models()
    second = trained(settings, programs)
    assert (first.is_reused, second.is_reused) == (False, True)
    assert bits(second) == bits(trained(settings))
    assert bits(first) == before, "the later run changed the earlier one's result"
    assert bits(trained(other, programs)) == before != bits(second)


@pytest.mark.parametrize(
    "changes",
    [
        *({"style": style} for style in Style if style is not Style.sequential_list),
        {"hidden_units": (16, 9)},
        {"batch_size": 65},
        *(
            {"optimizer_config": optimizer("adam", **{key: value})}
            for key, value in {
                "beta_1": 0.8,
                "beta_2": 0.9,
                "epsilon": 1e-3,
                "amsgrad": True,
                "weight_decay": 0.1,
                "clipnorm": 1.0,
                "clipvalue": 1.0,
                "global_clipnorm": 1.0,
            }.items()
        ),
        *({"optimizer_config": optimizer(name)} for name in ("adamw", "rmsprop", "sgd")),
    ],
    ids=repr,
)
def test_what_is_compiled_in_tells_programs_apart(changes):
    assert _compiled_in(config(**changes), 600) != _compiled_in(config(), 600)
    assert _compiled_in(config(), 599) != _compiled_in(config(), 600)
    assert _compiled_in(config(seed=1), 600) == _compiled_in(config(), 600)


def test_what_cannot_be_reused_is_compiled():
    """And gives what it gives on its own, whatever ran before."""
    programs = Programs(PLENTY)
    trained(config(epochs=1), programs)
    for settings in (config(epochs=1, batch_size=65), config(epochs=1, engine=EngineName.fit)):
        result = trained(settings, programs)
        assert not result.is_reused
        assert bits(result) == bits(trained(settings))


def test_other_data_of_the_same_form_are_what_is_trained_on():
    programs = Programs(PLENTY)
    ours = load_cached(config().data)
    turned = Split(np.ascontiguousarray(ours.train.images[::-1]), ours.train.labels)
    theirs = replace(ours, train=turned)
    found = [trained(config(), programs, dataset) for dataset in (ours, theirs, ours)]
    assert [result.is_reused for result in found] == [False, True, True]
    assert bits(found[1]) == bits(trained(config(), dataset=theirs))
    assert bits(found[0]) == bits(found[2]) != bits(found[1])


def test_a_program_that_was_interrupted_or_diverged_is_not_kept():
    def interrupt(epoch):
        raise KeyboardInterrupt

    programs = Programs(PLENTY)
    settings = config(optimizer_config=optimizer("sgd"))
    before = bits(trained(settings, programs))
    with pytest.raises(KeyboardInterrupt):
        trained(settings, programs, on_epoch=interrupt)
    again = trained(settings, programs)
    assert (again.is_reused, bits(again)) == (False, before)
    with pytest.raises(Diverged):
        trained(config(optimizer_config=optimizer("sgd", learning_rate=1e30)), programs)
    again = trained(settings, programs)
    assert (again.is_reused, bits(again)) == (False, before)
    assert trained(settings, programs).is_reused


def test_where_programs_do_not_fit_those_that_are_kept_stay():
    """Else a cycle of runs, seeds outermost, would reuse none."""
    programs = Programs(2 * PROGRAM_BYTES + 10**6)
    one, two, three = (config(hidden_units=(width,), epochs=1) for width in (4, 5, 6))
    reused = [trained(run, programs).is_reused for run in (one, two, three, one, two, three)]
    assert reused == [False, False, False, True, True, False]
