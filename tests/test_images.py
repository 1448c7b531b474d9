"""Images as they go into training and evaluation, beside torchvision and open_clip."""
import io
import pickle
import random
import zlib

import numpy as np
import pytest
from training_tools import require_train

require_train()

import open_clip                                                    # noqa: E402
import torch                                                        # noqa: E402
from PIL import Image                                               # noqa: E402
from torchvision.transforms import InterpolationMode, v2            # noqa: E402

from mc2.clip import images                                     # noqa: E402
from mc2.clip.encoder import Transform                              # noqa: E402

FORMS = [("RGB", "JPEG"), ("L", "JPEG"), ("CMYK", "JPEG"), ("RGB", "PNG"), ("RGBA", "PNG"), ("P", "PNG"),
         ("LA", "PNG"), ("1", "PNG"), ("RGB", "WEBP"), ("RGBA", "WEBP"), ("P", "GIF"), ("RGB", "BMP"), ("RGB", "TIFF")]


def photo(width, height, seed=0):
    """Something with edges and gradients."""
    rng = np.random.default_rng(seed)
    small = Image.fromarray(rng.integers(0, 256, (9, 7, 3), np.uint8))
    return small.resize((width, height), Image.Resampling.BICUBIC)


def encoded(image, format="JPEG", **options):
    stream = io.BytesIO()
    image.save(stream, format, **options)
    return stream.getvalue()


@pytest.mark.parametrize("mode, format", FORMS)
def test_every_kind_of_image_becomes_rgb_as_open_clip_reads_it(mode, format):
    data = encoded(photo(40, 30).convert(mode), format)
    assert np.array_equal(np.asarray(images.decode(data)), np.asarray(Image.open(io.BytesIO(data)).convert("RGB")))
    assert images.training(data, ("0:0", "id"), 16).shape == (3, 16, 16)


STEPS = np.array([[0, 255, 256], [32_768, 65_279, 65_535]], np.uint16)        # of grey in 16 bits


@pytest.mark.parametrize("data", [
    encoded(Image.fromarray(STEPS), "PNG"), encoded(Image.fromarray(STEPS), "TIFF"),
    encoded(Image.frombytes("I;16B", (3, 2), STEPS.astype(">u2").tobytes()), "TIFF"),
    b"P5 3 2 65535\n" + STEPS.astype(">u2").tobytes()], ids=["png", "tiff", "big-endian tiff", "pgm"])
def test_grey_of_16_bits_gives_its_8_highest(data):
    assert np.asarray(images.decode(data))[..., 0].tolist() == [[0, 0, 1], [128, 254, 255]]
    assert images.training(data, ("0", "id"), 8).max() > 200 > images.training(data, ("0", "id"), 8).min()


def test_grey_of_16_bits_whose_0_is_white_is_turned_round():
    data = encoded(Image.fromarray(STEPS), "TIFF", tiffinfo={262: 0})
    assert np.asarray(images.decode(data))[..., 1].tolist() == [[255, 255, 254], [127, 1, 0]]


@pytest.mark.parametrize("pixels, reason", [
    (STEPS.astype(np.int32), "integers of which none is said to be white"),
    (STEPS / np.float32(65_535), "floating-point numbers of which none is said to be white")])
def test_numbers_of_which_none_is_white_are_corrupt_and_not_black(pixels, reason):
    data = encoded(Image.fromarray(pixels), "TIFF")
    for decode in (images.decode, lambda data: images.training(data, ("0", "id"), 8),
                   lambda data: Transform(8)(Image.fromarray(pixels))):
        with pytest.raises(images.Corrupt, match=reason):
            decode(data)


def chunk(kind, data):
    return len(data).to_bytes(4, "big") + kind + data + zlib.crc32(kind + data).to_bytes(4, "big")


def test_a_png_with_long_texts_or_a_long_profile_is_read():
    plain, packed = encoded(photo(20, 10), "PNG"), zlib.compress(bytes(3_000_000))
    for notes in (chunk(b"zTXt", b"Comment\0\0" + packed), chunk(b"iCCP", b"profile\0\0" + packed),
                  chunk(b"iTXt", b"Comment\0\1\0\0\0" + packed), chunk(b"tEXt", b"Comment\0" + b"x" * 900_000) * 80):
        for place in (33, len(plain) - 12):             # after IHDR, before IEND
            data = plain[:place] + notes + plain[place:]
            assert np.array_equal(np.asarray(images.decode(data)), np.asarray(images.decode(plain)))


