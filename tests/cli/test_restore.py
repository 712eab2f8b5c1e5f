"""The commands that restore, and ``encode --restore``: what they write, and what they leave alone."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import aecodec
from aecodec import weights
from aecodec.defaults import DEFAULT_WEIGHTS, DENOISER, INPAINTER, SHARPENER
from aecodec.metrics import psnr
from aecodec.restore import fill
from aecodec.restore.damage import Blur, Downscale, Gaussian, RandomPixels, Scratches


@pytest.fixture
def given(tiny, restorer):
    """The options that name the network and the decoder."""
    return "--weights", restorer, "--decoder", str(tiny[1])


@pytest.fixture
def pictures(tmp_path, photo):
    """noisy.png, and hurt.png with its mask.png."""
    noisy = Gaussian(25)(np.array(photo(75, 50)), np.random.default_rng(0))
    Image.fromarray(noisy).save(tmp_path / "noisy.png")
    hurt = np.array(photo(75, 50))
    missing = Scratches(4)(50, 75, np.random.default_rng(0))
    hurt[missing] = 0
    Image.fromarray(hurt).save(tmp_path / "hurt.png")
    Image.fromarray(missing).save(tmp_path / "mask.png")
    return tmp_path


def pixels(path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image)


@pytest.mark.slow
@pytest.mark.parametrize("task", ["denoise", "deblur"])
def test_restoring_is_the_same_as_encode_and_decode(cli, pictures, given, tiny, restorer, task):
    """One picture must not have two results, by the one way and by the other; and the file is an ordinary one."""
    assert cli(task, *given, "noisy.png", "clean.png").exit_code == 0
    options = ("--weights", tiny[1], "--restore", task, "--restorer", restorer, "-q", "100")
    assert cli("encode", *options, "noisy.png", "clean.aec").exit_code == 0
    assert aecodec.info((pictures / "clean.aec").read_bytes()).weights == weights.load(str(tiny[1])).id
    assert cli("decode", "--weights", tiny[1], "clean.aec", "decoded.png").exit_code == 0
    assert np.array_equal(pixels("clean.png"), pixels("decoded.png"))


def test_each_command_asks_the_network_for_another_thing(cli, pictures, given):
    """A soft background that denoise sharpens is as wrong as noise that deblur takes for the subject."""
    assert cli("denoise", *given, "noisy.png", "clean.png").exit_code == 0
    assert cli("deblur", *given, "noisy.png", "sharp.png").exit_code == 0
    assert not np.array_equal(pixels("clean.png"), pixels("sharp.png"))


@pytest.mark.parametrize(("scale", "size"), [("2", (74, 42)), ("1.5", (56, 32))])
def test_upscale_enlarges_all_that_has_a_size(cli, pictures, given, photo, scale, size):
    """A print that comes out twice as large, or a viewer that trusts EXIF and cuts the picture."""
    image = photo(37, 21)
    image.putalpha(Image.linear_gradient("L").resize((37, 21)))
    exif = image.getexif()
    exif[0x011A] = exif[0x011B] = 150.0
    exif[0x0128] = 2
    exif.get_ifd(0x8769).update({0xA002: 37, 0xA003: 21})
    image.save("small.png", exif=exif)
    assert cli("upscale", "-s", scale, *given, "small.png", "large.png").exit_code == 0
    with Image.open("large.png") as large:
        assert (large.size, large.mode) == (size, "RGBA")
        found = large.getexif()
        assert float(found[0x011A]) == float(found[0x011B]) == 150 * float(scale)
        assert (found.get_ifd(0x8769)[0xA002], found.get_ifd(0x8769)[0xA003]) == size
        alpha = np.asarray(large.getchannel("A")).astype(float)
    assert np.abs(alpha - np.asarray(image.getchannel("A").resize(size, Image.Resampling.BICUBIC))).max() == 0


def test_upscaled_pictures_say_so_in_their_names(cli, pictures, given, tmp_path):
    """Large and small ones in one folder, or two scales, would replace each other."""
    for scale in ("2", "1.5"):
        result = cli("upscale", "-s", scale, "--update", *given, "--output-dir", "out", "noisy.png")
        assert result.exit_code == 0, result.stderr
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["noisy-1.5x.png", "noisy-2x.png"]
    before = (tmp_path / "out" / "noisy-2x.png").stat().st_mtime_ns
    assert cli("upscale", "--update", *given, "--output-dir", "out", "noisy.png").exit_code == 0
    assert (tmp_path / "out" / "noisy-2x.png").stat().st_mtime_ns == before
    assert "limit" in cli("upscale", *given, "--max-pixels", "10000", "noisy.png", "out.png").stderr


def test_a_known_sigma_is_told_to_the_encoder(cli, pictures, given):
    """An option that changes nothing is a promise broken."""
    for sigma in ((), ("--sigma", "25")):
        assert cli("denoise", *given, *sigma, "-f", "noisy.png", f"{len(sigma)}.png").exit_code == 0
    assert not np.array_equal(pixels("0.png"), pixels("2.png"))


@pytest.mark.parametrize("mode", ["L", "LA", "RGBA", "P", "1"])
def test_any_mode_and_its_metadata_come_through(cli, pictures, given, photo, mode):
    """Gray stays gray, alpha stays as it was, and the profile of a camera stays with its picture."""
    image = photo(37, 21, "RGB").convert(mode)
    if "A" in mode:
        image.putalpha(Image.fromarray(np.arange(37 * 21).reshape(21, 37).astype(np.uint8)))
    exif = image.getexif()
    exif[0x010F] = "maker"
    image.save("in.png", exif=exif)
    Image.new("L", (37, 21)).save("mask.png")
    with Image.open("mask.png") as mask:
        mask.paste(255, (5, 5, 9, 9))
        mask.save("mask.png")
    for args in (["denoise", *given, "in.png"], ["inpaint", *given, "in.png", "mask.png"]):
        assert cli(*args, "-f", "out.png").exit_code == 0
        with Image.open("out.png") as out:
            assert (out.size, out.mode) == ((37, 21), {"P": "RGB", "1": "L"}.get(mode, mode))
            assert out.getexif()[0x010F] == "maker"
            if "A" in mode:
                assert np.array_equal(np.asarray(out.getchannel("A")), np.asarray(image.getchannel("A")))


def test_what_is_known_stays_bit_for_bit(cli, pictures, given, photo):
    """Only what the mask says is missing may change: also where colour hides under full transparency, and in each tile."""
    for size, alpha in (((75, 50), 0), ((1100, 40), None)):
        image = photo(*size)
        if alpha is not None:
            image.putalpha(Image.new("L", size, alpha))
        image.save("in.png")
        missing = Scratches(3)(*size[::-1], np.random.default_rng(1))
        Image.fromarray(missing).save("mask.png")
        for method in ("learned", "classical"):
            result = cli("inpaint", *given, "--method", method, "--json", "-f", "in.png", "mask.png", "out.png")
            assert json.loads(result.stdout)["missing"] == missing.sum()
            before, after = pixels("in.png"), pixels("out.png")
            assert np.array_equal(before[~missing], after[~missing])
            assert not np.array_equal(before[missing], after[missing])


def test_the_mask_lies_on_the_picture_as_it_is_shown(cli, pictures, photo):
    """Whoever paints a mask over a photograph sees it upright, however the camera was held."""
    for orientation in range(1, 9):
        image = photo(24, 16)
        image.getexif()[0x0112] = orientation
        image.save("in.png", exif=image.getexif())
        shown = (16, 24) if orientation > 4 else (24, 16)
        mask = Image.new("L", shown)
        mask.paste(255, (0, 0, 5, 2))
        mask.save("mask.png")
        assert cli("inpaint", "--method", "classical", "-f", "in.png", "mask.png", "out.png").exit_code == 0
        with Image.open("in.png") as before, Image.open("out.png") as after:
            assert after.getexif()[0x0112] == orientation
            exif = Image.Exif()
            exif[0x0112] = orientation
            pair = []
            for each in (before, after):
                each.info["exif"] = exif.tobytes()
                pair.append(np.asarray(aecodec.container.metadata.upright(each)).astype(int))
        changed = np.abs(pair[0] - pair[1]).max(-1) > 0
        assert changed[:2, :5].any()
        assert not changed[2:].any()
        assert not changed[:, 5:].any()


def test_an_empty_mask_gives_the_picture_back(cli, pictures, given, photo):
    """Not even a JPEG is written again, which would cost it quality for nothing."""
    photo(75, 50).save("in.jpg")
    Image.new("L", (75, 50)).save("mask.png")
    for name in ("in.jpg", "hurt.png"):
        out = name.replace(".", "-out.")
        assert cli("inpaint", *given, name, "mask.png", out).exit_code == 0
        assert (pictures / out).read_bytes() == (pictures / name).read_bytes()
    assert cli("inpaint", *given, "in.jpg", "mask.png", "out.png").exit_code == 0
    assert np.array_equal(pixels("out.png"), pixels("in.jpg"))


def test_masks_that_cannot_be(fails, pictures, photo):
    """One line names the mask and what is wrong with it."""
    Image.new("L", (75, 50), 255).save("white.png")
    Image.new("L", (50, 75)).save("turned.png")
    (pictures / "text.png").write_text("hello")
    for mask, message in (
        ("white.png", "the mask is white everywhere"), ("turned.png", "the mask is 50 x 75 and the picture 75 x 50"),
        ("text.png", "the mask text.png: not a picture"), ("none.png", "the mask none.png: no such file"),
    ):  # fmt: skip
        assert message in fails(1, "inpaint", "--method", "classical", "hurt.png", mask, "out.png")
    assert not (pictures / "out.png").exists()


def test_weights_that_are_not_there_are_told_with_the_way_to_them(fails, pictures, monkeypatch, tmp_path):
    """Where none are installed this line is all that a user gets; it must lead on."""
    few = tmp_path / "installed"
    shutil.copytree(weights.cards.INSTALLED / DEFAULT_WEIGHTS, few / DEFAULT_WEIGHTS)
    monkeypatch.setattr(weights.cards, "INSTALLED", few)
    for command, name in (
        ("denoise noisy.png", DENOISER),
        ("deblur noisy.png", SHARPENER),
        ("upscale noisy.png", SHARPENER),
        ("inpaint hurt.png mask.png", INPAINTER),
        ("encode --restore denoise noisy.png", DENOISER),
        ("encode --restore deblur noisy.png", SHARPENER),
    ):
        args = command.split()
        line = fails(1, *args, "out.aec" if args[0] == "encode" else "out.png")
        assert f"no weights named {name!r}" in line
        assert "aecodec train denoise" in line


@pytest.mark.slow
def test_the_installed_weights_sharpen_enlarge_and_fill(cli):
    """A command that opened the network of another one would make pictures that look a little wrong."""
    clean = np.array(Image.open(Path(__file__).parents[2] / "samples" / "astronaut.png").convert("RGB"))[:192, 128:384]
    missing = RandomPixels(0.25)(*clean.shape[:2], np.random.default_rng(1))
    Image.fromarray(missing).save("mask.png")
    rng = np.random.default_rng(1)
    blurred, halved = Blur("gaussian", 1.6)(clean, rng), Downscale(2)
    smooth = fill.smooth(clean, missing)
    for given, args, floor in (
        (blurred, "deblur given.png", psnr(clean, blurred)),
        (halved.small(clean, rng), "upscale given.png", psnr(clean, halved(clean, rng))),
        (np.where(missing[..., None], np.uint8(0), clean), "inpaint given.png mask.png", psnr(clean, smooth)),
    ):
        Image.fromarray(given).save("given.png")
        assert cli(*args.split(), "out.png", "--force").exit_code == 0
        assert psnr(clean, pixels("out.png")) > floor + 1


@pytest.mark.slow
def test_the_installed_weights_take_noise_away(cli, photo):
    """Weights that went wrong on their way into the package would pass every test of the untrained ones."""
    clean = np.array(photo(192, 128))
    noisy = Gaussian(25)(clean, np.random.default_rng(1))
    Image.fromarray(noisy).save("given.png")
    assert cli("denoise", "given.png", "out.png").exit_code == 0
    assert psnr(clean, pixels("out.png")) > psnr(clean, noisy) + 6
    for args, name in (((), "plain.aec"), (("--restore", "denoise"), "restored.aec")):
        assert cli("encode", *args, "given.png", name).exit_code == 0
    assert Path("restored.aec").stat().st_size < 0.5 * Path("plain.aec").stat().st_size


def test_weights_of_another_kind_are_refused(fails, pictures, restorer, tmp_path):
    """One line must say which of the two was taken for the other; damaged ones must not restore anything."""
    assert "a codec's model, not a network that restores" in fails(
        1, "denoise", "--weights", "photo", "noisy.png", "out.png"
    )
    line = fails(1, "encode", "--weights", restorer, "noisy.png", "out.aec")
    assert "a network that restores, not a codec's model" in line
    copy = shutil.copytree(restorer, tmp_path / "copy")
    data = bytearray((copy / weights.TENSORS).read_bytes())
    data[-1] ^= 1
    (copy / weights.TENSORS).write_bytes(data)
    assert "not the file that its card describes" in fails(1, "denoise", "--weights", copy, "noisy.png", "out.png")


def test_restoring_weights_are_shown_and_verified(cli, restorer):
    """What a network costs stands in its card."""
    output = cli("weights", "show", restorer).stdout
    assert 'task = "restore"' in output
    assert "unet = " in output
    assert "content hash as the card states" in cli("weights", "verify", restorer).stdout


@pytest.mark.parametrize(
    "args",
    [
        "denoise --sigma 0 noisy.png out.png",
        "denoise --sigma nan noisy.png out.png",
        "denoise noisy.png",
        "upscale -s 1 noisy.png out.png",
        "upscale -s 7 noisy.png out.png",
        "inpaint hurt.png mask.png",
        "inpaint - - out.png",
        "inpaint --method guess hurt.png mask.png out.png",
        "encode --restore denoise --psnr 30 noisy.png out.aec",
        "encode --restore denoise --ssimulacra2 70 noisy.png out.aec",
    ],
)
def test_usage_errors(cli, pictures, args):
    """An impossible command line is reported with exit code 2 and does nothing at all."""
    assert cli(*args.split()).exit_code == 2
    assert not (pictures / "out.png").exists()


def test_nothing_is_overwritten(fails, pictures):
    """Neither the picture nor the mask over which somebody sat for an hour, not even with --force."""
    assert "--force replaces it" in fails(1, "denoise", "hurt.png", "noisy.png")
    classical = ("inpaint", "--method", "classical", "--force", "hurt.png", "mask.png")
    for name in ("hurt.png", "mask.png"):
        assert "is the input itself" in fails(1, *classical, name)
    assert "extension '.aec'" in fails(1, *classical, "out.aec")


def test_pipes(cli, pictures):
    """As for encode: nothing but the picture on standard output."""
    data = {name: (pictures / f"{name}.png").read_bytes() for name in ("hurt", "mask")}
    results = [
        cli("inpaint", "--method", "classical", *args, "-", stdin=data[name]).stdout_bytes
        for name, args in (("hurt", ("-", "mask.png")), ("mask", ("hurt.png", "-")))
    ]
    assert results[0] == results[1]
    assert results[0].startswith(b"\x89PNG")


def test_folders(cli, pictures, photo):
    """A tree of scans and a tree of masks of the same names; what is done is not done again."""
    for folder in ("scans/sub", "masks/sub", "out"):
        (pictures / folder).mkdir(parents=True)
    for name in ("a", "sub/b"):
        photo(24, 16).save(f"scans/{name}.bmp")
        mask = Image.new("L", (24, 16))
        mask.paste(255, (3, 3, 6, 6))
        mask.save(f"masks/{name}.png")
    command = ("inpaint", "--method", "classical", "-r", "--update", "--output-dir", "out", "scans", "masks")
    result = cli(*command)
    assert result.exit_code == 0, result.stderr
    out = pictures / "out"
    assert sorted(str(path.relative_to(out)) for path in out.rglob("*.png")) == ["a.png", "sub/b.png"]
    assert "2 up to date" in cli(*command).stderr
    assert cli(*command, "--format", "webp").exit_code == 0  # the masks stay PNG
    assert len(list(out.rglob("*.webp"))) == 2
    (pictures / "masks" / "a.png").unlink()
    result = cli(*command[:4], "-f", *command[5:])
    assert result.exit_code == 1
    assert "the mask masks/a.png: no such file" in result.stderr


@pytest.mark.parametrize("kind", ["ones", "transparent"])
def test_a_mask_that_marks_nothing_is_told(cli, pictures, kind):
    """A mask of 0 and 1, or with a hole cut into it: nothing was filled, and nothing was said."""
    mask = Image.new("L", (75, 50))
    mask.paste(1, (5, 5, 20, 20))
    if kind == "transparent":
        mask = Image.new("RGBA", (75, 50), "white")
        mask.putalpha(Image.new("L", (75, 50), 0))
    mask.save("mask.png")
    result = cli("inpaint", "--method", "classical", "hurt.png", "mask.png", "out.png")
    assert result.exit_code == 0
    assert "warning: the mask marks nothing" in result.stderr
