"""Metadata from file to file: bytes that come out as they went in, whatever the formats, or a word about what does not."""

from __future__ import annotations

import io
import struct
import warnings
import zlib

import numpy as np
import pytest
from PIL import Image, ImageCms

import aecodec
import aecodec.pillow
from aecodec.container import metadata
from aecodec.container.bitstream import EXIF, ICC, RESOURCES as RESOURCES_CHUNK, XMP
from aecodec.container.exif import resolution
from aecodec.images import embedded, icc, jpeg, reading, tiff, writing, xmp

ARTIST = "Jürgen Müller, 写真".encode() + b"\0"


def camera_exif(order: str = "<") -> bytes:
    """EXIF as a camera writes it: maker's notes whose places count from the TIFF header, and a thumbnail behind a gap."""

    def directory(at: int, entries: list[tuple[int, int, int, bytes]], following: int = 0) -> None:
        table = struct.pack(f"{order}H", len(entries))
        for tag, kind, count, value in entries:
            table += struct.pack(f"{order}HHI", tag, kind, count) + value
        block[at : at + len(table) + 4] = table + struct.pack(f"{order}I", following)

    def place(value: int) -> bytes:
        return struct.pack(f"{order}I", value)

    def short(value: int) -> bytes:
        return struct.pack(f"{order}H", value) + b"\0\0"

    thumbnail = io.BytesIO()
    Image.new("RGB", (16, 12), "red").save(thumbnail, "JPEG")
    block = bytearray(700 + len(thumbnail.getvalue()))
    block[:8] = (b"II*\0" if order == "<" else b"MM\0*") + place(8)
    block[200 : 200 + len(ARTIST)] = ARTIST
    block[240:246] = b"Canon\0"
    directory(8, [(0x10F, 2, 6, place(240)), (0x112, 3, 1, short(6)), (0x13B, 2, len(ARTIST), place(200)),
                  (0x8769, 4, 1, place(300))], 600)  # fmt: skip
    directory(300, [(0x927C, 7, 60, place(400))])
    directory(400, [(6, 2, 24, place(436))])
    block[436:460] = b"IMG:EOS 20D JPEG".ljust(24, b"\0")
    directory(600, [(0x103, 3, 1, short(6)), (0x201, 4, 1, place(700)), (0x202, 4, 1, place(len(block) - 700))])
    block[700:] = thumbnail.getvalue()
    return b"Exif\0\0" + bytes(block)


