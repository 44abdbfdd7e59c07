"""Which points compare: the conditions of each, and in which it is unlike most."""

from __future__ import annotations

import json

import pandas as pd

from rdc.specs.recipe import Recipe

# Of a recipe, what a study varies, and what changes a result by rounding alone.
NO_CONDITIONS = ("seed", "accumulate", "remat")
_OTHER_CONDITIONS = ("data_sha256", "init_from", "git_sha", "image_set")


def recipes(recipe_json: pd.Series) -> pd.DataFrame:
    """The fields of training recipes as text, one column each.

    Recipes from before a field came are at its default.
    """
    default = Recipe().to_dict()
    codes, distinct = pd.factorize(recipe_json)
    rows = [default | json.loads(text) for text in distinct]
    table = pd.DataFrame(rows, columns=list(default)).astype("str")
    return table.iloc[codes].set_index(recipe_json.index)


def differs_in(table: pd.DataFrame, within: list[str]) -> pd.Series:
    """Names of the conditions in which a measured row is unlike most of its group.

    Empty for rows that compare with the majority, and for rows without a result.

    Args:
      table: with `bpp`, `recipe_json` and the other conditions; where it has a column
        of the recipe's itself, that tells what really happened.
      within: columns that make groups; rows of two groups are never compared.
    """
    names = pd.Series("", index=table.index)
    measured = table[table["bpp"].notna()]
    recipe = recipes(measured["recipe_json"]).drop(columns=list(NO_CONDITIONS))
    happened = measured.columns.intersection([*recipe.columns, *_OTHER_CONDITIONS])
    conditions = pd.concat(
        [
            measured[happened].astype("str"),
            recipe[recipe.columns.difference(happened, sort=False)],
        ],
        axis=1,
    ).fillna("unknown")
    varying = [name for name in conditions if conditions[name].nunique() > 1]
    if not varying:
        return names
    conditions = conditions[varying]
    for _, rows in conditions.groupby([measured[name] for name in within]):
        usual = rows.value_counts().sort_index().idxmax()
        for name, value in zip(rows.columns, usual, strict=True):
            names[rows.index[rows[name] != value]] += f"{name}, "
    return names.str.removesuffix(", ")


def compares(differs_in: pd.Series, within: list[str]) -> pd.Series:
    """Whether points compare where the columns `within` are held equal."""
    held = set(within)
    distinct = {text: set(text.split(", ")) - held <= {""} for text in set(differs_in)}
    return differs_in.map(distinct).astype(bool)
