"""Pictures: upright, eight bits, over white, never too large, whatever the file calls itself."""

import resource

import numpy as np
import pytest
from PIL import Image
from samples import moving, refusal, scene

from actalker.signals import media


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("ending", ["jpg", "png", "tiff"])
def test_a_photo_is_turned_upright(tmp_path, orientation, ending):
    turns = {
        1: lambda p: p,
        2: lambda p: p[:, ::-1],
        3: lambda p: p[::-1, ::-1],
        4: lambda p: p[::-1],
        5: lambda p: p.transpose(1, 0, 2),
        6: lambda p: np.rot90(p),
        7: lambda p: p[::-1, ::-1].transpose(1, 0, 2),
        8: lambda p: np.rot90(p, 3),
    }
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / f"photo.{ending}"
    lying = Image.fromarray(np.ascontiguousarray(turns[orientation](scene(96, 80))))
    lying.save(path, exif=exif, **({"quality": 95, "subsampling": 0} if ending == "jpg" else {}))
    assert np.abs(media.read_image(path).astype(int) - scene(96, 80)).mean() < 3


def test_what_is_transparent_becomes_white(tmp_path):
    layers = np.dstack([scene(), np.full((64, 96), 255, np.uint8)])
    layers[:32, :48, 3] = 0
    layers[:32, 48:, 3] = 128
    Image.fromarray(layers).save(tmp_path / "cut.png")
    read = media.read_image(tmp_path / "cut.png")
    assert tuple(read[5, 5]) == (255, 255, 255)
    np.testing.assert_allclose(read[5, 90], (137, 227, 147), atol=1)
    assert tuple(read[60, 5]) == (30, 60, 220)


def test_transparency_in_a_palette_becomes_white(tmp_path):
    picture = Image.fromarray(scene()).quantize(8)
    corner = picture.getpixel((0, 0))
    picture.save(tmp_path / "palette.png", transparency=corner)
    read = media.read_image(tmp_path / "palette.png")
    assert tuple(read[5, 5]) == (255, 255, 255)
    np.testing.assert_allclose(read[60, 5], (30, 60, 220), atol=3)


@pytest.mark.parametrize(("kind", "top"), [(np.uint16, 65535), (np.int32, 65535), (np.float32, 1.0)])
def test_deep_grey_is_rescaled_and_not_clipped(tmp_path, kind, top):
    ramp = np.linspace(0, top, 100 * 80).reshape(80, 100).astype(kind)
    Image.fromarray(ramp).save(tmp_path / "deep.tiff")
    read = media.read_image(tmp_path / "deep.tiff")
    np.testing.assert_allclose(read[..., 1], np.linspace(0, 255, 100 * 80).reshape(80, 100), atol=1)


def test_sixteen_bit_png(tmp_path):
    ramp = np.linspace(0, 65535, 100 * 80).reshape(80, 100).astype(np.uint16)
    Image.fromarray(ramp).save(tmp_path / "deep.png")
    read = media.read_image(tmp_path / "deep.png")
    np.testing.assert_allclose(read[..., 0], np.linspace(0, 255, 100 * 80).reshape(80, 100), atol=1)


@pytest.mark.parametrize("mode", ["CMYK", "L", "1", "P", "LA", "YCbCr"])
def test_other_colour_models(tmp_path, mode):
    ending = {"CMYK": "jpg", "YCbCr": "jpg"}.get(mode, "png")
    Image.fromarray(scene()).convert(mode).save(tmp_path / f"photo.{ending}", quality=95)
    read = media.read_image(tmp_path / f"photo.{ending}")
    assert read.shape == (64, 96, 3)
    assert read.dtype == np.uint8
    if mode in {"CMYK", "YCbCr"}:
        assert np.abs(read[16, 24].astype(int) - (230, 30, 20)).max() < 12


def test_an_animation_gives_its_first_frame(tmp_path):
    frames = [Image.fromarray(frame) for frame in moving(3)]
    frames[0].save(tmp_path / "wave.gif", save_all=True, append_images=frames[1:], duration=100)
    assert np.all(media.read_image(tmp_path / "wave.gif") == 20)


@pytest.mark.parametrize("name", ["really a png.jpg", "ü 日本 'q\" -rf.webp", "%s{0}.png", "no ending"])
def test_names_say_nothing_about_what_is_inside(tmp_path, name):
    Image.fromarray(scene()).save(tmp_path / name, format="PNG")
    assert np.array_equal(media.read_image(tmp_path / name), scene())
    assert np.array_equal(media.read_image(str(tmp_path / name)), scene())


@pytest.mark.parametrize(("width", "height"), [(3, 3), (63, 500), (500, 63), (1, 1)])
def test_a_photo_that_is_too_small_is_refused(tmp_path, width, height):
    Image.new("RGB", (width, height)).save(tmp_path / "tiny.png")
    assert f"tiny.png has only {width} x {height} pixels" in refusal(media.read_image, tmp_path / "tiny.png")


def test_a_photo_of_sixty_megapixels_is_reduced(tmp_path):
    big = Image.fromarray(scene()).resize((9000, 6700), Image.Resampling.NEAREST)
    big.save(tmp_path / "big.jpg", quality=80)
    read = media.read_image(tmp_path / "big.jpg")
    height, width = read.shape[:2]
    assert 24e6 < width * height <= media.MOST_PIXELS
    assert abs(width / height - 9000 / 6700) < 0.001
    assert np.abs(read[height // 4, width // 4].astype(int) - (230, 30, 20)).max() < 6


def test_a_sideways_photo_of_sixty_megapixels_is_reduced_upright(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    lying = Image.fromarray(np.rot90(scene(64, 96)).copy()).resize((10000, 6000), Image.Resampling.NEAREST)
    lying.save(tmp_path / "big.jpg", exif=exif, quality=80)
    height, width = media.read_image(tmp_path / "big.jpg").shape[:2]
    assert abs(height / width - 10000 / 6000) < 0.001


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("size", [(12000, 9000), (14000, 14000)])
def test_a_photo_of_more_than_a_hundred_megapixels_is_refused_undecoded(tmp_path, size):
    Image.new("1", size).save(tmp_path / "bomb.png")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert refusal(media.read_image, tmp_path / "bomb.png").endswith("reduce it to 25 megapixels or less.")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000  # kilobytes