def saved(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def chunks_of(data: bytes, strip: bool = False) -> dict[bytes, bytes]:
    """What an encoder would keep of a file."""
    image = reading.open_picture(data, None)
    reading.load(image, None, None)
    return metadata.read(image, strip)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("order", ["<", ">"])
def test_exif_is_kept_byte_for_byte(photo, kind, order):
    """A photographer's name, makers' notes and the thumbnail: a writer that sorts them anew breaks them."""
    exif = camera_exif(order)
    assert chunks_of(saved(photo(20, 10), kind, exif=exif))[EXIF] == exif


def test_exif_passes_through_an_encoded_file(photo, reopened):
    """The whole way, as a library user goes it."""
    exif = camera_exif()
    decoded = aecodec.decode(aecodec.encode(reopened(photo(20, 10), "JPEG", exif=exif)))
    assert decoded.info["exif"] == exif
    again = io.BytesIO()
    decoded.save(again, "AEC")
    assert Image.open(again).info["exif"] == exif


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_exif_leaves_byte_for_byte(photo, kind):
    """On the way out, too."""
    image = photo(20, 10)
    image.info["exif"] = exif = camera_exif()
    written = Image.open(io.BytesIO(writing.save(image, kind))).info["exif"]
    assert written.removeprefix(b"Exif\0\0") == exif.removeprefix(b"Exif\0\0")


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA"])
def test_a_tiff_keeps_exif_where_it_was(photo, mode, order):
    """A TIFF's own directory takes over EXIF's; makers' notes count from the file's first byte and must not move."""
    image = photo(300, 400).convert(mode)
    exif = camera_exif(order)
    image.info.update(exif=exif, icc_profile=b"profile", xmp=b"<xmp/>")
    data = writing.save(image, "TIFF")
    assert data[8 : len(exif) - 6] == exif[14:]
    written = Image.open(io.BytesIO(data))
    found = {tag: entry.value for tag, entry in next(tiff.Tiff(data).pages()).items()}
    assert found[0x13B] == ARTIST
    assert written.getexif()[0x112] == 6
    assert (written.info["icc_profile"], written.info["xmp"]) == (b"profile", b"<xmp/>")
    written.load()  # turns it
    assert np.array_equal(np.asarray(written), np.asarray(image.transpose(Image.Transpose.ROTATE_270)))


def test_an_avif_keeps_exif_but_for_the_orientation(photo):
    """Which an AVIF has in a place of its own."""
    Image.init()
    if "AVIF" not in Image.SAVE:
        pytest.skip("this Pillow writes no AVIF")
    image = photo(20, 10)
    image.info["exif"] = exif = camera_exif()
    assert metadata.with_orientation(exif, 1).removeprefix(b"Exif\0\0") in writing.save(image, "AVIF")


def test_every_tag_of_a_tiff_becomes_exif(photo):
    """A TIFF has no EXIF block: one is made, with the bytes of every tag that does not say how the pixels lie."""
    exif = camera_exif()
    block = tiff.Tiff(exif[6:])
    private = tiff.Entry(65000, 7, 5, b"\0\1\2\3\4")
    source = photo(20, 10)
    entries = [tiff.with_children(block, entry) for entry in next(block.pages()).values()]
    made = b"Exif\0\0II*\0\x08\0\0\0" + tiff.serialise([*entries, private], "<", 8)
    data = tiff.write(np.asarray(source), exif=made)
    found = tiff.Tiff(chunks_of(data)[EXIF][6:])
    page = next(found.pages())
    assert {tag: entry.value for tag, entry in page.items() if tag != 0x8769} == {
        0x10F: b"Canon\0", 0x13B: ARTIST, 65000: b"\0\1\2\3\4"
    }  # without the orientation, which is spent  # fmt: skip
    notes = found.directory(int(page[0x8769].numbers("<")[0]))[0][0x927C]
    assert notes.value == exif[6 + 400 : 6 + 460]


def test_exif_that_a_program_changed_is_the_changed_one(photo, reopened):
    """Whoever deletes the place from a picture must not find it again in the file."""
    image = reopened(photo(20, 10), "JPEG", exif=camera_exif())
    exif = image.getexif()
    assert metadata.exif_of(image) == camera_exif()
    del exif[0x13B]
    exif.get_ifd(0x8825)[1] = "N"
    kept = Image.Exif()
    kept.load(metadata.exif_of(image))
    assert 0x13B not in kept
    assert kept[0x10F] == "Canon"
    assert kept.get_ifd(0x8825)[1] == "N"


def test_text_that_a_program_adds_is_utf_8(photo):
    """Pillow writes "?" for it."""
    image = photo(20, 10)
    image.getexif()[0x13B] = "Jürgen 写真"
    assert "Jürgen 写真".encode() in metadata.exif_of(image)


def test_exif_of_imagemagick_is_kept(photo, reopened):
    """Its PNGs have EXIF as hexadecimal text."""
    from PIL.PngImagePlugin import PngInfo

    exif = camera_exif()
    texts = PngInfo()
    texts.add_text("Raw profile type exif", f"\nexif\n{len(exif):8}\n{exif.hex()}", zip=True)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert chunks_of(saved(photo(20, 10), "PNG", pnginfo=texts))[EXIF] == exif


@pytest.mark.parametrize("block", [b"Exif\0\0hello", b"Exif\0\0", b"hello"])
def test_exif_that_is_none_is_told(photo, block):
    """And costs no picture."""
    image = photo(20, 10)
    image.info["exif"] = block
    with pytest.warns(UserWarning, match="damaged"):
        assert EXIF not in metadata.read(image, strip=False)


def test_strip_drops_it(photo):
    """The one who asks for it does not want the name in the file."""
    assert EXIF not in chunks_of(saved(photo(20, 10), "JPEG", exif=camera_exif()), strip=True)


IPTC = b"".join(b"\x1c\2" + bytes([kind]) + struct.pack(">H", len(text)) + text
                for kind, text in ((120, b"A caption"), (25, b"keyword"), (116, b"(c) Jane")))  # fmt: skip
OTHER = b"8BIM" + struct.pack(">HHI", 0x040A, 0, 1) + b"\1\0"  # a copyright flag
RESOURCES = OTHER + jpeg.resources_with(IPTC)


def description(name: str, text: str) -> str:
    return f'<rdf:Description xmlns:{name}="http://{name}/" {name}:note="{text}"/>'


def packet(*descriptions: str) -> bytes:
    start = '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    return (start + "".join(descriptions) + "</rdf:RDF></x:xmpmeta>").encode()


def with_extended_xmp(data: bytes, extended: bytes) -> bytes:
    """A JPEG with a packet that refers to another, as Adobe's specification has it."""
    note = description("xmpNote", "").replace(
        'xmpNote:note=""', f'xmpNote:HasExtendedXMP="{jpeg.identity_of(extended)}" xmpNote:rating="5"'
    )
    return jpeg.with_segments(data, xmp=packet(note), extended=extended)


def in_and_out(data: bytes, kind: str) -> tuple[Image.Image, bytes, str]:
    """A file's chunks as a decoder hands them on, written as another format; and what was said on the way."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        chunks = chunks_of(data)
        image = Image.new("RGB", (20, 10))
        image.info.update(embedded.info_of(chunks, False))
        written = writing.save(image, kind)
    return image, written, "; ".join(str(warning.message) for warning in caught)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize("source", ["JPEG", "PNG", "TIFF"])
def test_iptc_is_kept_or_told(photo, source, kind):
    """A press picture's caption and copyright stand in nothing else."""
    image = photo(20, 10)
    image.info["image_resources"] = RESOURCES
    decoded, data, said = in_and_out(writing.save(image, source), kind)
    assert decoded.info["image_resources"] == RESOURCES
    if kind == "WEBP":
        assert said == "not kept in WEBP: IPTC"
    else:
        assert said == ""
        assert in_and_out(data, "JPEG")[0].info["image_resources"] == RESOURCES
        assert jpeg.iptc_of(RESOURCES) == IPTC


def test_iptc_of_a_tiff_without_resources_is_kept():
    """Scanners' programs write the record alone."""
    data = tiff.write(np.zeros((4, 4, 3), np.uint8), iptc=IPTC)
    assert jpeg.iptc_of(in_and_out(data, "JPEG")[0].info["image_resources"]) == IPTC


def test_iptc_of_a_decoded_picture_is_saved_again(photo, reopened):
    """Through Pillow's plugin, of a picture that is loaded and closed."""
    data = jpeg.with_segments(saved(photo(20, 10), "JPEG"), resources=RESOURCES)
    image = Image.open(io.BytesIO(data))
    image.load()
    assert reopened(image, "AEC").info["image_resources"] == RESOURCES


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP"])
def test_extended_xmp_is_kept(photo, kind):
    """Over 64 kB a JPEG has XMP in pieces; all of it is one packet elsewhere, and nothing refers to what is not there."""
    extended = packet(description("dc", "x" * 70_000), description("more", "y" * 300))
    source = with_extended_xmp(saved(photo(20, 10), "JPEG"), extended)
    decoded, data, said = in_and_out(source, kind)
    assert said == ""
    assert b"HasExtendedXMP" not in decoded.info["xmp"]
    for part in (b'rating="5"', b"x" * 70_000, b"y" * 300):
        assert part in decoded.info["xmp"]
    again, _, said = in_and_out(data, "PNG")
    assert said == ""
    for part in (b'rating="5"', b"x" * 70_000, b"y" * 300):
        assert part in again.info["xmp"]


def test_extended_xmp_that_is_damaged_is_told(photo):
    """And the note that there is more goes with it."""
    source = with_extended_xmp(saved(photo(20, 10), "JPEG"), packet(description("dc", "x" * 70_000)))
    place = source.rindex(jpeg.EXTENDED) + len(jpeg.EXTENDED)
    broken = source[:place] + b"0" * 32 + source[place + 32 :]
    decoded, _, said = in_and_out(broken, "JPEG")
    assert "extended XMP" in said
    assert b"HasExtendedXMP" not in decoded.info["xmp"]
    assert b'rating="5"' in decoded.info["xmp"]


@pytest.mark.parametrize("bad", [b"<a", b"<!DOCTYPE a [<!ENTITY b 'c'>]>" + packet(description("dc", "&b;")), b""])
def test_xmp_that_is_no_xml_is_not_put_together(bad):
    """A document type may hold entities that unfold to gigabytes."""
    good = packet(description("dc", "a"))
    assert xmp.merge(good, bad) is None
    assert xmp.merge(bad, good) is None
    assert xmp.split(bad, 100) is None
    assert xmp.split(packet(description("dc", "a" * 999)), 100) is None


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "BMP", "WEBP"])
@pytest.mark.parametrize("source", ["JPEG", "PNG", "TIFF", "BMP"])
@pytest.mark.parametrize("exif", [b"", camera_exif()])
def test_a_resolution_is_kept(photo, source, kind, exif):
    """A page that was scanned at 300 dots an inch is printed at its size because of that number."""
    options = {"exif": exif} if exif and source != "BMP" else {}
    decoded, data, said = in_and_out(saved(photo(20, 10), source, dpi=(300, 150), **options), kind)
    assert decoded.info["dpi"] == pytest.approx((300, 150), abs=0.02)
    if kind == "WEBP":
        own = resolution(Image.open(io.BytesIO(data)).info["exif"])
        assert own == pytest.approx((300, 150), abs=0.02) or "the resolution" in said
    else:
        assert Image.open(io.BytesIO(data)).info["dpi"] == pytest.approx((300, 150), abs=0.02)
    if options and source != "TIFF":
        assert decoded.info["exif"] == exif


