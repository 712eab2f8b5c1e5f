"""The Pillow plugin, and what reads through Pillow."""

from __future__ import annotations

import concurrent.futures
import copy
import io
import multiprocessing
import pickle
import struct
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image, ImageFile, UnidentifiedImageError

import aecodec
import aecodec.pillow
from aecodec.codec.encoder import Encoder
from aecodec.container import bitstream
from aecodec.container.bitstream import Header, Stream
from aecodec.quality import index_of_quality

ICC = bytes(16) + b"RGB " + bytes(108)
XMP = b"<x:xmpmeta xmlns:x='adobe:ns:meta/'/>"


@pytest.fixture
def stored(tmp_path, file):
    """Path of a good .aec file."""
    (tmp_path / "good.aec").write_bytes(file)
    return tmp_path / "good.aec"


def test_open_reads_and_load_decodes(stored, file):
    """Image.open is all that most programs know of a format."""
    with Image.open(stored) as image:
        assert (image.format, image.mode, image.size) == ("AEC", "RGB", (96, 64))
        assert np.array_equal(np.asarray(image), np.asarray(aecodec.decode(file)))
    image = Image.open(io.BytesIO(file))
    assert image.resize((48, 32)).size == (48, 32)
    assert image.copy().size == (96, 64)


def test_open_decodes_nothing(stored):
    """A file manager opens a thousand files for their sizes; a decoder's start would cost it minutes."""
    script = (
        "import sys, aecodec; aecodec.register_pillow(); from PIL import Image\n"
        f"image = Image.open({str(stored)!r}); assert image.size == (96, 64)\n"
        "heavy = ('numpy', 'openvino', 'torch', 'safetensors', 'aecodec.codec.decoder')\n"
        "print([name for name in heavy if name in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert (result.stdout, result.stderr) == ("[]\n", "")


def test_open_reads_no_payload(file):
    """Opening a large file over a network must not fetch it."""
    stream = bitstream.read(file)
    data = bitstream.write(Stream(stream.header, [bytes(10**6)], {bitstream.ICC: bytes(100_000)}))
    read = []

    class Counting(io.BytesIO):
        def read(self, size=-1):
            read.append(len(result := super().read(size)))
            return result

    assert len(Image.open(Counting(data)).info["icc_profile"]) == 100_000
    assert max(read) < 6 * 10**5


def test_save(tmp_path, photo):
    """The one line that replaces image.save("x.jpg")."""
    picture = photo(40, 24)
    picture.save(tmp_path / "x.aec", quality=70)
    assert (tmp_path / "x.aec").read_bytes() == aecodec.encode(picture, 70)
    picture.save(tmp_path / "x.aec", target=aecodec.Size(600))
    assert (tmp_path / "x.aec").stat().st_size <= 600
    buffer = io.BytesIO()
    picture.convert("LA").save(buffer, "AEC")
    assert Image.open(buffer).mode == "LA"


def test_metadata(tmp_path, photo):
    """Kept as found, replaced where given, dropped where emptied."""
    picture = photo(20, 10)
    exif = Image.Exif()
    exif[0x0112] = 6
    picture.save(tmp_path / "x.aec", exif=exif, icc_profile=ICC, xmp=XMP)
    with Image.open(tmp_path / "x.aec") as image:
        assert (image.info["icc_profile"], image.info["xmp"]) == (ICC, XMP)
        assert dict(image.getexif()) == {0x0112: 6}
        assert image.size == (20, 10)  # as Pillow's own formats have it; ImageOps.exif_transpose turns it
        image.save(tmp_path / "kept.aec")
        image.save(tmp_path / "dropped.aec", exif=b"", icc_profile=None, xmp=None)
    assert Image.open(tmp_path / "kept.aec").info == image.info
    assert Image.open(tmp_path / "dropped.aec").info == {}


def test_the_current_frame_is_saved(tmp_path):
    """As with every other format that holds one picture."""
    frames = [Image.new("RGB", (16, 8), colour) for colour in ("red", "blue")]
    frames[0].save(tmp_path / "x.gif", save_all=True, append_images=frames[1:])
    with Image.open(tmp_path / "x.gif") as animation:
        animation.seek(1)
        animation.save(tmp_path / "x.aec", quality=90)
    red, _, blue = Image.open(tmp_path / "x.aec").getpixel((8, 4))
    assert red < 60
    assert blue > 200


def test_exif_of_a_tiff_is_kept(tmp_path, photo):
    """Pillow keeps a TIFF's EXIF elsewhere than that of other formats."""
    exif = Image.Exif()
    exif[0x010F] = "maker"
    photo(20, 10).save(tmp_path / "x.tif", exif=exif)
    with Image.open(tmp_path / "x.tif") as image:
        image.save(tmp_path / "x.aec")
    assert Image.open(tmp_path / "x.aec").getexif()[0x010F] == "maker"


def test_the_limit_is_that_of_pillow(monkeypatch, stored, file):
    """A server that set Image.MAX_IMAGE_PIXELS relies on it for every format."""
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 96 * 64 // 2 - 1)
    with pytest.raises(Image.DecompressionBombError):
        Image.open(stored)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 96 * 64 - 1)
    with pytest.warns(Image.DecompressionBombWarning):
        Image.open(stored)
    stream = bitstream.read(file)
    bomb = bitstream.write(Stream(Header(2**20, 2**20, "RGB", stream.header.weights, 0), [b""]))
    with pytest.raises(Image.DecompressionBombError):
        Image.open(io.BytesIO(bomb))


