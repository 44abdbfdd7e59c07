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
    teachers.add_argument("--steps", type=int, default=1200, help="of each teacher")
    teachers.add_argument("--folds", type=int, default=5)
    teachers.add_argument("--seed", type=int, default=0)
    teachers.set_defaults(run=_teachers)


def _teachers(options: argparse.Namespace) -> None:
    import logging

    from rdc.tasks.labelled import check_photographs, labelled_photographs
    from rdc.tasks.metrics import top1
    from rdc.tasks.resnet import ResNetSpec
    from rdc.tasks.teachers import TeacherRecipe, out_of_fold
    from rdc.training.fit import FitRecipe

    logging.basicConfig(format="%(message)s")
    logging.getLogger("rdc").setLevel(logging.INFO)
    fit = FitRecipe(steps=options.steps, seed=options.seed, checkpoint_steps=100)
    photographs = labelled_photographs(options.photographs)
    check_photographs(photographs)
    spec = ResNetSpec(classes=len(photographs.classes))
    recipe = TeacherRecipe(fit=fit)
    logits = out_of_fold(photographs, spec, recipe, options.out, options.folds)
    share, error = top1(logits, photographs.labels)
    print(f"{len(photographs)} photographs out of fold: {share:.3f} +- {error:.3f}")
