"""What a run is told by its sweep, and by its device."""

from dataclasses import replace

import pytest

from mnist_bench import environment
from mnist_bench.errors import StoreError
from mnist_bench.run.execute import Lineage, execute
from mnist_bench.store.opening import open_existing
from mnist_bench.store.runs import stored_run
from mnist_bench.sweep import launching
from tests.composed import override
from tests.settings import config

LINEAGE = Lineage("a" * 32, "b" * 64, shares_machine=True)


def run(tmp_path, lineage):
    settings = config(hidden_units=(4,), epochs=1)
    settings.tracking.uri = f"sqlite:///{tmp_path}/mlflow.db"
    summary = execute(settings, ["seed=0"], lineage=lineage)
    client = open_existing(settings.tracking.uri)
    return summary, client.get_run(summary.run_id)


def test_a_run_of_a_sweep_bears_its_lineage_and_keeps_no_model(tmp_path):
    summary, found = run(tmp_path, LINEAGE)
    tags = stored_run(found).tags
    assert not summary.failure
    assert stored_run(found).parent_run_id == "a" * 32
    assert (tags["sweep_id"], tags[f"sweep.{'b' * 64}"], tags["timing"]) == (
        "b" * 64,
        "1",
        "shared",
    )
    assert not found.outputs.model_outputs
    assert not [key for key in found.data.params if "parent" in key or "timing" in key]


def test_another_device_than_the_identity_says_fails_the_run(tmp_path, monkeypatch):
    """There is no GPU here: the program is made to expect one."""
    here = replace(environment.describe(), device="GPU")
    monkeypatch.setattr(environment, "describe", lambda: here)
    summary, found = run(tmp_path, None)
    assert summary.failure.startswith("error: TensorFlow trains on a CPU where a GPU was expected")
    assert "CUDA_VISIBLE_DEVICES=-1" in summary.failure
    assert found.info.status == "FAILED"


def test_what_keeps_a_run_of_a_sweep_from_being_recorded_is_its_failure(monkeypatch):
    def fails(*arguments, **more):
        raise StoreError("tracking.uri: cannot use the store: it is locked")

    class Composed:
        class overrides:  # noqa: N801
            task = ()

    monkeypatch.setattr(launching, "execute", fails)
    monkeypatch.setattr(launching.HydraConfig, "get", lambda: Composed)
    summary = launching.run_member(override(), LINEAGE)
    assert summary.failure == "error: tracking.uri: cannot use the store: it is locked"
    assert (summary.run_id, summary.name) == ("", "")


@pytest.mark.parametrize("key", ["tracking.timing=shared", "tracking.parent_run_id=x"])
def test_nobody_can_set_it(key):
    with pytest.raises(Exception, match=r"not in 'TrackingConfig'"):
        override(key)
