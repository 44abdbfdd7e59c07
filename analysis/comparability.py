"""Which points compare: the conditions of each, and in which it is unlike most."""

from __future__ import annotations

import json

import pandas as pd

from rdc.specs.training import TrainSpec

# Of a recipe, what a study varies, and what changes a result by rounding alone.
_NO_CONDITIONS = ("lmbda", "seed", "accumulate", "remat")
_OTHER_CONDITIONS = ("data_sha256", "git_sha", "images")


def recipes(train_json: pd.Series) -> pd.DataFrame:
    """The fields of training recipes, one column each.

    Recipes of before a field came are at its default.
    """
    default = TrainSpec().to_dict()
    distinct = {text: default | json.loads(text) for text in train_json.unique()}
    return pd.DataFrame(
        [distinct[text] for text in train_json],
        index=train_json.index,
        columns=list(default),
    )


def differs_in(table: pd.DataFrame) -> pd.Series:
    """Names of the conditions in which a measured row is unlike most of its dataset.

    Empty for rows that compare with the majority, and for rows without a result.

    Args:
      table: with `dataset`, `rd_loss`, `train_json` and the other conditions; where it
        has a column of the recipe's itself, that tells what really happened.
    """
    names = pd.Series("", index=table.index)
    measured = table[table["rd_loss"].notna()]
    recipe = recipes(measured["train_json"]).drop(columns=list(_NO_CONDITIONS))
    happened = measured.columns.intersection([*recipe.columns, *_OTHER_CONDITIONS])
    conditions = pd.concat(
        [measured[happened], recipe[recipe.columns.difference(happened, sort=False)]],
        axis=1,
    )
    conditions = conditions.astype("str").fillna("unknown")
    for _, rows in conditions.groupby(measured["dataset"]):
        usual = rows.value_counts().sort_index().idxmax()
        for name, value in zip(rows.columns, usual, strict=True):
            names[rows.index[rows[name] != value]] += f"{name}, "
    return names.str.removesuffix(", ")