def test_what_lies_behind_a_jpeg_is_told(photo):
    """The video of a motion picture is often the better half."""
    plain = saved(photo(20, 10), "JPEG")
    assert in_and_out(plain + bytes(40), "PNG")[2] == ""
    assert "a motion video" in in_and_out(plain + b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom" + bytes(999), "PNG")[2]
    assert "another picture" in in_and_out(plain + plain, "PNG")[2]
    assert "7 bytes behind" in in_and_out(plain + b"trailer", "PNG")[2]
    note = packet('<rdf:Description xmlns:hdrgm="http://ns.adobe.com/hdr-gain-map/1.0/" hdrgm:Version="1.0"/>')
    assert "gain map" in in_and_out(jpeg.with_segments(plain, xmp=note) + plain, "PNG")[2]


def test_segments_that_nobody_knows_are_told(photo):
    """Content credentials, and whatever a maker thought of."""
    plain = saved(photo(20, 10), "JPEG")
    for code, body, name in ((0xEB, b"JP\0\1jumb", "content credentials"), (0xE3, b"Meta\0\0", "APP3 Meta")):
        segment = bytes([0xFF, code]) + struct.pack(">H", len(body) + 2) + body
        assert name in in_and_out(plain[:2] + segment + plain[2:], "PNG")[2]


ADOBE_RGB = (0.3127, 0.3290, 0.64, 0.33, 0.21, 0.71, 0.15, 0.06)


def to_srgb(pixel: tuple[int, ...], points: tuple[float, ...], gamma: float) -> np.ndarray:
    """What a pixel is in sRGB where both whites are the same: by the definition, in double precision."""

    def matrix(values: tuple[float, ...]) -> np.ndarray:
        columns = np.array([[x / y, 1, (1 - x - y) / y] for x, y in zip(values[2::2], values[3::2], strict=True)]).T
        x, y = values[:2]
        return columns * np.linalg.solve(columns, [x / y, 1, (1 - x - y) / y])

    srgb = (0.3127, 0.3290, 0.64, 0.33, 0.30, 0.60, 0.15, 0.06)
    light = np.linalg.solve(matrix(srgb), matrix(points) @ (np.array(pixel) / 255) ** gamma).clip(0, 1)
    return 255 * np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)


