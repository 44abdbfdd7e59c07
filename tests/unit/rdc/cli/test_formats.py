"""What the command line makes of image files of every kind, whole and damaged."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rdc.data.images import read_image

HEIGHT, WIDTH = 40, 60  # of `x`


def decoded_by_pillow(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


def save_png(x: np.ndarray, path: Path) -> np.ndarray:
    Image.fromarray(x).save(path)
    return x


def save_jpeg(x: np.ndarray, path: Path) -> np.ndarray:
    Image.fromarray(x).save(path, quality=90)
    return decoded_by_pillow(path)


def save_webp(x: np.ndarray, path: Path) -> np.ndarray:
    Image.fromarray(x).save(path, lossless=True)
    return x


def save_tiff(x: np.ndarray, path: Path) -> np.ndarray:
    Image.fromarray(x).save(path, compression="tiff_lzw")
    return x


def save_grey(x: np.ndarray, path: Path) -> np.ndarray:
    Image.fromarray(x[..., 0]).save(path)
    return np.repeat(x[..., :1], 3, axis=-1)


def save_alpha(x: np.ndarray, path: Path) -> np.ndarray:
    opaque = np.zeros((*x.shape[:2], 1), np.uint8)
    opaque[: HEIGHT // 2] = 255
    Image.fromarray(np.concatenate([x, opaque], -1)).save(path, lossless=True)
    return np.where(opaque == 255, x, np.uint8(255))


def save_grey_alpha(x: np.ndarray, path: Path) -> np.ndarray:
    Image.merge(
        "LA", [Image.fromarray(x[..., 0]), Image.new("L", (WIDTH, HEIGHT), 0)]
    ).save(path)
    return np.full_like(x, 255)


def save_palette(x: np.ndarray, path: Path) -> np.ndarray:
    palette = Image.fromarray(x).quantize(16)
    palette.save(path)
    colours = np.asarray(palette.getpalette(), np.uint8).reshape(-1, 3)
    return colours[np.asarray(palette)]


def save_cmyk(x: np.ndarray, path: Path) -> np.ndarray:
    """Without black, ink is what RGB lacks."""
    ink = np.concatenate([255 - x, np.zeros_like(x[..., :1])], -1)
    Image.fromarray(ink, "CMYK").save(path)
    return x


def save_cmyk_jpeg(x: np.ndarray, path: Path) -> np.ndarray:
    save_cmyk(x, path)
    return decoded_by_pillow(path)


def save_animated(x: np.ndarray, path: Path) -> np.ndarray:
    other = Image.fromarray(255 - x)
    Image.fromarray(x).save(path, save_all=True, append_images=[other], lossless=True)
    return x


def save_bilevel(x: np.ndarray, path: Path) -> np.ndarray:
    white = x[..., 0] > 100
    Image.fromarray(white).save(path)
    return np.repeat(white[..., None] * np.uint8(255), 3, axis=-1)


KINDS = {
    "rgb.png": save_png,
    "rgb.jpg": save_jpeg,
    "rgb.webp": save_webp,
    "rgb.tif": save_tiff,
    "grey.png": save_grey,
    "grey.tiff": save_grey,
    "alpha.png": save_alpha,
    "alpha.webp": save_alpha,
    "alpha.tif": save_alpha,
    "grey_alpha.png": save_grey_alpha,
    "palette.png": save_palette,
    "bilevel.png": save_bilevel,
    "cmyk.tif": save_cmyk,
    "cmyk.jpg": save_cmyk_jpeg,
    "animated.png": save_animated,
    "animated.webp": save_animated,
}


@pytest.mark.parametrize("name", KINDS)
def test_images_are_coded_as_rgb(rdc, codec, x, tmp_path, name, capsys):
    source, stream, decoded = (tmp_path / n for n in (name, "a.rdc", "a.png"))
    expected = KINDS[name](x, source)
    assert expected.shape == x.shape
    assert rdc("compress", source, stream, "--verify") == 0
    assert stream.read_bytes() == codec.compress(expected)
    assert f"{WIDTH} x {HEIGHT} pixels" in capsys.readouterr().out
    assert rdc("decompress", stream, decoded) == 0
    with Image.open(decoded) as image:
        assert (image.format, image.mode) == ("PNG", "RGB")
    expected_x_hat = codec.decompress(stream.read_bytes())
    np.testing.assert_array_equal(read_image(decoded), expected_x_hat)


def sixteen_bit(x: np.ndarray, path: Path) -> None:
    Image.fromarray(x[..., 0].astype(np.uint16) << 8).save(path)


def floating_point(x: np.ndarray, path: Path) -> None:
    Image.fromarray(x[..., 0].astype(np.float32)).save(path)


def empty(x: np.ndarray, path: Path) -> None:
    path.touch()


def text(x: np.ndarray, path: Path) -> None:
    path.write_text("no image\n" * 20)


def truncated(x: np.ndarray, path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, x.shape, np.uint8)
    Image.fromarray(noise).save(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])


def dangling_link(x: np.ndarray, path: Path) -> None:
    path.symlink_to("nothing")


@pytest.mark.parametrize(
    ("name", "make", "message"),
    [
        ("a.png", sixteen_bit, "8 bits per channel"),
        ("a.tif", sixteen_bit, "8 bits per channel"),
        ("a.tif", floating_point, "8 bits per channel"),
        ("a.png", empty, "0 bytes"),
        ("a.png", text, "decoded"),
        ("a.png", truncated, "decoded"),
        ("a.jpg", truncated, "decoded"),
        ("a.webp", truncated, "decoded"),
        ("a.tif", truncated, "decoded"),
        ("a.png", dangling_link, "no "),
    ],
)
def test_unfit_images_are_refused(rdc, x, tmp_path, name, make, message, capsys):
    source, out = tmp_path / name, tmp_path / "out"
    make(x, source)
    assert rdc("compress", source, out / "a.rdc") == 2
    error = capsys.readouterr().err
    assert message in error
    assert str(source) in error
    assert not out.exists()
