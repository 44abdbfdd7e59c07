"""`rdc models`: the models that come with the package, without JAX."""

from __future__ import annotations

import argparse
import json
from typing import Any


def add_commands(commands: argparse._SubParsersAction) -> None:
    """Adds `models`."""
    models = commands.add_parser(
        "models",
        help="the models that come with the package",
        description="Lists the models that --model knows by name: size, architecture, "
        "cost of the decoder, rates, identity and how each was trained.",
    )
    models.add_argument("--json", action="store_true", help="as one JSON list")
    models.set_defaults(run=_models)


def shipped() -> list[dict[str, Any]]:
    """One entry per model, cheapest decoder first, as plain data.

    Returns:
      `name default bytes weights_dtype family decoder_kflops_per_px lmbdas identity`
      and `training`, which holds what the record of the training says, or null.
      `decoder_kflops_per_px` is null for a folder that does not tell.
    """
    from rdc.codec.model_folders import DEFAULT_MODEL, model_folder, read_model_spec
    from rdc.codec.model_folders import shipped_models as names
    from rdc.registry import parse_architecture

    found = []
    for name in names():
        folder = model_folder(name)
        spec = read_model_spec(folder)
        found.append(
            {
                "name": name,
                "default": name == DEFAULT_MODEL,
                "bytes": sum(path.stat().st_size for path in folder.iterdir()),
                "weights_dtype": spec["weights_dtype"],
                "family": parse_architecture(spec["architecture"]).family,
                "decoder_kflops_per_px": spec.get("decoder_kflops_per_px"),
                "lmbdas": [point["lmbda"] for point in spec["operating_points"]],
                "identity": spec["identity"],
                "training": _training(spec["provenance"]),
            }
        )
    return sorted(found, key=lambda m: (m["decoder_kflops_per_px"] or 0, m["name"]))


def _training(provenance: dict[str, Any]) -> dict[str, Any] | None:
    """Recipe, data, time and machine of the training that made a model."""
    if "record" not in provenance:
        return None
    job, record = provenance["job"], provenance["record"]
    model = job["model"]
    environment = record["environment"]
    return {
        "run_id": provenance.get("run_id"),
        "recipe": model["recipe"],
        "data_sha256": model["data_sha256"],
        "init_from": model.get("init_from"),  # run_id whose weights it began with
        "seconds": record["result"]["summary"]["train_seconds"],  # of all attempts
        "host_cpu": environment["hardware"]["host_cpu"],
        "device_kind": environment["hardware"]["device_kind"],
        "git_sha": environment["git_sha"],
    }


def _models(options: argparse.Namespace) -> None:
    models = shipped()
    if options.json:
        print(json.dumps(models, indent=1))
        return
    for model in models:
        print(model["name"] + (" (default)" if model["default"] else ""))
        for name, value in _lines(model).items():
            print(f"  {name:12}{value}")


def _lines(model: dict[str, Any]) -> dict[str, str]:
    cost, training = model["decoder_kflops_per_px"], model["training"]
    lmbdas = [f"{v:g}" for v in model["lmbdas"] if v is not None]
    rates = f"{len(model['lmbdas'])}, lambda {' '.join(lmbdas) or 'unknown'}"
    lines = {
        "size": f"{model['bytes'] / 1e6:.2f} MB, weights in {model['weights_dtype']}",
        "family": model["family"],
        "decoder": "unknown cost" if cost is None else f"{cost:.1f} kFLOPs/px",
        "rates": rates,
        "identity": model["identity"],
        "training": "unknown",
    }
    if training is not None:
        recipe = training["recipe"]
        lines["training"] = (
            f"{recipe['steps']} steps of {recipe['batch_size']} crops of "
            f"{recipe['crop_px']} px, seed {recipe['seed']}"
        )
        if training["init_from"] is not None:
            lines["training"] += f", from the weights of run {training['init_from']}"
        lines["machine"] = (
            f"{training['seconds'] / 3600:.1f} hours on {training['host_cpu']} "
            f"({training['device_kind']}), commit {training['git_sha']}"
        )
    return lines
