"""The codecs that reports compare: what they write, and what a machine does not have."""

from __future__ import annotations

import io
import pickle
import sys

import numpy as np
import pytest
from PIL import Image, features

from aecodec.errors import AecodecError, WeightsError
from aecodec.eval.codecs import JPEG_QUALITIES, is_aecodec, jpeg, names, open_codecs, with_qualities
from aecodec.metrics import psnr


def test_jpeg_is_420_without_metadata(photo):
    """The anchor of every comparison: at 4:4:4, or with a profile inside, it would make other codecs look better."""
    picture = photo(96, 64)
    picture.info["icc_profile"] = bytes(500)
    data = jpeg(picture, 50)
    assert b"ICC_PROFILE" not in data
    with Image.open(io.BytesIO(data)) as decoded:
        assert decoded.format == "JPEG"
        assert [component[1:3] for component in decoded.layer] == [(2, 2), (1, 1), (1, 1)]  # sampling (h, v)
    plain = io.BytesIO()
    picture.save(plain, "JPEG", quality=50, subsampling=2)
    assert len(data) < len(plain.getvalue())


@pytest.mark.parametrize("name", [name for name in names() if name != "aecodec"])
def test_more_quality_is_more_bytes_and_less_error(photo, name):
    """A codec whose scale runs the other way, or whose settings do not reach it, would be drawn as a scribble."""
    found, absent = open_codecs([name])
    if absent:
        pytest.skip(absent[name])
    (codec,) = found
    assert codec.name == name
    picture = photo(64, 64)
    files = [codec.encode(picture, quality) for quality in (codec.qualities[0], codec.qualities[-2])]
    errors = [psnr(np.asarray(picture), np.asarray(codec.decode(data).convert("RGB"))) for data in files]
    assert len(files[0]) < len(files[1])
    assert errors[0] + 3 < errors[1]


def test_the_standard_peers_and_what_they_are():
    """The table of the documentation could not be made again, or a weaker anchor would stand under the same name."""
    found, absent = open_codecs([name for name in names() if name != "aecodec"])
    if absent:
        pytest.skip(str(absent))
    assert {codec.name: codec.settings for codec in found} == {
        "jpeg": "4:2:0, optimize",
        "webp": "method 6",
        "avif": "4:2:0, speed 6",
        "avif444": "4:4:4, speed 4, tune=ssim",
        "avif444-iq": "4:4:4, speed 4, tune=iq",
        "jxl": "effort 7",
        "jpeg2000": "irreversible 9/7, quality in dB",
    }
    for codec in found:
        assert ("libaom" in codec.version) == codec.name.startswith("avif")
        if codec.name.startswith("avif"):
            assert codec.qualities == (15, 30, 45, 60, 75, 88, 95)


def test_avif_has_the_options_that_its_settings_name(photo):
    """An option that Pillow or libaom passes over would leave the anchor as it is by default."""
    picture = photo(96, 64)
    found, absent = open_codecs(["avif", "avif444", "avif444-iq"])
    if absent:
        pytest.skip(str(absent))
    files = {codec.name: codec.encode(picture, 60) for codec in found}

    def plain(**options):
        buffer = io.BytesIO()
        picture.save(buffer, "AVIF", quality=60, max_threads=1, **options)
        return buffer.getvalue()

    assert files["avif"] == plain()
    assert files["avif444"] == plain(subsampling="4:4:4", speed=4, advanced={"tune": "ssim"})
    assert files["avif444-iq"] == plain(subsampling="4:4:4", speed=4, advanced={"tune": "iq"})
    assert len(set(files.values())) == 3
    # The sequence header is the same but for 4:4:4, which AV1's configuration box has as two bits that are not set.
    flags = {name: data[data.index(b"av1C") + 6] >> 2 & 3 for name, data in files.items()}
    assert flags == {"avif": 3, "avif444": 0, "avif444-iq": 0}


