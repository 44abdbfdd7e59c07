"""What RD loss an architecture may come to that nobody trained: a Bayesian ridge.

    log loss = features @ weights + noise

Features are what is known before a training: the logarithm of the decoder's cost and
its square, that of the parameters per cost, and indicators of the transform, entropy
model and hyper-transform with a slope in cost for each transform. Weights are Gaussian
around zero; how far, against the noise, is what makes the observed losses likeliest
(MacKay 1992, "Bayesian interpolation", section 4). The noise holds what seeds change
and what the features do not tell.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

_LEVEL_SCALE = 10.0  # of the constant, which nothing is known about
_RATIOS = np.geomspace(1e-3, 1e3, 25) ** 2  # variance of weights over that of noise
_ROUNDS = 10
_FAR = 6.0  # median deviations
_TAILS = 4.0  # degrees of freedom of the Student distribution that residuals have


@dataclass(frozen=True)
class Surrogate:
    """The posterior of the weights.

    Attributes:
      mean, covariance: of the weights; the covariance in units of the noise.
      noise: standard deviation of one architecture's logarithm of the loss.
    """

    mean: np.ndarray
    covariance: np.ndarray
    noise: float

    @classmethod
    def fit(cls, features: np.ndarray, losses: np.ndarray) -> Surrogate:
        """Fits the models of one rate.

        A loss far off the others, as of a training that failed, counts less: its
        weight is that of a Student distribution's residual.

        Args:
          features: f[n,k], as `architecture_features` gives them.
          losses: positive f[n].
        """
        y = np.log(losses)
        # A fit that began with what lies far off would take it for the noise.
        away = np.abs(y - np.median(y))
        shares = np.where(away > _FAR * np.median(away), 1e-6, 1.0)
        for _ in range(_ROUNDS):
            found = cls._weighted(features, y, shares)
            away = (y - features @ found.mean) / found.noise
            shares = (_TAILS + 1) / (_TAILS + away**2)
        return found

    @classmethod
    def _weighted(cls, x: np.ndarray, y: np.ndarray, shares: np.ndarray) -> Surrogate:
        root = np.sqrt(shares)
        x, y = x * root[:, None], y * root
        left, singular, right = np.linalg.svd(x, full_matrices=False)
        inside = left.T @ y
        outside = max(float(y @ y - inside @ inside), 0.0)
        n = len(y)
        # Per ratio: the variance of the data along each singular vector, over noise.
        grown = 1 + _RATIOS[:, None] * singular**2
        noise = ((inside**2 / grown).sum(axis=1) + outside) / n + 1e-18
        evidence = -n / 2 * np.log(noise) - 0.5 * np.log(grown).sum(axis=1)
        best = int(evidence.argmax())
        shrunk = _RATIOS[best] / grown[best]
        mean = right.T @ (shrunk * singular * inside)
        covariance = (
            _RATIOS[best] * np.eye(x.shape[1])
            - (right.T * (shrunk * _RATIOS[best] * singular**2)) @ right
        )
        return cls(mean, covariance, float(np.sqrt(noise[best])))

    def draw(self, features: np.ndarray, chance: Chance) -> np.ndarray:
        """Possible losses f[draws, m] of architectures, each trained once."""
        noise = self.noise * chance.noise
        # Positive up to rounding.
        half = np.linalg.cholesky(self.covariance + 1e-9 * np.eye(len(self.mean)))
        weights = self.mean + noise * (chance.weights @ half.T)
        return np.exp(weights @ features.T + noise * chance.models)


@dataclass(frozen=True)
class Chance:
    """Random numbers behind draws, the same for every rate: an architecture is better
    than expected at all of them or at none.
    """

    weights: np.ndarray
    models: np.ndarray
    noise: np.ndarray

    @classmethod
    def of(
        cls, draws: int, features: int, models: int, learned: int, seed: int
    ) -> Chance:
        """Drawn once for all rates.

        Args:
          learned: models that the noise was estimated from.
        """
        random = np.random.default_rng(seed)
        return cls(
            random.standard_normal((draws, features)),
            random.standard_normal((draws, models)),
            np.sqrt(learned / random.chisquare(learned, (draws, 1))),
        )


def architecture_features(architectures: pd.DataFrame) -> np.ndarray:
    """f[n,k], of rows of the table `architectures` that are all counted.

    Features are relative to these rows: give those to learn from and those to predict
    together.
    """
    cost = np.log(architectures["kflops_per_px"].to_numpy(float))
    cost = cost - cost.mean()
    size = np.log(architectures["params_total"].to_numpy(float)) - cost
    columns = [np.full(len(cost), _LEVEL_SCALE), cost, cost**2 / 2, size - size.mean()]
    for kind in ("transform", "entropy_model", "hyper_transform"):
        options = architectures[kind].fillna("none")
        for option in sorted(options.unique()):
            has = (options == option).to_numpy(float)
            columns.append(has)
            if kind == "transform":
                columns.append(has * cost)
    return np.column_stack(columns)
