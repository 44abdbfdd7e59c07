"""Rate and distortion of a trained model on images, from real bytes."""

from __future__ import annotations

import logging
from typing import Any

from rdc.codec import Codec
from rdc.data.image_sets import list_images, readable_images
from rdc.jobs.job import EvaluateJob, Request
from rdc.measurements import metrics
from rdc.ops.distortions import DISTORTIONS

_log = logging.getLogger(__name__)


class LatentMismatchError(Exception):
    """A bitstream decoded to other latents than were encoded: a defect."""


def evaluate(job: EvaluateJob, request: Request) -> dict[str, Any]:
    """Encodes and decodes every image of the set through the codec.

    An unreadable image is named and skipped.

    Returns:
      The `result` of the record; see docs/records.md.

    Raises:
      DataError: no image of the set can be read.
      LatentMismatchError: some bytes decoded to other latents.
    """
    assert request.images is not None
    assert request.model_dir is not None
    codec = Codec.load(request.model_dir, job.codec.coder, job.codec.arithmetic)
    rows, read = [], set()
    for path, x in readable_images(request.images):
        values = evaluate_image(codec, x, job.lmbda, job.distortion)
        row = {"image": path.name, **values}
        _log.info("%s %.4f bpp", path.name, row["bpp_coded"])
        rows.append(row)
        read.add(path)
    skipped = [path.name for path in list_images(request.images) if path not in read]
    return {
        "run_id": job.run_id,
        "dataset": job.dataset,
        "images": rows,
        "skipped_images": skipped,
    }


def evaluate_image(
    codec: Codec, x: Any, lmbda: float, distortion: str = "mse"
) -> dict[str, Any]:
    """One row of the table `rate_distortion`, u8[H,W,3] -> columns.

    Args:
      lmbda: weight of `distortion`, a name in `rdc.ops.distortions`.
    """
    encoded = codec.encode(x)
    decoded = codec.decode(encoded.data)
    if (decoded.y_hat != encoded.y_hat).any():
        raise LatentMismatchError("the decoder's y_hat differs from the encoder's")
    pixels = x.shape[0] * x.shape[1]
    bpp_coded = 8 * len(encoded.data) / pixels
    mse_255 = metrics.mse_255(x, decoded.x_hat)
    row = {
        "height_px": x.shape[0],
        "width_px": x.shape[1],
        "bytes": len(encoded.data),
        "bpp_estimated": encoded.bits_estimated / pixels,
        "bpp_coded": bpp_coded,
        # JSON has no infinity: a perfect image has no PSNR.
        "psnr_db": metrics.psnr_db(x, decoded.x_hat) if mse_255 else None,
        "ms_ssim": metrics.ms_ssim(x, decoded.x_hat),
        "mse_255": mse_255,
    }
    distorted = DISTORTIONS[distortion].measured(row)
    rd_loss = (
        None if distorted is None else metrics.rd_loss(bpp_coded, distorted, lmbda)
    )
    return {**row, "rd_loss": rd_loss}
