"""Where things lie under OUT, and how its files are called: stated here alone.

OUT/sweep.json                          resolved sweep, versions, git, hardware
OUT/plan.parquet                        one row per model, `rdc.jobs.plan_row`
OUT/status.json                         how the sweep stands, `sweeps.status`
OUT/runs/<id[:2]>/<run_id>/             one training
OUT/evaluations/<id[:2]>/<id>/          one model on one set of images
OUT/codecs/<id[:2]>/<id>/               one classical codec on one set of images
OUT/overfitted/<id[:2]>/<id>/           one image by a codec fitted to it, at one lambda
OUT/teachers/<id[:2]>/<id>/             one task network, which never saw one fold
OUT/splits/<id[:2]>/<id>/               one split method on that fold, at one setting
OUT/benchmarks/<id[:2]>/<id>/           decode times on one hardware
  spec.json                             the job: what it computes (identity)
  record.json                           the promoted result; only the driver writes
  attempts/<n>/request.json             where and how: paths, threads (no identity)
  attempts/<n>/{log.txt,record.json,progress.json,checkpoint/,model/,...}
  attempts/<n>/log.<rank>.txt           of a training's processes on further hosts
OUT/image_sets/<data_sha256>.json       what a set was when it was planned
OUT/tables/*.parquet                    derived
OUT/report/index.html                   derived
OUT/proposal.json                       what to train next, where that was asked
"""

from __future__ import annotations

from pathlib import Path

from rdc.training.summary import CHECKPOINT_FOLDER as CHECKPOINT_FOLDER
from rdc.training.summary import METRICS_FILE as METRICS_FILE
from rdc.training.summary import PROGRESS_FILE as PROGRESS_FILE

SWEEP_FILE = "sweep.json"
PLAN_FILE = "plan.parquet"
STATUS_FILE = "status.json"
IMAGE_SETS_FOLDER = "image_sets"
TABLES_FOLDER = "tables"
REPORT_FILE = "report/index.html"
PROPOSAL_FILE = "proposal.json"

SPEC_FILE = "spec.json"
RECORD_FILE = "record.json"
REQUEST_FILE = "request.json"
LOG_FILE = "log.txt"
ATTEMPTS_FOLDER = "attempts"
MODEL_FOLDER = "model"

# Of everything under OUT: whoever changes the version of records or of the plan changes
# this one, too. 1: a training was one lambda. An OUT of a newer version is refused in
# words, never read; an earlier one migrates when a sweep starts (`sweeps.migration`).
OUT_SCHEMA_VERSION = 2


def log_file(rank: int) -> str:
    """Of one of an attempt's processes."""
    return LOG_FILE if rank == 0 else f"log.{rank}.txt"


def job_folder(out: Path, kind_folder: str, job_id: str) -> Path:
    """The folder of one job."""
    return Path(out) / kind_folder / job_id[:2] / job_id


def manifest_file(out: Path, data_sha256: str) -> Path:
    """The file that tells of one image set (`rdc.data.manifest`)."""
    return Path(out) / IMAGE_SETS_FOLDER / f"{data_sha256}.json"


def attempt_folder(job: Path, number: int) -> Path:
    """The folder of one attempt at a job."""
    return job / ATTEMPTS_FOLDER / str(number)
