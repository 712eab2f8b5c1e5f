"""``aecodec denoise``, ``aecodec inpaint`` and ``encode --restore``: what they write, and what they leave alone."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import aecodec
from aecodec import weights
from aecodec.defaults import DEFAULT_WEIGHTS
from aecodec.metrics import psnr
from aecodec.restore.damage import Gaussian, Scratches


@pytest.fixture
def given(tiny, restorers):
    """given(task) are the options that name weights for it."""
    return lambda task: ("--weights", restorers[task], "--decoder", str(tiny[1]))


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
def test_denoise_is_the_same_as_encode_and_decode(cli, pictures, given, tiny, restorers):
    """One picture must not have two results, by the one way and by the other; and the file is an ordinary one."""
    assert cli("denoise", *given("denoise"), "noisy.png", "clean.png").exit_code == 0
    options = ("--weights", tiny[1], "--restore", restorers["denoise"], "-q", "100")
    assert cli("encode", *options, "noisy.png", "clean.aec").exit_code == 0
    assert aecodec.info((pictures / "clean.aec").read_bytes()).weights == weights.load(str(tiny[1])).id
    assert cli("decode", "--weights", tiny[1], "clean.aec", "decoded.png").exit_code == 0
    assert np.array_equal(pixels("clean.png"), pixels("decoded.png"))


def test_a_known_sigma_is_told_to_the_encoder(cli, pictures, given):
    """An option that changes nothing is a promise broken."""
    for sigma in ((), ("--sigma", "25")):
        assert cli("denoise", *given("denoise"), *sigma, "-f", "noisy.png", f"{len(sigma)}.png").exit_code == 0
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
    for args in (["denoise", *given("denoise"), "in.png"], ["inpaint", *given("inpaint"), "in.png", "mask.png"]):
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
            result = cli("inpaint", *given("inpaint"), "--method", method, "--json", "-f", "in.png", "mask.png", "out.png")
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
        assert cli("inpaint", *given("inpaint"), name, "mask.png", out).exit_code == 0
        assert (pictures / out).read_bytes() == (pictures / name).read_bytes()
    assert cli("inpaint", *given("inpaint"), "in.jpg", "mask.png", "out.png").exit_code == 0
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
    for command in ("denoise noisy.png", "inpaint hurt.png mask.png", "encode --restore denoise noisy.png"):
        args = command.split()
        name = "inpaint" if args[0] == "inpaint" else "denoise"
        line = fails(1, *args, "out.aec" if args[0] == "encode" else "out.png")
        assert "--weights FOLDER" in line
        assert f"aecodec train {name} " in line


@pytest.mark.slow
def test_the_installed_weights_take_noise_away(cli, photo):
    """Weights that went wrong on their way into the package would pass every test of the untrained ones."""
    clean = np.array(photo(192, 128))
    noisy = Gaussian(25)(clean, np.random.default_rng(1))
    Image.fromarray(noisy).save("given.png")
    assert cli("denoise", "given.png", "out.png").exit_code == 0
    assert psnr(clean, pixels("out.png")) > psnr(clean, noisy) + 6
    for args, name in ((("--weights", "photo-psnr"), "plain.aec"), (("--restore", "denoise"), "restored.aec")):
        assert cli("encode", *args, "given.png", name).exit_code == 0
    assert Path("restored.aec").stat().st_size < 0.5 * Path("plain.aec").stat().st_size


def test_another_decoder_is_refused(fails, pictures, given, restorers, tiny, tmp_path):
    """Latents for another decoder are a picture of nothing, in a file that looks right."""
    denoise = restorers["denoise"]
    assert "which is not installed (installed: photo" in fails(1, "denoise", "--weights", denoise, "noisy.png", "out.png")
    line = fails(1, "encode", "--restore", denoise, "noisy.png", "out.aec")
    assert f"trained for the decoder {weights.load(str(tiny[1])).id}" in line
    line = fails(1, "denoise", "--weights", restorers["inpaint"], "--decoder", tiny[1], "noisy.png", "out.png")
    assert "is for the task inpaint, not for denoise" in line
    assert "not a restoring encoder" in fails(1, "denoise", "--weights", "photo", "noisy.png", "out.png")
    assert "not a whole model" in fails(1, "encode", "--weights", denoise, "noisy.png", "out.aec")
    copy = shutil.copytree(denoise, tmp_path / "copy")
    data = bytearray((copy / weights.TENSORS).read_bytes())
    data[-1] ^= 1
    (copy / weights.TENSORS).write_bytes(data)
    assert "not the file that its card describes" in fails(
        1, "denoise", "--weights", copy, "--decoder", tiny[1], "noisy.png", "out.png"
    )


def test_restoring_weights_are_shown(cli, restorers):
    """What an encoder costs and whose it is, stands in its card; its own certificate is that of its decoder."""
    output = cli("weights", "show", restorers["denoise"]).stdout
    assert 'task = "denoise"' in output
    assert "this encoder: " in output


@pytest.mark.parametrize(
    "args",
    [
        "denoise --sigma 0 noisy.png out.png",
        "denoise --sigma nan noisy.png out.png",
        "denoise noisy.png",
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