@pytest.mark.parametrize("pixel", [(150, 160, 140), (90, 100, 95), (255, 255, 255), (180, 120, 130)])
def test_chromaticities_become_a_profile(photo, pixel):
    """Adobe RGB without one is shown as sRGB, which is pale."""
    points, gamma = ADOBE_RGB, 2.19921875
    image = Image.new("RGB", (20, 10), pixel)
    data = saved(image, "PNG")
    more = struct.pack(">8I", *(round(value * 100_000) for value in points))
    parts = ((b"cHRM", more), (b"gAMA", struct.pack(">I", round(100_000 / gamma))))
    chunks = b"".join(struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
                      for kind, body in parts)  # fmt: skip
    decoded, _, said = in_and_out(data[:33] + chunks + data[33:], "PNG")
    assert said == ""
    profile = ImageCms.ImageCmsProfile(io.BytesIO(decoded.info["icc_profile"]))
    shown = ImageCms.profileToProfile(image, profile, ImageCms.createProfile("sRGB")).getpixel((0, 0))
    assert np.abs(np.array(shown) - to_srgb(pixel, points, gamma)).max() <= 1


def test_profiles_of_gray_and_of_nothing():
    """What is sRGB needs no profile, and what is no triangle of primaries gets none."""
    assert icc.of_chromaticities((0.3127, 0.329, 0.64, 0.33, 0.3, 0.6, 0.15, 0.06), 0.45455, False) == b""
    assert icc.of_chromaticities((), None, False) == b""
    assert icc.of_chromaticities((0.3,) * 8, 0.45455, False) == b""
    assert icc.of_chromaticities((0.0,) * 8, 0.45455, False) == b""
    linear = ImageCms.ImageCmsProfile(io.BytesIO(icc.of_chromaticities((), 1.0, True)))
    shown = ImageCms.profileToProfile(Image.new("L", (1, 1), 55), linear, ImageCms.createProfile("sRGB"), outputMode="RGB")
    assert shown.getpixel((0, 0)) == pytest.approx((128, 128, 128), abs=1)


