"""Command lines as the commands get them."""

from __future__ import annotations

import dataclasses
from typing import Any

from launch.commands.sweep import SWEEP_APP
from launch.config.app import App, Call, run_app


def called(*arguments: str, app: App = SWEEP_APP) -> Call[Any]:
    """What a command would be called with."""
    seen: list[Call[Any]] = []
    app = dataclasses.replace(app, function=lambda call: seen.append(call) or 0)
    assert run_app(app, arguments) == 0
    return seen[0]
