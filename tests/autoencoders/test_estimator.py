"""``Autoencoder`` as an estimator of scikit-learn: what it takes, gives back and refuses."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import torch
from PIL import Image

from aecodec.autoencoders import KINDS, Autoencoder, load
from aecodec.autoencoders.kinds import Conv, Deep, Variational
from aecodec.autoencoders.store import save
from aecodec.errors import AecodecError, DeviceError, PictureError, SettingsError, WeightsError


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["linear", "deep", "vae"])
def test_scikit_learn_agrees_that_it_is_an_estimator(kind):
    """A pipeline, a grid search or a clone would fail in some corner."""
    from sklearn.utils.estimator_checks import check_estimator

    check_estimator(Autoencoder(kind, 2, epochs=2))


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_has_the_whole_interface(digits, kind, tmp_path):
    """A kind that cannot be sampled, stored or opened again would break the commands that take any kind."""
    few = digits[:40]
    model = Autoencoder(kind, 4, epochs=1).fit(few)
    codes = model.transform(few)
    assert codes.shape == (40, len(model.get_feature_names_out()))
    assert codes.dtype == np.float32
    again = model.inverse_transform(codes)
    assert again.shape == few.shape
    assert 0 <= again.min() <= again.max() <= 255
    scores = model.score_samples(few)
    assert scores.shape == (40,)
    assert np.isfinite(scores).all()
    assert model.score(few) == pytest.approx(scores.mean())
    assert model.sample(3, seed=1).shape == (3, 8, 8)
    assert np.array_equal(model.sample(3, seed=1), model.sample(3, seed=1))
    assert not np.array_equal(model.sample(3, seed=1), model.sample(3, seed=2))
    save(model, tmp_path / "model")
    for other in (pickle.loads(pickle.dumps(model)), load(tmp_path / "model")):
        assert np.array_equal(other.transform(few), codes)
        assert np.array_equal(other.score_samples(few), scores)
        assert np.array_equal(other.sample(3, seed=1), model.sample(3, seed=1))


def test_a_seed_gives_the_same_model_and_leaves_the_callers_own_numbers_alone(digits):
    """An experiment could not be repeated, or would change with a model that is fitted on the way."""
    torch.manual_seed(5)
    wanted = torch.rand(3)
    torch.manual_seed(5)
    codes = [Autoencoder("vae", 4, epochs=2, seed=seed).fit_transform(digits[:100]) for seed in (1, 1, 2)]
    assert torch.equal(torch.rand(3), wanted)
    assert np.array_equal(codes[0], codes[1])
    assert not np.array_equal(codes[0], codes[2])


def test_paths_images_and_arrays_are_the_same_pictures(photo, tmp_path):
    """Data sets are folders here and arrays there."""
    images = [photo(40, 30, seed=seed) for seed in range(6)]
    paths = []
    for number, image in enumerate(images):
        paths.append(tmp_path / f"{number}.png")
        image.save(paths[-1])
    model = Autoencoder("conv", 4, size=16, epochs=1).fit(paths)
    assert model.form_.shape == (16, 16, 3)
    codes = model.transform(paths)
    assert np.array_equal(model.transform(images), codes)
    assert np.array_equal(model.transform([np.asarray(image) for image in images]), codes)
    mixed = [str(paths[0]), images[1], np.asarray(images[2])]
    assert np.allclose(model.transform(mixed), codes[:3], atol=1e-6)  # a smaller batch is summed in another order
    assert model.inverse_transform(codes).shape == (6, 16, 16, 3)


def test_gray_pictures_make_a_gray_model(photo):
    """Three equal channels would cost three times as much and tint what is sampled."""
    gray = [photo(20, 20, "L", seed=seed) for seed in range(4)]
    model = Autoencoder("conv", 2, size=16, epochs=1).fit(gray)
    assert model.form_.shape == (16, 16, 1)
    assert model.transform([photo(20, 20)]).shape == (1, 2)


@pytest.mark.parametrize("side", [5, 12, 17])
@pytest.mark.parametrize("kind", ["conv", "vq-vae", "vae"])
def test_pictures_have_any_size(kind, side):
    """A size that is no power of two would end in a traceback about shapes."""
    pictures = np.random.default_rng(0).integers(0, 256, (6, side, side + 3, 3), np.uint8)
    model = Autoencoder(kind, 3, epochs=1).fit(pictures)
    assert model.inverse_transform(model.transform(pictures)).shape == pictures.shape


def test_reconstructions_are_in_the_levels_of_what_was_learned(digits):
    """Whoever subtracts a reconstruction from a picture needs both in one unit."""
    for pictures in (digits, digits / 255, digits.astype(np.float32) * 100 - 7):
        model = Autoencoder("tied", 16, epochs=3).fit(pictures)
        again = model.inverse_transform(model.transform(pictures))
        assert np.square(again - pictures).mean() < 0.2 * pictures.var()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"kind": "deeper"}, "unknown kind 'deeper'"),
        ({"loss": "mae"}, "unknown loss 'mae'"),
        ({"loss": "ssim"}, "at least 11 pixels"),
        ({"latent": 0}, "latent must be at least 1"),
        ({"held_out": 1}, "held_out must be a share below 1"),
        ({"learning_rate": 0}, "learning_rate must be above 0"),
        ({"device": "tpu"}, "device must be"),
    ],
)
def test_a_setting_that_cannot_work_is_named(digits, settings, message):
    """The traceback would be torch's, hours later or never."""
    with pytest.raises(SettingsError, match=message):
        Autoencoder(**settings).fit(digits)