@pytest.mark.parametrize(
    ("signal", "has_profile", "said"),
    [((9, 16), False, "PQ"), ((9, 18), False, "HLG"), ((1, 13), False, ""), ((2, 2), False, ""), ((12, 13), True, ""),
     ((250, 13), False, "CICP 250/13")],
)  # fmt: skip
def test_colours_by_cicp_become_a_profile_or_are_told(photo, signal, has_profile, said):
    """A P3 photograph keeps its red; an HDR one looks dull, which somebody should know."""
    data = saved(photo(20, 10), "PNG")
    body = b"cICP" + bytes([*signal, 0, 1])
    data = data[:33] + struct.pack(">I", 4) + body + struct.pack(">I", zlib.crc32(body)) + data[33:]
    decoded, _, message = in_and_out(data, "JPEG")
    assert ("icc_profile" in decoded.info) == has_profile
    assert (said in message) if said else message == ""


@pytest.mark.parametrize("order", ["<", ">"])
def test_a_thumbnail_is_blanked_where_the_picture_was_repaired(order):
    """Whoever paints a face out of a picture does not want it in the thumbnail."""
    exif = camera_exif(order)
    assert b"JFIF" in exif
    blank = metadata.without_thumbnail(exif)
    assert b"JFIF" not in blank
    assert len(blank) == len(exif)
    kept = Image.Exif()
    kept.load(blank)
    assert not kept.get_ifd(1)
    assert ARTIST in blank
    for cut in range(0, len(exif), 37):  # damaged: no error
        metadata.without_thumbnail(exif[:cut])


