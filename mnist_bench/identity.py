"""The identity of a run: what it was, of which code, data and versions.

All fingerprints are SHA-256 in hexadecimal over canonical JSON (sorted keys, no spaces, ASCII), so
they are equal across processes, machines and the order in which overrides were typed.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from mnist_bench import __version__, environment
from mnist_bench.config.compose import default_values
from mnist_bench.config.record import as_plain
from mnist_bench.config.schema import SEMANTIC, MatchOn, RunConfig

DECIDING_MODULES = (
    "train/data.py",
    "train/engine.py",
    "train/models.py",
    "train/training.py",
)
"""The modules that do arithmetic; a change in any other one leaves finished runs valid.

Readers of files and the table of optimizers are not among them: the digest of the arrays and the
settings of the optimizer are part of an identity anyway.
"""

ENVIRONMENT_PACKAGES = ("python", "tensorflow", "keras", "numpy")


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """What a run is, known before it is trained.

    Attributes:
        name: Readable: the cell and the seed.
        cell: Readable: see `cell_label`.
        cell_fp: A configuration without its seed.
        code_fp: The modules that decide a result.
        data_fp: The arrays after split, limit and scaling rule.
        env_fp: Versions and flags that decide a result.
        host_fp: The machine; decides whether times compare.
        run_fp: All of these but the machine, and the seed.
    """

    name: str
    cell: str
    cell_fp: str
    code_fp: str
    data_fp: str
    env_fp: str
    host_fp: str
    run_fp: str

    def tags(self) -> dict[str, str]:
        """Returns everything but the name, by attribute."""
        return {key: value for key, value in asdict(self).items() if key != "name"}


def identify(config: RunConfig, data_digest: str) -> Identity:
    """Returns the identity of a run in this process's environment."""
    here = environment.describe()
    cell = cell_fp(config, data_digest)
    code = code_fp(Path(__file__).resolve().parent)
    env = env_fp(here.versions, here.flags, here.device)
    label = cell_label(config, data_digest)
    return Identity(
        name=f"{label} s{config.seed}",
        cell=label,
        cell_fp=cell,
        code_fp=code,
        data_fp=data_digest,
        env_fp=env,
        host_fp=host_fp(here.cpu, here.cores, here.threads),
        run_fp=run_fp(
            version=here.versions["version"],
            cell=cell,
            seed=config.seed,
            code=code,
            data=data_digest,
            env=env,
        ),
    )


def semantic(config: RunConfig, data_digest: str) -> dict[str, Any]:
    """Returns what decides a result apart from the seed, as plain nested dicts.

    The digest of the data stands in place of its path.
    """
    plain = as_plain(config)
    sections = {section: plain[section] for section in SEMANTIC}
    sections["data"]["path"] = data_digest
    return sections


def cell_fp(config: RunConfig, data_digest: str) -> str:
    """Returns the identity of a cell: a configuration without its seed."""
    return _sha256_json(semantic(config, data_digest))


def code_fp(package: Path) -> str:
    """Returns the digest of the modules that decide a result, by name and bytes.

    Args:
        package: The folder of the modules.
    """
    digest = hashlib.sha256()
    for name in DECIDING_MODULES:
        content = (package / name).read_bytes()
        digest.update(f"{name}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()


def env_fp(versions: dict[str, str], flags: dict[str, str], device: str) -> str:
    """Returns the digest of what besides code, data and settings may change a result.

    Args:
        versions: As in `environment.Environment`.
        flags: Environment variables that choose how a device computes.
        device: Its kind; which one of several it is changes nothing.
    """
    named = {name: versions[name] for name in ENVIRONMENT_PACKAGES}
    return _sha256_json({"versions": named, "flags": flags, "device": device})


def host_fp(cpu: str, cores: int, threads: int) -> str:
    """Returns the identity of a machine, for times: equal machines may be compared."""
    return _sha256_json({"cpu": cpu, "cores": cores, "threads": threads})


def run_fp(*, version: str, cell: str, seed: int, code: str, data: str, env: str) -> str:
    """Returns the identity of a run; a finished run with it need not be run again."""
    return _sha256_json(
        {"version": version, "cell": cell, "seed": seed, "code": code, "data": data, "env": env}
    )


def sweep_id(run_fps: list[str]) -> str:
    """Returns the identity of a set of runs, whatever their order."""
    return _sha256_json(sorted(set(run_fps)))


def matching_key(tags: Mapping[str, str], seed: str, match: MatchOn) -> tuple[str, ...]:
    """Returns what a finished run must share with a wanted one to be taken for it.

    Args:
        tags: Of the run, without this program's prefix.
        seed: As it is recorded.
        match: What counts (`sweep.match`).
    """
    if match is MatchOn.all:
        return (tags["run_fp"],)
    names = ("version", "cell_fp", "code_fp", "data_fp")
    return (*(tags[name] for name in names), seed)


def wanted_key(config: RunConfig, identity: Identity) -> tuple[str, ...]:
    """Returns the `matching_key` of a run of this version of the program, before it is made."""
    tags = {**identity.tags(), "version": __version__}
    return matching_key(tags, str(config.seed), config.sweep.match)


def changes_since(tags: Mapping[str, str], identity: Identity) -> list[str]:
    """Returns what keeps a finished run of the same cell, data and seed from being taken.

    Args:
        tags: Of the finished run, without this program's prefix.
        identity: Of the wanted one.
    """
    now = environment.describe().versions
    changed = ["the code that decides results"] if tags.get("code_fp") != identity.code_fp else []
    changed += [
        f"{'mnist_bench' if name == 'version' else name} {tags.get(name)} -> {now[name]}"
        for name in ("version", *ENVIRONMENT_PACKAGES)
        if tags.get(name) != now[name]
    ]
    if not changed and tags.get("env_fp") != identity.env_fp:
        return ["the device, or flags of TensorFlow"]
    return changed


def cell_label(config: RunConfig, data_digest: str) -> str:
    """Returns a cell's readable name, e.g. `functional 64-64 rmsprop b64 divisor=225.0`.

    Style, widths, optimizer and batch size always stand in it; of the rest, what differs from
    `conf/`.
    """
    plain = semantic(config, data_digest)
    defaults = default_values(config.optimizer.name.value)
    model, train, data = plain["model"], plain["train"], plain["data"]
    parts = [
        model["style"],
        "-".join(map(str, model["hidden_units"])),
        plain["optimizer"]["name"],
        f"b{train['batch_size']}",
    ]
    if config.data.path is not None:
        parts.append(f"{data['name']}-{data_digest[:8]}")
    elif data["name"] != defaults["data"]["name"]:
        parts.append(data["name"])
    named = {"style", "hidden_units", "name", "batch_size", "path"}
    for section in SEMANTIC:
        parts += [
            f"{key}={value}"
            for key, value in plain[section].items()
            if key not in named and value != defaults[section][key]
        ]
    return " ".join(parts)


def _sha256_json(value: object) -> str:
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode("ascii")).hexdigest()