@pytest.mark.parametrize("data, reason", [
    (b"", "empty (0 bytes)"),
    (b"<!DOCTYPE html>", "HTML or XML text"),
    (b"\0\0\0\x0cjP  \r\n\x87\n", "JPEG 2000 (not read)"),
    (b"\0\0\0\x18ftypheic", "HEIF or a film (not read)"),
    (b"plain", "unknown kind of file"),
    (encoded(photo(20, 10), "PNG")[:10], "damaged or of an unknown kind"),
    (b"MM\0*" + bytes(20), "damaged or of an unknown kind"),
    (encoded(photo(300, 200))[:2000], "cut off"),
    (b"BM" + bytes(8) + b"\x36\0\0\0\x28\0\0\0" + (20_000).to_bytes(4, "little") * 2 + b"\1\0\x18\0" + bytes(24),
     "too many pixels")])
def test_the_reason_is_one_of_few_and_says_what_is_wrong(data, reason):
    with pytest.raises(images.Corrupt) as found:
        images.decode(data)
    assert found.value.reason == reason
    assert str(pickle.loads(pickle.dumps(found.value))) == str(found.value)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "LA", "P", "1", "CMYK", "L"])
@pytest.mark.parametrize("resize_mode", ["shortest", "squash"])
def test_rgb_after_resize_is_open_clips_preprocess_of_a_file(mode, resize_mode):
    image = photo(70, 50)
    if mode in ("RGBA", "LA"):
        image.putalpha(photo(70, 50, 1).convert("L"))
    data = encoded(image.convert(mode), "JPEG" if mode == "CMYK" else "PNG")
    theirs = open_clip.image_transform(32, is_train=False, mean=(0, 0, 0), std=(1, 1, 1), resize_mode=resize_mode)(
        Image.open(io.BytesIO(data)))
    after, before = (Transform(32, "bicubic", resize_mode, rgb) for rgb in images.RGB[::-1])
    assert np.array_equal(after(data), (theirs * 255).round().byte().numpy())
    assert np.array_equal(after(data), before(data)) == (mode in ("RGB", "L", "CMYK"))
    assert np.array_equal(before(data), before(Image.open(io.BytesIO(data))))
    crops = [images.training(data, ("0", "id"), 16, rgb=rgb) for rgb in images.RGB]
    assert np.array_equal(*crops) == (mode in ("RGB", "L", "CMYK"))
    assert (str(before), str(after)) == (f"{resize_mode} 32 bicubic", f"{resize_mode} 32 bicubic, RGB after resize")


def test_the_orientation_in_exif_is_left_alone():
    exif = Image.Exif()
    exif[274] = 6                           # to be turned by 90 degrees
    assert images.decode(encoded(photo(40, 30), exif=exif)).size == (40, 30)


def test_a_crop_has_the_pixels_that_torchvision_gives_for_its_box():
    chance = random.Random(0)
    for number in range(40):
        width, height = chance.randrange(20, 300), chance.randrange(20, 300)
        data = encoded(photo(width, height, number))
        interpolation = chance.choice(["bicubic", "bilinear"])
        found = images.training(data, ("7:2", str(number)), 64, (0.3, 1.0), interpolation)
        left, top, w, h = images.crop_box(width, height, (0.3, 1.0), ("7:2", str(number)))
        crop = v2.functional.resized_crop(images.decode(data), top, left, h, w, [64, 64],
                                          InterpolationMode(interpolation), antialias=True)
        assert found.dtype == np.uint8 and np.array_equal(found, v2.functional.pil_to_tensor(crop).numpy())


@pytest.mark.parametrize("width, height, scale", [
    (640, 480, (0.9, 1.0)), (300, 400, (0.08, 1.0)), (2000, 100, (0.9, 1.0)), (100, 2000, (0.9, 1.0)),
    (7, 5, (0.2, 1.0)), (1, 1, (0.9, 1.0))])
def test_boxes_are_distributed_as_those_of_torchvision(width, height, scale):
    torch.manual_seed(0)
    n, crop, image = 2000, v2.RandomResizedCrop(8, scale), torch.empty(3, height, width)
    theirs = [crop.make_params([image]) for _ in range(n)]
    theirs = np.array([[box[key] for key in ("left", "top", "width", "height")] for box in theirs], float)
    ours = np.array([images.crop_box(width, height, scale, ("0:0", str(number))) for number in range(n)], float)
    assert (ours[:, :2] >= 0).all() and (ours[:, :2] + ours[:, 2:] <= [width, height]).all()
    error = np.sqrt((ours.var(0) + theirs.var(0)) / n)
    assert (abs(ours.mean(0) - theirs.mean(0)) <= 5 * error + 1e-9).all()
    assert np.allclose(ours.std(0), theirs.std(0), rtol=0.15, atol=1e-9)


