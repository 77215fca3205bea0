"""What of a configuration may be recorded: no folder, host or credential."""

from collections.abc import Iterable
from dataclasses import asdict
from enum import Enum
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from mnist_bench.config.schema import DataConfig, RunConfig, Validation

PIXEL_MAXIMUM = 255


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
    not where somebody's home is.
    """
    plain: dict[str, Any] = _plain(asdict(config))
    for key, without_folder in PLACES.items():
        section, name = key.split(".")
        if plain[section][name] is not None:
            plain[section][name] = without_folder(plain[section][name])
    del plain["sweep"]
    return plain


def without_location(uri: str) -> str:
    """Returns a tracking URI without credentials, host or folders, e.g. `sqlite:mlflow.db`."""
    parts = urlsplit(uri)
    # In any other scheme a path may be somebody's home, or what follows a mistyped password.
    name = Path(parts.path).name if parts.scheme == "sqlite" and not parts.netloc else ""
    return f"{parts.scheme or 'file'}:{name}"


PLACES = {"data.path": lambda path: Path(path).name, "tracking.uri": without_location}
"""The settings that say where something lies -> what of them may be recorded."""


def flatten(plain: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Returns `{"a": {"b": 1}}` as `{"a.b": 1}`."""
    flat: dict[str, Any] = {}
    for key, value in plain.items():
        if isinstance(value, dict):
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def _plain(value: Any) -> Any:
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    # -0.0 and 0.0 are one value, but two in JSON.
    return value + 0.0 if isinstance(value, float) else value


def recordable_overrides(overrides: Iterable[str]) -> list[str]:
    """Returns overrides as they may be recorded: without folders, hosts and credentials."""
    kept = []
    for override in overrides:
        key, _, value = override.partition("=")
        if without_folder := PLACES.get(key.lstrip("+")):
            value = without_folder(value.strip("'\""))
        kept.append(f"{key}={value}")
    return kept