def test_metadata_of_gif_and_bmp_is_kept(photo):
    """Pillow looks for none there: XMP and profiles are extensions of a GIF, and a BMP of version 5 has a profile."""
    profile = bytes(range(256)) * 2
    extensions = b"\x21\xff\x0bXMP DataXMP<x/>" + b"\x01" + bytes(range(255, -1, -1)) + b"\0"
    extensions += (
        b"\x21\xff\x0bICCRGBG1012"
        + b"".join(bytes([len(part)]) + part for part in (profile[:255], profile[255:510], profile[510:]))
        + b"\0"
    )
    data = saved(photo(20, 10).quantize(16), "GIF")
    place = 13 + 3 * 2 ** ((data[10] & 7) + 1)
    chunks = chunks_of(data[:place] + extensions + data[place:])
    assert chunks[XMP] == b"<x/>"
    assert chunks[ICC] == profile
    data = saved(photo(20, 10), "BMP")
    header = struct.pack("<I", 124) + data[18:54] + bytes(16) + b"DEBM" + bytes(36 + 12 + 4)
    header += struct.pack("<III", 124 + len(data) - 54, len(profile), 0)
    start = 14 + len(header)
    chunks = chunks_of(data[:10] + struct.pack("<I", start) + header + data[54:] + profile)
    assert len(header) == 124
    assert chunks[ICC] == profile


def test_a_format_without_gray_gets_colour(photo):
    """A gray picture is no reason to refuse QOI."""
    Image.init()
    if "QOI" not in Image.SAVE:
        pytest.skip("this Pillow writes no QOI")
    image = photo(20, 10, "L")
    written = Image.open(io.BytesIO(writing.save(image, "QOI")))
    assert np.array_equal(np.asarray(written.convert("L")), np.asarray(image))


def test_metadata_of_a_psd_is_kept():
    """Photoshop's own files have the same resources as its JPEGs, and EXIF and XMP among them; a spot colour is told."""
    exif = camera_exif()
    resolution = struct.pack(">IHHIHH", 300 << 16, 1, 1, 150 << 16, 1, 1)
    parts = ((0x0404, IPTC), (1058, exif[6:]), (1060, b"<x/>"), (1005, resolution))
    resources = b"".join(jpeg.resource(kind, body) for kind, body in parts)
    data = b"8BPS" + struct.pack(">H6xHIIHH", 1, 5, 4, 5, 8, 3) + bytes(4)
    data += struct.pack(">I", len(resources)) + resources + bytes(4) + bytes(2) + bytes(5 * 4 * 5)
    with pytest.warns(UserWarning, match="not kept: . more channel"):
        chunks = chunks_of(data)
    assert chunks[EXIF] == exif
    assert chunks[XMP] == b"<x/>"
    assert jpeg.iptc_of(chunks[RESOURCES_CHUNK]) == IPTC
    assert metadata.from_chunks(chunks)["dpi"] == (300, 150)


@pytest.mark.parametrize(
    ("signal", "has_profile", "said"), [((12, 13), True, ""), ((9, 16), False, "PQ"), ((1, 13), False, "")]
)
def test_colours_of_an_avif_become_a_profile_or_are_told(photo, signal, has_profile, said):
    """Telephones write P3, and HDR, without a profile."""
    Image.init()
    if "AVIF" not in Image.SAVE:
        pytest.skip("this Pillow writes no AVIF")
    data = saved(photo(20, 10), "AVIF")
    place = data.index(b"colrnclx") + 8
    decoded, _, message = in_and_out(data[:place] + struct.pack(">HH", *signal) + data[place + 4 :], "JPEG")
    assert ("icc_profile" in decoded.info) == has_profile
    assert (said in message) if said else message == ""


def test_pictures_beside_the_picture_of_a_heic_are_told(photo):
    """A depth map and a gain map were bought with the telephone."""
    image = photo(20, 10)
    image.format = "HEIF"
    image.info |= {"aux": {"urn:com:apple:photo:2020:aux:hdrgainmap": [7]}, "depth_images": [object()]}
    with pytest.warns(UserWarning, match=r"not kept: a depth map, auxiliary picture \(hdrgainmap\), a motion video"):
        embedded.complete(image, b"\0\0\0\x18ftypheic" + bytes(99) + b"mpvd")
