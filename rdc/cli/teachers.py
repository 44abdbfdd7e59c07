"""`rdc teachers`: task networks trained on labelled photographs, out of fold."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_commands(commands: argparse._SubParsersAction) -> None:
    """Adds `teachers`."""
    teachers = commands.add_parser(
        "teachers", help="train task networks, and answer each photograph out of fold"
    )
    teachers.add_argument("photographs", metavar="PHOTOGRAPHS")
    teachers.add_argument("out", metavar="OUT", type=Path)
    teachers.add_argument(
        "--epochs",
        type=float,
        default=64,
        help="of each teacher, so many times as many squares as it sees photographs",
    )
    teachers.add_argument("--folds", type=int, default=5)
    teachers.add_argument("--seed", type=int, default=0)
    teachers.set_defaults(run=_teachers)


def _teachers(options: argparse.Namespace) -> None:
    import logging

    from rdc.specs.tasks import TaskRecipe, TeacherSpec
    from rdc.tasks.labelled import check_photographs, labelled_photographs
    from rdc.tasks.metrics import top1
    from rdc.tasks.teachers import out_of_fold

    logging.basicConfig(format="%(message)s")
    logging.getLogger("rdc").setLevel(logging.INFO)
    recipe = TaskRecipe(epochs=options.epochs)
    photographs = labelled_photographs(options.photographs)
    check_photographs(photographs)
    spec = TeacherSpec(recipe=recipe, seed=options.seed)
    logits = out_of_fold(photographs, spec, options.out, options.folds)
    share, error = top1(logits, photographs.labels)
    print(f"{len(photographs)} photographs out of fold: {share:.3f} +- {error:.3f}")
