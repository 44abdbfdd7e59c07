"""`read_image` against files of every kind that users have, whole and damaged."""

import io
import zlib

import numpy as np
import pytest
from PIL import Image

from rdc.data.images import checked_size_px, png_bytes, read_image
from rdc.errors import DataError


@pytest.fixture
def photograph():
    rows, columns = np.mgrid[:40, :60]
    return np.stack([rows * 6, columns * 4, rows + columns], axis=-1).astype(np.uint8)


@pytest.mark.parametrize("suffix", ["png", "webp", "tif", "tiff"])
def test_lossless_formats_keep_every_sample(tmp_path, photograph, suffix):
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(photograph).save(path, lossless=True)
    np.testing.assert_array_equal(read_image(path), photograph)
    assert min(checked_size_px(path)) == 40


def test_jpeg_is_near(tmp_path, photograph):
    path = tmp_path / "a.jpg"
    Image.fromarray(photograph).save(path, quality=95)
    image = read_image(path)
    assert image.dtype == np.uint8
    assert np.abs(image.astype(int) - photograph).mean() < 5


def test_exif_orientation_is_applied(tmp_path, photograph):
    path = tmp_path / "a.png"
    exif = Image.Exif()
    exif[0x0112] = 6  # stored on its side: rotate by 90 degrees clockwise to view
    Image.fromarray(photograph).save(path, exif=exif)
    np.testing.assert_array_equal(read_image(path), np.rot90(photograph, k=-1))


def test_grey_becomes_three_equal_channels(tmp_path, photograph):
    path = tmp_path / "a.png"
    Image.fromarray(photograph[..., 0]).save(path)
    np.testing.assert_array_equal(
        read_image(path), np.repeat(photograph[..., :1], 3, axis=-1)
    )


def test_transparency_is_composited_on_white(tmp_path, photograph):
    alpha = np.full((40, 60, 1), 255, np.uint8)
    alpha[:20] = 0
    path = tmp_path / "a.png"
    Image.fromarray(np.concatenate([photograph, alpha], axis=-1)).save(path)
    image = read_image(path)
    assert (image[:20] == 255).all()
    np.testing.assert_array_equal(image[20:], photograph[20:])


def test_palette_with_a_transparent_colour(tmp_path):
    path = tmp_path / "a.gif"
    image = Image.new("P", (4, 4), 0)
    image.putpalette([10, 20, 30, 40, 50, 60])
    image.save(path, transparency=0)
    assert (read_image(path) == 255).all()


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_sixteen_bit_grey_is_refused(tmp_path, suffix):
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(np.full((4, 4), 40_000, np.uint16)).save(path)
    with pytest.raises(DataError, match="8 bits"):
        read_image(path)


def test_sixteen_bit_rgb_png_is_refused(tmp_path):
    # Pillow cannot write one: an 8-bit file whose header says 16 bits will do.
    buffer = io.BytesIO()
    Image.new("RGB", (4, 4)).save(buffer, "png")
    data = bytearray(buffer.getvalue())
    data[24] = 16
    data[29:33] = zlib.crc32(data[12:29]).to_bytes(4, "big")
    path = tmp_path / "a.png"
    path.write_bytes(data)
    with pytest.raises(DataError, match="8 bits"):
        checked_size_px(path)


def test_huge_dimensions_are_refused_from_the_header(tmp_path):
    buffer = io.BytesIO()
    Image.new("RGB", (4, 4)).save(buffer, "png")
    data = bytearray(buffer.getvalue())
    data[16:24] = (20_000).to_bytes(4, "big") * 2
    data[29:33] = zlib.crc32(data[12:29]).to_bytes(4, "big")
    path = tmp_path / "a.png"
    path.write_bytes(data)
    for reader in (read_image, checked_size_px):
        with pytest.raises(DataError, match="268435456 pixels"):
            reader(path)


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "tif"])
@pytest.mark.parametrize("kept", [0.0, 0.02, 0.5, 0.97])
def test_cut_files_are_refused_with_their_name(tmp_path, kept, suffix):
    path = tmp_path / f"cut.{suffix}"
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    Image.fromarray(noise).save(path)
    data = path.read_bytes()
    path.write_bytes(data[: int(kept * len(data))])
    for reader in (read_image, checked_size_px):
        with pytest.raises(DataError, match=rf"cut\.{suffix}"):
            reader(path)


# Pillow warns of some of the damage that it then refuses.
@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "tif"])
def test_damaged_files_decode_or_raise_data_errors(tmp_path, photograph, suffix):
    buffer = io.BytesIO()
    Image.fromarray(photograph).save(
        buffer, {"jpg": "jpeg", "tif": "tiff"}.get(suffix, suffix)
    )
    whole = np.frombuffer(buffer.getvalue(), np.uint8)
    random = np.random.default_rng(1)
    path = tmp_path / f"a.{suffix}"
    refused = 0
    for _ in range(150):
        data = whole.copy()
        places = random.integers(0, min(len(data), 400), 3)
        data[places] = random.integers(0, 256, 3)
        path.write_bytes(data.tobytes())
        try:
            read_image(path)
        except DataError:
            refused += 1
    assert refused > 0


def test_png_bytes(tmp_path, photograph):
    path = tmp_path / "a.png"
    path.write_bytes(png_bytes(photograph))
    np.testing.assert_array_equal(read_image(path), photograph)


def test_text_and_missing_files(tmp_path):
    text = tmp_path / "a.png"
    text.write_text("not an image")
    with pytest.raises(DataError, match=r"a\.png"):
        read_image(text)
    with pytest.raises(DataError, match="exist"):
        read_image(tmp_path / "b.png")
    with pytest.raises(DataError):
        read_image(tmp_path)
