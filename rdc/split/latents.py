"""Methods with a learned prior: Entropic Student, end-to-end, placement."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np
from flax import nnx

from rdc.codec.container import CODER_IDS
from rdc.codec.exported import PRIOR_LIMIT, named_weights, weights_sha256
from rdc.codec.symbols import Portion
from rdc.complexity import count_network
from rdc.entropy_coders.coders import coder_by_name
from rdc.entropy_coders.tables import CdfTables, tables_from_pmfs
from rdc.entropy_models.factorized_prior import FactorizedPrior
from rdc.errors import BitstreamError, DataError
from rdc.identity import content_id
from rdc.layers import Network
from rdc.split.base import (
    PARAMETER_BITS,
    Front,
    SplitMethod,
    compiled,
    front_bits,
    network_input,
)
from rdc.split.specs import check_stage

_CODER = "range"


class LatentMethod(SplitMethod):
    """The encoder's latents, rounded, under a factorised prior.

    `method_id`, which every stream carries, is of encoder and tables alone: another
    decoder or tail, as the second stage of the student trains, leaves the streams as
    they are.

    Args:
      encoder: f32[1,H,W,3] in [0, 1] -> y.
      decoder: y_hat -> what stage `first_tail_stage` of the teacher takes.
      encoder_bits: of the encoder without the prior; None to count all its parameters.
      tables: of the prior; None to compute them.
    """

    def __init__(
        self,
        name: str,
        setting: str,
        encoder: nnx.Module,
        prior: FactorizedPrior,
        decoder: nnx.Module,
        teacher: Any,
        first_tail_stage: int,
        encoder_bits: int | None = None,
        tables: CdfTables | None = None,
    ):
        super().__init__(teacher, first_tail_stage)
        self.name, self.setting = name, setting
        self.tables = tables or tables_from_pmfs(
            prior.masses(PRIOR_LIMIT), [-PRIOR_LIMIT] * prior.channels
        )
        self._encoder, self._prior, self._decoder = encoder, prior, decoder
        self._run_encoder = compiled(encoder)
        self._run_decoder = compiled(decoder)
        self._entropy_coder = coder_by_name(_CODER)
        if encoder_bits is None:
            encoder_bits = PARAMETER_BITS * _params(encoder)
        self.encoder_bits = encoder_bits + PARAMETER_BITS * _params(prior)
        self.method_id = content_id(
            "split_method",
            {"encoder": weights_sha256(encoder), "tables": self.tables.sha256},
        )

    def symbols(self, image: np.ndarray) -> np.ndarray:
        """The latents of a photograph as they are coded, i32[1,h,w,C].

        Raises:
          DataError: no photograph, or one too small for a latent.
        """
        x = network_input(image)
        shape = self.latent_shape(*image.shape[:2])
        if min(shape) < 1:
            raise DataError(
                "a photograph is large enough for one latent",
                f"{image.shape[1]} x {image.shape[0]} pixels",
            )
        portion = Portion.of_prior(shape, self.tables)
        return portion.symbols(np.asarray(self._run_encoder(x)))

    def bits_estimated(self, image: np.ndarray) -> float:
        """Of a photograph's latents by the prior, without any table."""
        symbols = jnp.asarray(self.symbols(image), jnp.float32)
        return float(np.asarray(self._prior.bits(symbols), np.float64).sum())

    def encode(self, image: np.ndarray) -> bytes:
        symbols = self.symbols(image)
        shape = self.latent_shape(*image.shape[:2])
        index = Portion.of_prior(shape, self.tables).table_index
        encoder = self._entropy_coder.encoder()
        encoder.put(symbols.ravel(), index.ravel(), self.tables)
        return self._packed(image, encoder.finish(), CODER_IDS[_CODER])

    def decode_latents(self, data: bytes) -> np.ndarray:
        """A stream -> y_hat, f32[1,h,w,C]; raises as `decode_features`."""
        header, payload = self._unpacked(data)
        shape = self.latent_shape(header.height_px, header.width_px)
        least = self._entropy_coder.least_bits(
            max(shape[0], 0) * max(shape[1], 0), self.tables
        )
        if min(shape) < 1 or 8 * len(payload) < least:
            raise BitstreamError(
                f"a payload for {header.width_px} x {header.height_px} pixels has at "
                f"least {int(least / 8)} bytes",
                len(payload),
                "its header lies, or it was cut: fetch the file again",
            )
        portion = Portion.of_prior(shape, self.tables)
        decoder = self._entropy_coder.decoder(payload)
        symbols = decoder.get(portion.table_index.ravel(), self.tables)
        decoder.finish()
        return portion.values(symbols)

    def decode_features(self, data: bytes) -> np.ndarray:
        return np.asarray(self._run_decoder(self.decode_latents(data)))

    def latent_shape(self, height_px: int, width_px: int) -> tuple[int, int, int]:
        """[h, w, C] of y."""
        shape = count_network(self._encoder, (height_px, width_px, 3)).output_shape
        height, width, channels = shape
        return height, width, channels

    def encoder_macs(self, height_px: int, width_px: int) -> float:
        return count_network(self._encoder, (height_px, width_px, 3)).macs

    def decoder_macs(self, height_px: int, width_px: int) -> float:
        latent = self.latent_shape(height_px, width_px)
        return count_network(self._decoder, latent).macs

    def feature_shape(self, height_px: int, width_px: int) -> tuple[int, int, int]:
        latent = self.latent_shape(height_px, width_px)
        height, width, channels = count_network(self._decoder, latent).output_shape
        return height, width, channels


def placement(
    teacher: Any, stage: int, prior: FactorizedPrior, setting: str
) -> LatentMethod:
    """The prior directly on the output of a stage of the teacher.

    Args:
      prior: as many channels as that stage.
    """
    check_stage(stage)
    return LatentMethod(
        "placement",
        f"stage={stage},{setting}",
        encoder=Front(teacher, stage),
        prior=prior,
        decoder=Network(),
        teacher=teacher,
        first_tail_stage=stage + 1,
        encoder_bits=front_bits(teacher, stage),
    )


def _params(network: nnx.Module) -> int:
    return sum(value.size for value in named_weights(nnx.state(network)).values())