def test_a_libaom_without_the_tune_is_told(monkeypatch):
    """Every measurement of avif444-iq would fail on an older Pillow, or be of another tune."""
    real = Image.Image.save

    def save(self, file, format, **options):
        if options.get("advanced") == {"tune": "iq"}:
            raise ValueError("Failed to encode image: Invalid codec-specific option")  # as Pillow says it
        real(self, file, format, **options)

    monkeypatch.setattr(Image.Image, "save", save)
    found, absent = open_codecs(["avif444", "avif444-iq"])
    assert [codec.name for codec in found] == ["avif444"]
    assert absent == {"avif444-iq": "needs a Pillow whose libaom knows tune=iq (3.12 or newer)"}


def test_a_codec_survives_the_way_to_another_process():
    """With -j every codec is pickled, and what is warm there must be known to be the same codec."""
    for codec in open_codecs(names())[0]:
        assert hash(pickle.loads(pickle.dumps(codec))) == hash(codec)
        assert pickle.loads(pickle.dumps(codec)) == codec


def test_aecodec_is_every_installed_weights(tiny):
    """A report that leaves weights out would not show which of them to take."""
    from aecodec import weights

    assert all(codec.qualities == (0, 15, 30, 45, 60, 75, 90) for codec in open_codecs(["aecodec"])[0])
    assert all(is_aecodec(codec.name) for codec in open_codecs(["aecodec"])[0])
    assert not any(is_aecodec(name) for name in names() if name != "aecodec")
    assert [codec.name for codec in open_codecs(["aecodec"])[0]] == [f"aecodec-{name}" for name in weights.names()]
    (codec,), _ = open_codecs(["aecodec"], [str(tiny[1])])
    assert codec.name == "aecodec-tiny"
    assert weights.load(str(tiny[1])).id in codec.version


def test_unknown_names_are_refused(tmp_path):
    """A typing error would silently give a report without the codec that was asked for."""
    with pytest.raises(AecodecError, match="no codec 'jepg'; the codecs are aecodec, jpeg, webp"):
        open_codecs(["jepg"])
    with pytest.raises(WeightsError):
        open_codecs(["aecodec"], ["no-such-weights"])


def test_absent_plugins_have_a_reason(monkeypatch):
    """A machine without a plugin would crash, or show a report without saying what is missing."""
    monkeypatch.setitem(sys.modules, "pillow_jxl", None)
    monkeypatch.setitem(sys.modules, "pillow_avif", None)
    monkeypatch.setattr(features, "check", lambda name: False)
    found, absent = open_codecs(["jpeg", "webp", "avif", "jxl", "jpeg2000"])
    assert [codec.name for codec in found] == ["jpeg"]
    assert absent["jxl"] == "needs pip install pillow-jxl-plugin"
    assert list(absent) == ["webp", "avif", "jxl", "jpeg2000"]


def test_qualities_by_number_and_by_name():
    """Five points where eight were asked for, or JPEG's scale on JPEG 2000, would be measured for an hour."""
    found, _ = open_codecs(["jpeg", "webp"])

    def qualities(*wanted):
        return [codec.qualities for codec in with_qualities(found, wanted)]

    assert qualities() == [codec.qualities for codec in found]
    assert qualities("2") == [(5, 92), (1, 95)]
    assert qualities("10,50") == [(10, 50)] * 2
    assert qualities("10,50", "webp=3,4") == [(10, 50), (3, 4)]
    assert qualities("webp=2") == [JPEG_QUALITIES, (1, 95)]
    assert qualities("99") == qualities()


@pytest.mark.parametrize("wanted", ["", "x", "1", "0", "5,5", "9,1", "nan,1", "png=1,2", "jpeg=", "1,inf", "10,20.5"])
def test_bad_qualities_are_refused(wanted):
    """They would show as a curve that does not rise, after all the encoding."""
    with pytest.raises(AecodecError, match="qualities"):
        with_qualities(open_codecs(["jpeg"])[0], [wanted])
