"""Methods with a learned prior: Entropic Student, end-to-end, placement."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from flax import nnx

from rdc.codec.container import CODER_IDS, NUMERICS_IDS
from rdc.codec.exported import PRIOR_LIMIT, named_weights, weights_sha256
from rdc.codec.symbols import Portion
from rdc.complexity import count_network
from rdc.entropy_coders.coders import coder_by_name
from rdc.entropy_coders.estimates import estimated_bits
from rdc.entropy_coders.tables import CdfTables, gaussian_tables, tables_from_pmfs
from rdc.errors import BitstreamError, DataError
from rdc.identity import NUMERICS_VERSION, content_id
from rdc.model import run_coding_steps
from rdc.split.base import (
    PARAMETER_BITS,
    SplitMethod,
    Tables,
    compiled,
    network_input,
)
from rdc.split.priors import NUMERICS_NAME, ExactPrior, LatentPrior, Shape

_CODER = "range"


def tables_of(prior: LatentPrior) -> dict[str, CdfTables]:
    """What a prior's symbols are coded with."""
    masses = prior.density.masses(PRIOR_LIMIT)
    tables = {"prior": tables_from_pmfs(masses, [-PRIOR_LIMIT] * len(masses))}
    if prior.step is not None:
        tables["gaussian"] = gaussian_tables()
    return tables


class LatentMethod(SplitMethod):
    """The encoder's latents, rounded, under a prior.

    `method_id`, which every stream carries, is of encoder, prior and tables alone:
    another decoder or tail, as the second stage of the student trains, leaves the
    streams as they are.

    Args:
      encoder: f32[1,H,W,3] in [0, 1] -> y.
      decoder: y_hat -> what stage `first_tail_stage` of the teacher takes.
      encoder_bits: of the encoder without the prior; None to count all its parameters.
      tables: None to compute them.
    """

    def __init__(
        self,
        name: str,
        setting: str,
        encoder: nnx.Module,
        prior: LatentPrior,
        decoder: nnx.Module,
        teacher: Any,
        first_tail_stage: int,
        encoder_bits: int | None = None,
        tables: Tables | None = None,
    ):
        super().__init__(teacher, first_tail_stage)
        self.name, self.setting = name, setting
        self.encoder: Any = encoder
        self.prior, self.decoder = prior, decoder
        self.tables = tables or tables_of(prior)
        self._run_encoder = compiled(encoder)
        self._run_latents = compiled(prior, LatentPrior.latents)
        self._run_decoder = compiled(decoder)
        self._exact_prior = ExactPrior(prior)
        self._entropy_coder = coder_by_name(_CODER)
        if encoder_bits is None:
            encoder_bits = PARAMETER_BITS * _params(encoder)
        self.encoder_bits = encoder_bits + PARAMETER_BITS * _params(prior)
        self.method_id = content_id(
            "split_method",
            {
                "encoder": weights_sha256(encoder),
                "prior": weights_sha256(prior),
                "tables": {name: each.sha256 for name, each in self.tables.items()},
                "numerics_version": NUMERICS_VERSION,
            },
        )

    def encode(self, image: np.ndarray) -> bytes:
        encoder = self._entropy_coder.encoder()

        def put(_step: Any, _parameters: Any, portion: Portion, symbols: Any) -> None:
            encoder.put(symbols.ravel(), portion.table_index.ravel(), portion.tables)

        self.latents(image, put)
        return self._packed(
            image, encoder.finish(), CODER_IDS[_CODER], NUMERICS_IDS[NUMERICS_NAME]
        )

    def bits_estimated(self, image: np.ndarray) -> float:
        """Of a photograph's latents by the prior; by the tables only what escapes."""
        bits = 0.0

        def add(step: Any, parameters: Any, portion: Portion, symbols: Any) -> None:
            nonlocal bits
            likelihoods = np.asarray(step.bits(symbols.astype(np.float32), parameters))
            index = portion.table_index.ravel()
            bits += estimated_bits(
                likelihoods.ravel(), symbols.ravel(), index, portion.tables
            )

        self.latents(image, add)
        return bits

    def latents(
        self,
        image: np.ndarray,
        seen: Callable[[Any, Any, Portion, np.ndarray], None] = lambda *_: None,
    ) -> np.ndarray:
        """y_hat f32[1,h,w,C] of a photograph, as the decoder has it.

        Args:
          seen: gets each coding step, its parameters, its portion and the symbols.

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
        latents = self._run_latents(self._run_encoder(x))

        def code(step: Any, parameters: Any, portion: Portion) -> np.ndarray:
            symbols = portion.symbols(np.asarray(latents[step.latent]))
            seen(step, parameters, portion, symbols)
            return portion.values(symbols)

        return self._coded(shape, code)

    def decode_latents(self, data: bytes) -> np.ndarray:
        """A stream -> y_hat, f32[1,h,w,C]; raises as `decode_features`."""
        header, payload = self._unpacked(data)
        shape = self.latent_shape(header.height_px, header.width_px)
        least = 1.0
        if min(shape) >= 1:
            height, width, _ = self.prior.shapes(shape)[self.prior.coded_first]
            tables = self.tables["prior"]
            least = self._entropy_coder.least_bits(height * width, tables)
        if min(shape) < 1 or 8 * len(payload) < least:
            raise BitstreamError(
                f"a payload for {header.width_px} x {header.height_px} pixels has at "
                f"least {int(least / 8)} bytes",
                len(payload),
                "its header lies, or it was cut: fetch the file again",
            )
        decoder = self._entropy_coder.decoder(payload)

        def code(_step: Any, _parameters: Any, portion: Portion) -> np.ndarray:
            symbols = decoder.get(portion.table_index.ravel(), portion.tables)
            return portion.values(symbols)

        y_hat = self._coded(shape, code)
        decoder.finish()
        return y_hat

    def _coded(
        self, shape: Shape, code: Callable[[Any, Any, Portion], np.ndarray]
    ) -> np.ndarray:
        """y_hat from what `code` makes of each coding step's portion."""
        shapes = self.prior.shapes(shape)

        def of_step(step: Any, parameters: Any) -> np.ndarray:
            tables = self.tables[step.tables]
            if parameters is None:
                portion = Portion.of_prior(shapes[step.latent], tables)
            else:
                portion = Portion.of_gaussian(parameters, tables, is_final=True)
            return code(step, parameters, portion)

        return run_coding_steps(self._exact_prior.sized(*shape[:2]), of_step)

    def decode_features(self, data: bytes) -> np.ndarray:
        return np.asarray(self._run_decoder(self.decode_latents(data)))

    def latent_shape(self, height_px: int, width_px: int) -> Shape:
        """[h, w, C] of y."""
        shape = count_network(self.encoder, (height_px, width_px, 3)).output_shape
        height, width, channels = shape
        return height, width, channels

    def encoder_macs(self, height_px: int, width_px: int) -> float:
        latent = self.latent_shape(height_px, width_px)
        encoder = count_network(self.encoder, (height_px, width_px, 3))
        return encoder.macs + sum(self.prior.macs(latent))

    def decoder_macs(self, height_px: int, width_px: int) -> float:
        latent = self.latent_shape(height_px, width_px)
        _, synthesis = self.prior.macs(latent)
        return synthesis + count_network(self.decoder, latent).macs

    def feature_shape(self, height_px: int, width_px: int) -> Shape:
        latent = self.latent_shape(height_px, width_px)
        height, width, channels = count_network(self.decoder, latent).output_shape
        return height, width, channels


def _params(network: nnx.Module) -> int:
    return sum(value.size for value in named_weights(nnx.state(network)).values())