def test_a_crop_depends_on_seed_pass_and_id_alone():
    keys = [("0:0", "a"), ("0:0", "a"), ("0:1", "a"), ("0:0", "b")]
    boxes = [images.crop_box(640, 480, (0.9, 1), key) for key in keys]
    assert boxes[0] == boxes[1] and len(set(boxes)) == 3


@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA", "P"])
def test_the_validation_transform_is_open_clips(mode):
    for number, (width, height) in enumerate([(64, 64), (65, 90), (301, 200), (30, 500), (63, 64), (640, 479)]):
        image = photo(width, height, number).convert(mode)
        for interpolation in ("bicubic", "bilinear"):
            theirs = open_clip.image_transform(64, is_train=False, mean=(0, 0, 0), std=(1, 1, 1),
                                               interpolation=interpolation)(image)
            assert np.array_equal(images.validation(image, 64, interpolation), (theirs * 255).round().byte().numpy())


def test_what_cannot_be_decoded_is_corrupt():
    data = encoded(photo(300, 200))
    png = encoded(photo(300, 200), "PNG")
    bomb = bytearray(encoded(photo(8, 8), "BMP"))
    bomb[18:26] = (20_000).to_bytes(4, "little") * 2
    noise = b"\xff\xd8\xff" + bytes(500)
    for bad in (b"", b"<html>", data[:len(data) // 2], data[:100], png[:-2000], noise, bytes(bomb)):
        with pytest.raises(images.Corrupt):
            images.training(bad, ("0:0", "id"), 32)
        with pytest.raises(images.Corrupt):
            images.decode(bad)


def test_damaged_images_are_corrupt_or_pixels_and_nothing_else():
    chance = random.Random(2)
    for format in ("JPEG", "PNG", "WEBP", "GIF", "TIFF"):
        data = encoded(photo(60, 40), format)
        for _ in range(40):
            damaged = bytearray(data)
            for _ in range(3):
                damaged[chance.randrange(len(data))] = chance.randrange(256)
            try:
                assert images.training(bytes(damaged), ("0:0", "x"), 16).shape == (3, 16, 16)
            except images.Corrupt:
                pass


@pytest.mark.parametrize("mode, format", FORMS)
@pytest.mark.parametrize("rgb", images.RGB)
def test_views_of_an_image_decoded_once_are_those_of_each_alone(mode, format, rgb):
    data = encoded(photo(70, 50).convert(mode), format)
    transforms = [Transform(size, interpolation, resize_mode, rgb) for size, interpolation, resize_mode in
                  [(24, "bicubic", "shortest"), (60, "bilinear", "squash")]]
    crops = [images.View(16), images.View(40, "bilinear", rgb)]
    found = images.all_views(data, ("0", "id"), [crops[0], *(transform.view for transform in transforms), crops[1]])
    expected = [images.training(data, ("0", "id"), 16), *(transform(data) for transform in transforms),
                images.training(data, ("0", "id"), 40, interpolation="bilinear", rgb=rgb)]
    assert all(map(np.array_equal, found, expected))


def test_jpeg_scaling_leaves_enough_for_the_largest_view():
    data, large = encoded(photo(1501, 999)), images.View(400, resize_mode="shortest")
    _, alone = images.all_views(data, ("0", "id"), [images.View(16), large])
    small, scaled = images.all_views(data, ("0", "id"), [images.View(16), large], jpeg_scaling=True)
    assert np.array_equal(scaled, alone)            # half of it would be less than twice 400 pixels
    assert np.array_equal(small, images.training(data, ("0", "id"), 16))


def test_jpeg_scaling_keeps_small_images_as_they_are_and_large_ones_alike():
    small, large, png = encoded(photo(150, 120)), encoded(photo(1501, 999)), encoded(photo(600, 600), "PNG")
    def both(data):
        return [images.training(data, ("0:0", "a"), 64, jpeg_scaling=on).astype(float) for on in (False, True)]

    assert np.array_equal(*both(small)) and np.array_equal(*both(png))
    plain, scaled = both(large)
    assert 0 < abs(plain - scaled).mean() < 1
