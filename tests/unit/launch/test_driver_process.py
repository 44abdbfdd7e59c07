"""The process of a driver stays free of JAX."""

import subprocess
import sys

CODE = """
import sys
from launch.config.app import App, run_app
from launch.commands.sweep import prepare
app = App("sweep", lambda c: bool(prepare(c)) - 1, "", (), ("grid",))
if __name__ == "__main__":
    code = run_app(app, ["+grid=rdc_smoke", "out=none"])
    print(code, "jax" in sys.modules, "ray" in sys.modules)
"""


def test_planning_counts_costs_without_loading_jax(tmp_path):
    script = tmp_path / "plan.py"
    script.write_text(CODE)
    done = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, cwd=tmp_path
    )
    assert (done.stdout, done.stderr) == ("0 False False\n", "")