def test_damage_is_an_os_error(file):
    """What programs catch around Image.open and load, whatever the format."""
    for bad in (file[:9], file[:12] + b"!" + file[13:]):
        with pytest.raises(UnidentifiedImageError, match="aec"):
            Image.open(io.BytesIO(bad))
    foreign = Stream(Header(9, 9, "L", "0badcafe", 0), [b""])
    for bad in (file[:-1], file[:-9] + b"!" + file[-8:], file + b"!", bitstream.write(foreign)):
        with pytest.raises(OSError, match=r"truncated|checksum|follow the end|needs the weights"):
            Image.open(io.BytesIO(bad)).load()
    image = Image.open(io.BytesIO(file[:-1]))
    with pytest.raises(OSError, match="truncated"):
        image.verify()
    Image.open(io.BytesIO(file)).verify()
    with pytest.raises(UnidentifiedImageError):
        Image.open(io.BytesIO(b"hello"))


def test_a_file_that_ends_early_is_shown_where_pillow_is_told_to(file, monkeypatch):
    """Programs that take half a JPEG take half of an .aec file, too."""
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    with Image.open(io.BytesIO(file[: len(file) // 2])) as image:
        with pytest.warns(UserWarning, match="preview"):
            wanted = aecodec.decode(file[: len(file) // 2], preview=True)
        with pytest.warns(UserWarning, match="preview"):
            image.load()
        assert image.tobytes() == wanted.tobytes()


def test_a_failed_save_leaves_no_file(tmp_path, photo):
    """Half a file with a good name is worse than none."""
    with pytest.raises(ValueError, match="quality"):
        photo(8, 8).save(tmp_path / "x.aec", quality=101)
    with pytest.raises(OSError, match="cannot be reached"):
        photo(8, 8).save(tmp_path / "x.aec", target=aecodec.Size(9))
    with pytest.raises(OSError, match="no-such"):
        photo(8, 8).save(tmp_path / "x.aec", weights="no-such")
    assert not list(tmp_path.iterdir())


def test_saves_without_loss(photo):
    """Pillow's users know the word from WebP."""
    buffer = io.BytesIO()
    photo(9, 7, "RGBA").save(buffer, "AEC", lossless=True)
    with Image.open(buffer) as image:
        assert (image.mode, image.size) == ("RGBA", (9, 7))
        assert image.tobytes() == photo(9, 7, "RGBA").tobytes()


def test_imageio(tmp_path, stored, photo):
    """What many scripts read pictures with."""
    iio = pytest.importorskip("imageio.v3")
    assert np.array_equal(iio.imread(stored), np.asarray(Image.open(stored)))
    assert iio.improps(stored).shape == (64, 96, 3)
    iio.imwrite(tmp_path / "x.aec", np.asarray(photo(40, 24)))
    assert Image.open(tmp_path / "x.aec").size == (40, 24)


def test_scikit_image(tmp_path, stored, photo):
    """And what scientists do."""
    io = pytest.importorskip("skimage.io")
    assert np.array_equal(io.imread(stored), np.asarray(Image.open(stored)))
    (tmp_path / "gray.aec").write_bytes(Encoder(photo(40, 24, "L")).encode(index_of_quality(50)).data)
    assert io.imread(tmp_path / "gray.aec").shape == (24, 40)


def test_depth_is_that_of_the_file(tmp_path):
    """Twelve bits of gray were taken for sixteen: the picture came out nearly black."""
    pixels = bytes.fromhex("fff800") * 512  # white and half as much in turn, 32 x 32
    tags = {256: 32, 257: 32, 258: 12, 259: 1, 262: 1, 273: 122, 277: 1, 278: 32, 279: len(pixels)}
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())
    (tmp_path / "x.tif").write_bytes(struct.pack("<2sHIH", b"II", 42, 8, len(tags)) + entries + bytes(4) + pixels)
    with Image.open(tmp_path / "x.tif") as twelve:
        twelve.save(tmp_path / "x.aec", quality=90)
    assert aecodec.info(tmp_path / "x.aec").depth == 12
    with pytest.warns(UserWarning, match="12-bit samples are rounded"):
        assert abs(np.asarray(Image.open(tmp_path / "x.aec"), float).mean() - 191) < 3


def test_a_transparent_colour_is_of_the_file_s_depth(tmp_path):
    """A loaded picture no longer knows its file; the colour of 16 bits does."""
    array = np.full((16, 16, 3), 255, np.uint8)
    array[:8] = 40
    image = Image.fromarray(array)
    image.info["transparency"] = (65535, 65535, 65535)
    with pytest.warns(UserWarning, match="16-bit"):
        alpha = aecodec.decode(aecodec.encode(image)).getchannel("A")
    assert alpha.getpixel((0, 0)) == 255
    assert alpha.getpixel((0, 15)) == 0


def _mean_of(image: Image.Image) -> float:
    return float(np.asarray(image, float).mean())


def test_an_opened_picture_goes_to_other_processes(stored, file):
    """A data loader pickles its pictures, and a worker that gets nothing is hard to find."""
    expected = np.asarray(aecodec.decode(file))
    for again in (pickle.loads(pickle.dumps(Image.open(stored))), copy.deepcopy(Image.open(stored))):
        assert np.array_equal(np.asarray(again), expected)
        assert (again.size, again.mode) == ((96, 64), "RGB")
    with concurrent.futures.ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        assert pool.submit(_mean_of, Image.open(stored)).result() == expected.mean()


def test_text_as_xmp_costs_no_exif(tmp_path, photo):
    """It was called damaged EXIF, and that was gone."""
    exif = Image.Exif()
    exif[0x010F] = "maker"
    photo(20, 10).save(tmp_path / "x.aec", xmp=XMP.decode(), exif=exif)
    with Image.open(tmp_path / "x.aec") as image:
        assert image.info["xmp"] == XMP
        assert image.getexif()[0x010F] == "maker"
