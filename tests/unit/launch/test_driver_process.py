"""The process of a driver stays free of JAX."""

import subprocess
import sys

CODE = """
import sys
import dataclasses
from launch.config.app import run_app
from launch.commands.sweep import SWEEP_APP, prepare
app = dataclasses.replace(SWEEP_APP, function=lambda call: bool(prepare(call)) - 1)
if __name__ == "__main__":
    code = run_app(app, ["+grid=rdc_smoke", "out=none"])
    import launch.commands.train, launch.commands.benchmark, launch.commands.submit
    import launch.executors.ray_executor
    print(code, "jax" in sys.modules, "ray" in sys.modules)
"""


def test_planning_counts_costs_without_loading_jax(tmp_path):
    script = tmp_path / "plan.py"
    script.write_text(CODE)
    done = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, cwd=tmp_path
    )
    assert (done.stdout, done.stderr) == ("0 False False\n", "")