def test_what_does_not_fit_the_model_is_refused(digits, table):
    """Codes of other pictures would be numbers without a meaning."""
    model = Autoencoder("conv", 2, epochs=1).fit(digits[:20])
    with pytest.raises(PictureError, match="as those of fit"):
        model.transform(digits[:5, :6])
    with pytest.raises(PictureError, match="a table"):
        model.transform(table)
    with pytest.raises(PictureError, match=r"picture 1 \(missing.png\)"):
        model.transform([digits[0], "missing.png"])
    with pytest.raises(ValueError, match="a code has 2 numbers, not 3"):
        model.inverse_transform(np.zeros((1, 3)))
    with pytest.raises(SettingsError, match="need pictures"):
        Autoencoder("conv").fit(table)
    if not torch.cuda.is_available():
        with pytest.raises(DeviceError):
            Autoencoder("conv", device="cuda").fit(digits[:20])


def test_a_run_goes_on_where_it_was_interrupted(digits, tmp_path, monkeypatch):
    """A night's training would be lost, or end with other weights than it would have had."""
    monkeypatch.setattr("aecodec.autoencoders.fitting.SAVE_EVERY", 0)
    settings = {"kind": Variational(anneal=0.5), "latent": 3, "epochs": 4, "held_out": 0.2}
    whole = Autoencoder(**settings).fit(digits[:90])
    for epoch in Autoencoder(**settings).fit_epochs(digits[:90], tmp_path):
        if epoch.epoch == 2:
            break
    resumed = Autoencoder(**settings)
    assert [epoch.epoch for epoch in resumed.fit_epochs(digits[:90], tmp_path)] == [1, 2, 3, 4]
    assert np.array_equal(resumed.transform(digits), whole.transform(digits))
    lines = (tmp_path / "log.csv").read_text().splitlines()
    assert lines[0] == "epoch,loss,validation,seconds"
    assert [line.split(",")[0] for line in lines[1:]] == ["1", "2", "3", "4"]
    for other in (digits[1:91], digits[:90]):
        with pytest.raises(AecodecError, match="other settings or pictures"):
            list(Autoencoder(**{**settings, "latent": 2 + (other is digits[1:91])}).fit_epochs(other, tmp_path))


def test_a_damaged_folder_is_refused(digits, tmp_path):
    """Weights of which a part is missing give pictures that are wrong in silence."""
    with pytest.raises(WeightsError, match="not an autoencoder"):
        load(tmp_path)
    save(Autoencoder(Deep((8,)), 2, epochs=1).fit(digits[:20]), tmp_path)
    tensors = tmp_path / "model.safetensors"
    tensors.write_bytes(tensors.read_bytes()[:-1] + b"x")
    with pytest.raises(WeightsError, match="not the file that its card describes"):
        load(tmp_path)


def test_a_loss_of_pictures_is_what_is_minimised(photo):
    """``loss="ssim"`` that trains by the squared error would be a label and nothing else."""
    images = [photo(24, 24, seed=seed) for seed in range(16)]
    scores = {}
    for loss in ("mse", "bce", "ssim", "perceptual"):
        model = Autoencoder(Conv(width=8), 8, size=24, loss=loss, epochs=15).fit(images)
        assert model.history_[-1].loss < model.history_[0].loss
        scores[loss] = model
    truth = Autoencoder(Conv(width=8), 8, size=24, loss="ssim", epochs=1).fit(images)
    assert truth.score(images) < scores["ssim"].score(images)
    restored = {loss: model.inverse_transform(model.transform(images)) for loss, model in scores.items()}
    wanted = np.stack([np.asarray(image.convert("RGB")) for image in images])
    from aecodec import metrics

    def ssim(pictures):
        pairs = zip(pictures.round().astype(np.uint8), wanted, strict=True)
        return np.mean([metrics.ssim(a, b) for a, b in pairs])

    assert ssim(restored["ssim"]) > ssim(restored["mse"])


def test_a_pipeline_reads_codes(digits):
    """The point of an estimator."""
    from sklearn.datasets import load_digits
    from sklearn.linear_model import RidgeClassifier
    from sklearn.pipeline import make_pipeline

    labels = load_digits().target
    model = make_pipeline(Autoencoder("tied", 16, epochs=10), RidgeClassifier()).fit(digits[:1000], labels[:1000])
    assert model.score(digits[1000:], labels[1000:]) > 0.8


def test_an_image_of_one_colour_is_learned(tmp_path):
    """A constant set has a standard deviation of 0, by which nothing may be divided."""
    flat = [Image.new("RGB", (16, 16), (10, 200, 30))] * 4
    model = Autoencoder("conv", 2, size=16, epochs=1).fit(flat)
    assert np.isfinite(model.transform(flat)).all()
