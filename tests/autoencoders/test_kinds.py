"""What makes each kind what it is, against another implementation, a closed form or a kind without it."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from aecodec.autoencoders import Autoencoder
from aecodec.autoencoders.bottlenecks import kl_to_standard_normal, perplexity
from aecodec.autoencoders.coding import open_coder
from aecodec.autoencoders.damage import DAMAGES
from aecodec.autoencoders.fitting import seeded
from aecodec.autoencoders.kinds import (
    KINDS,
    Adversarial,
    Contractive,
    Conv,
    Deep,
    Denoising,
    Linear,
    Quantised,
    Sparse,
    Variational,
    options_of,
    with_options,
)
from aecodec.autoencoders.kinds.contractive import exact, hutchinson
from aecodec.autoencoders.kinds.sparse import active_share
from aecodec.autoencoders.measures import checkerboard, frechet, mmd_test
from aecodec.errors import SettingsError


@pytest.fixture(scope="module")
def blobs():
    """Pictures (600, 12, 12) uint8 of a soft spot anywhere: two numbers say everything about one."""
    rng = np.random.default_rng(3)
    y, x = np.mgrid[:12, :12]
    centres = rng.uniform(2, 9, (600, 2, 1, 1))
    spots = np.exp(-((y - centres[:, 0]) ** 2 + (x - centres[:, 1]) ** 2) / 8)
    return (255 * spots).astype(np.uint8)


def error(model, pictures, seen=None):
    """Return the mean squared error of reconstructions, as a share of the variance around the mean picture."""
    again = model.inverse_transform(model.transform(pictures if seen is None else seen))
    return np.square(again - pictures).mean() / np.square(pictures - pictures.mean(0)).mean()


@pytest.mark.parametrize("latent", [2, 8])
@pytest.mark.parametrize("tied", [False, True], ids=["linear", "tied"])
def test_a_linear_one_spans_the_principal_components(table, tied, latent):
    """Baldi and Hornik: anything else is an optimiser that has not arrived."""
    from scipy.linalg import subspace_angles
    from sklearn.decomposition import PCA

    model = Autoencoder(Linear(tied), latent, epochs=30).fit(table)
    pca = PCA(latent).fit(table)
    spanned = model.model_.decode(torch.eye(latent)) - model.model_.mean
    assert np.degrees(subspace_angles(spanned.numpy().T, pca.components_.T)).max() < 1
    wanted = np.square(pca.inverse_transform(pca.transform(table)) - table).mean()
    assert np.square(model.inverse_transform(model.transform(table)) - table).mean() == pytest.approx(wanted, rel=0.01)
    if tied:
        matrix = model.model_.encoder[1].weight
        assert torch.allclose(matrix @ matrix.T, torch.eye(latent), atol=0.02)


def test_a_linear_one_reconstructs_new_pictures_as_principal_components_do():
    """With more pixels than pictures an encoder keeps what it began with, and codes of new pictures are full of noise."""
    from sklearn.decomposition import PCA

    rng = np.random.default_rng(0)
    spread = rng.normal(size=(4, 400)) * [[8], [6], [4], [3]]
    known, fresh = (rng.normal(size=(40, 4)) @ spread + rng.normal(size=(40, 400)) for _ in range(2))
    model, pca = Autoencoder("linear", 4, epochs=20).fit(known), PCA(4).fit(known)
    wanted = np.square(pca.inverse_transform(pca.transform(fresh)) - fresh).mean()
    assert np.square(model.inverse_transform(model.transform(fresh)) - fresh).mean() == pytest.approx(wanted, rel=0.02)


@pytest.mark.slow
def test_a_deep_one_finds_how_many_numbers_there_are(blobs):
    """Two numbers make a spot: the error falls until there are two, a linear model needs many more, and depth helps."""
    found = {latent: error(Autoencoder(Deep((64, 32)), latent, epochs=40).fit(blobs), blobs) for latent in (1, 2, 3)}
    assert found[1] > 4 * found[2]
    assert found[2] < 3 * found[3]
    assert error(Autoencoder("tied", 2, epochs=20).fit(blobs), blobs) > 4 * found[2]
    assert error(Autoencoder(Deep(()), 2, epochs=40).fit(blobs), blobs) > 4 * found[2]


@pytest.mark.slow
def test_a_stacked_one_learns_layer_by_layer_and_then_together(blobs):
    """Without the second part it would be a pile of layers that do not know of each other."""
    model = Deep((64, 32), stacked=True).build((144,), 2)
    x = torch.from_numpy(blobs.reshape(-1, 144)[:64] / np.float32(255))
    model.standardise(x)

    def trained(share):
        model.zero_grad()
        model.loss(x, lambda a, b: (a - b).square().mean(1), share).backward()
        return [name for name, value in model.named_parameters() if value.grad is not None and value.grad.any()]

    outer = ["encoder.1.weight", "encoder.1.bias", "decoder.4.weight", "decoder.4.bias"]
    inner = ["encoder.5.weight", "encoder.5.bias", "decoder.0.weight", "decoder.0.bias"]
    assert trained(0.0) == outer
    assert trained(0.25) == inner
    assert len(trained(0.5)) == 12
    fitted = Autoencoder(Deep((64, 32), stacked=True), 2, epochs=60).fit(blobs)
    assert error(fitted, blobs) < 0.5 * error(Autoencoder("tied", 2, epochs=10).fit(blobs), blobs)


@pytest.mark.parametrize("up", ["pixelshuffle", "resize-conv", "transposed", "pixelshuffle with its usual weights"])
def test_a_decoder_starts_without_a_checkerboard_or_with_one(up, monkeypatch):
    """An upsampler of another name would be the same one, and its pattern on flat places would have to be unlearned."""
    if " " in up:
        monkeypatch.setattr("aecodec.autoencoders.networks._smooth", lambda layer: layer)
    shares = []
    for seed in range(6):
        with seeded(seed), torch.no_grad():
            model = Conv(width=16, upsampler=up.split()[0]).build((1, 32, 32), 4)
            pictures = model.decoder(torch.randn(8, 4)).permute(0, 2, 3, 1)
        shares.append(checkerboard(pictures.numpy()[:, 4:-4, 4:-4]))
    if up in ("pixelshuffle", "resize-conv"):
        assert np.median(shares) < 0.01
    else:
        assert np.median(shares) > 0.05


@pytest.mark.slow
def test_a_trained_decoder_has_lost_its_checkerboard(blobs):
    """Pictures of a fitted model would show a grid."""
    for up in ("pixelshuffle", "resize-conv", "transposed"):
        model = Autoencoder(Conv(width=8, upsampler=up), 4, epochs=15).fit(blobs)
        again = model.inverse_transform(model.transform(blobs))[..., None]
        assert checkerboard(again) < 1e-3


@pytest.mark.slow
def test_a_sparse_one_cannot_copy_what_has_no_structure_and_without_its_penalty_it_can():
    """An overcomplete layer that may use every unit learns the identity: it copies noise, and has learned nothing."""
    rng = np.random.default_rng(0)
    noise, fresh = (rng.uniform(0, 1, (600, 12)).astype(np.float32) for _ in range(2))
    found = {}
    for weight in (0.0, 0.3):
        model = Autoencoder(Sparse(factor=4, weight=weight), 12, epochs=60, learning_rate=5e-3).fit(noise)
        found[weight] = error(model, fresh)
    assert found[0.0] < 0.06
    assert found[0.3] > 3 * found[0.0]


@pytest.mark.slow
def test_a_sparse_one_describes_pictures_with_few_units(table):
    """A penalty that leaves all units on is none."""
    found = {}
    for weight in (0.0, 0.3):
        model = Autoencoder(Sparse(factor=4, weight=weight), 32, epochs=40, batch=128).fit(table)
        found[weight] = active_share(torch.from_numpy(model.transform(table))), error(model, table)
    assert found[0.3][0] < 0.5 * found[0.0][0]
    assert found[0.3][0] < 0.25
    assert found[0.3][1] < 0.35


@pytest.mark.slow
def test_the_kl_penalty_sets_how_often_a_unit_is_active(table):
    """``target`` would be a number without a meaning."""
    means = []
    for target in (0.05, 0.2):
        model = Autoencoder(Sparse(factor=4, weight=0.1, penalty="kl", target=target), 16, epochs=25, batch=128).fit(table)
        codes = model.transform(table)
        assert ((codes >= 0) & (codes <= 1)).all()
        means.append(codes.mean())
    assert 0.04 < means[0] < 0.13
    assert 0.17 < means[1] < 0.27


def jacobians(encoder, x):
    """Return squared Frobenius norms (B,) of an encoder's Jacobian by autograd, number by number."""
    return torch.stack([torch.autograd.functional.jacobian(encoder, row[None]).square().sum() for row in x])


@pytest.mark.parametrize("hidden", [(), (16,)], ids=["one layer", "deep"])
def test_the_contractive_penalty_is_the_norm_of_the_jacobian(hidden):
    """A formula that is wrong by a factor would be a weight that means something else."""
    with seeded(0):
        model = Contractive(hidden=hidden).build((10,), 5)
        x = torch.randn(4, 10)
        wanted = jacobians(model.encoder, x)
        if hidden:
            found = hutchinson(model.encoder, x, draws=4000)
            assert torch.allclose(found, wanted, rtol=0.05)
            model.encoder.zero_grad()
            hutchinson(model.encoder, x).sum().backward()
            assert all(value.grad is not None for name, value in model.encoder.named_parameters() if "weight" in name)
        else:
            found = exact(model.encoder[1].weight, model.encoder(x))
            assert torch.allclose(found, wanted, rtol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("hidden", [(), (64,)], ids=["one layer", "deep"])
def test_a_contractive_code_moves_less_under_noise(table, hidden):
    """It is the promise of the kind; moves are in units of the code's own spread, or a small code would be enough."""
    noisy = table + np.random.default_rng(1).normal(0, 0.1, table.shape).astype(np.float32)
    moves = []
    for weight in (0.0, 3.0):
        model = Autoencoder(Contractive(weight, hidden), 16, epochs=30, batch=128).fit(table)
        codes = model.transform(table)
        spread = np.square(codes - codes.mean(0)).sum(1).mean()
        moves.append(np.square(model.transform(noisy) - codes).sum(1).mean() / spread)
    assert moves[1] < 0.75 * moves[0]


@pytest.mark.slow
@pytest.mark.parametrize(("damage", "strength"), [("gaussian", 0.3), ("salt-pepper", 0.3), ("masking", 0.4)])
def test_a_denoising_one_restores_what_a_plain_one_does_not(digits, damage, strength):
    """Both have the same network: all of the gain is that of training on damaged pictures."""
    values = torch.from_numpy(digits[:, None] / np.float32(255))
    with seeded(4):
        seen = DAMAGES[damage](values, strength).numpy()[:, 0] * 255
    errors = []
    for kind in (Deep((64,)), Denoising(damage, strength, network="dense")):
        model = Autoencoder(kind, 32, epochs=30, batch=128, learning_rate=4e-3).fit(digits.astype(np.float32))
        errors.append(error(model, digits, seen.astype(np.float32)))
    assert errors[1] < 0.75 * errors[0]


def test_damage_grows_and_is_what_its_name_says():
    """A curriculum that starts at full strength is none."""
    x = torch.full((200, 3, 16, 16), 0.5)
    kind = Denoising("gaussian", 0.2, curriculum=0.5)
    with seeded(0):
        spreads = [float(kind.spoil(x, share).std()) for share in (0.0, 0.25, 0.5, 1.0)]
        assert spreads == pytest.approx([0, 0.1, 0.2, 0.2], rel=0.02)
        salted = DAMAGES["salt-pepper"](x, 0.3)
        assert [(salted == value).float().mean().item() for value in (0, 0.5, 1)] == pytest.approx(
            [0.15, 0.7, 0.15], abs=0.01
        )
        masked = DAMAGES["masking"](x, 0.25)
        assert (masked == 0).float().mean().item() == pytest.approx(0.25, abs=0.01)
        assert torch.equal(masked[:, 0], masked[:, 2])


def test_the_divergence_is_that_of_torchs_distributions():
    """A sign or a factor of two turns the bound into a number that bounds nothing."""
    with seeded(0):
        mean, log_variance = torch.randn(50, 3), torch.randn(50, 3)
    normal = torch.distributions.Normal
    wanted = torch.distributions.kl_divergence(normal(mean, (log_variance / 2).exp()), normal(0.0, 1.0))
    assert torch.allclose(kl_to_standard_normal(mean, log_variance), wanted, atol=1e-5)


@pytest.mark.slow
def test_the_bound_rises_and_stays_below_the_likelihood():
    """On data of a linear Gaussian model the likelihood is known: a bound above it is no bound."""
    rng = np.random.default_rng(0)
    mixing = rng.normal(0, 1, (2, 8))
    rows = (rng.normal(0, 1, (1500, 2)) @ mixing + rng.normal(0, 0.5, (1500, 8))).astype(np.float32)
    model = Autoencoder(Variational(network="dense"), 2, epochs=40, batch=128).fit(rows)
    with torch.no_grad(), seeded(0):
        inner = torch.from_numpy(model.form_.inward(rows))
        net = model.model_.train()  # the bound is of drawn codes
        error = lambda a, b: (a - b).square().mean(1)  # noqa: E731
        bound = float(torch.stack([net.scores(inner, error).mean() for _ in range(20)]).mean())
    scale = model.form_.high - model.form_.low
    covariance = (mixing.T @ mixing + 0.25 * np.eye(8)) / scale**2
    truth = np.linalg.slogdet(2 * np.pi * covariance)[1] / 2 + 4  # the entropy in nats
    assert bound < -truth + 0.1
    assert bound > -truth - 1.0
    early = Autoencoder(Variational(network="dense"), 2, epochs=2).fit(rows)
    assert early.score(rows) < model.score(rows)


@pytest.mark.slow
def test_beta_free_bits_and_annealing_do_what_they_say(digits):
    """Codes that carry nothing (posterior collapse), or a beta that changes nothing."""

    def divergence(kind):
        model = Autoencoder(kind, 8, epochs=25, batch=128).fit(digits)
        inner = torch.from_numpy(model.values(digits))
        mean, log_variance = model.model_.bottleneck.posterior(model.model_.raw(inner))
        return kl_to_standard_normal(mean, log_variance).mean(0), error(model, digits)

    plain, strong = (divergence(Variational(beta, network="dense")) for beta in (1.0, 8.0))
    free, _ = divergence(Variational(8.0, free_bits=0.5, network="dense"))
    assert strong[0].sum() < 0.6 * plain[0].sum()
    assert strong[1] > plain[1]
    assert free.min() > 0.3 > strong[0].min()
    penalty = Variational(1.0, anneal=0.5).build((4,), 2).penalty
    assert penalty.anneal == 0.5


@pytest.mark.slow
def test_what_a_variational_one_draws_is_more_like_the_pictures(digits):
    """Draws of N(0, I) must look like pictures, which is what a plain autoencoder cannot promise."""
    train, held = digits[:1300].astype(np.float32), digits[1300:].reshape(497, -1)
    scores = {}
    for name, kind in {"vae": Variational(network="dense"), "plain": Deep((256, 64))}.items():
        model = Autoencoder(kind, 8, epochs=30, batch=128).fit(train)
        with seeded(1):
            drawn = model.inverse_transform(torch.randn(497, 8).numpy()).reshape(497, -1)
        scores[name] = frechet(drawn, held)
    assert scores["vae"] < 0.5 * scores["plain"]


@pytest.mark.slow
def test_a_codebook_is_used_and_its_numbers_go_through_rans(digits):
    """Entries that nobody chooses are bits for nothing; a count of bits that no decoder can read is a guess."""
    model = Autoencoder(Quantised(codes=32, halvings=1, width=16), 8, epochs=12).fit(digits[:1300])
    train, held = (torch.from_numpy(model.values(part)) for part in (digits[:1300], digits[1300:]))
    codes = model.transform(digits[1300:])
    symbols = model.model_.bottleneck.symbols(torch.from_numpy(codes))
    assert perplexity(symbols, 32) > 12
    assert error(model, digits[1300:]) < 0.3
    coder = open_coder(model.model_, train)
    data = coder.encode(codes)
    assert np.array_equal(coder.decode(data, len(codes)), codes)
    prior = model.model_.prior
    chances = prior.probabilities(prior.beside)[prior.left_of(symbols), symbols]
    ideal = -chances.log2().sum().item()
    assert ideal < 8 * len(data) < 1.01 * ideal + 200
    assert 8 * len(data) < 0.95 * len(held) * 16 * np.log2(perplexity(symbols, 32))


def test_dead_entries_start_again():
    """A codebook that collapses at its start never comes back."""
    book = Quantised(codes=16).build((1, 16, 16), 2).bottleneck.train()
    with seeded(0):
        vectors = torch.randn(200, book.places * 2)
        for _ in range(3):
            book(vectors)
        book.entries[:12] = 100.0  # nobody chooses these
        for _ in range(150):
            book(vectors)
    assert (book.entries.abs() < 5).all()
    assert perplexity(book.symbols(vectors), 16) > 12


def test_gradients_go_straight_through_the_codebook():
    """The encoder would learn nothing from the picture."""
    book = Quantised(codes=4).build((1, 16, 16), 3).bottleneck.eval()
    raw = torch.randn(2, book.places * 3, requires_grad=True)
    code, cost = book(raw)
    weights = torch.randn_like(code)
    (code * weights).sum().backward()
    assert torch.allclose(raw.grad, weights)
    assert torch.allclose(cost, (raw - book.code(raw)).square().mean(1))


def test_samples_of_the_bigrams_have_their_statistics():
    """Pictures drawn from another distribution than the one that was counted."""
    prior = Quantised(codes=3, halvings=1).build((1, 16, 16), 2).prior
    with seeded(0):
        grid = (torch.arange(8)[:, None] * 2 + torch.arange(8) + torch.randint(0, 3, (400, 1, 1))) % 3
        prior.fit(grid.flatten(1))  # beside each stands the next, and below it the one after the next
        drawn = prior.sample(400).reshape(-1, 8, 8)
    assert ((drawn[:, :, 1:] - drawn[:, :, :-1]) % 3 == 1).float().mean() > 0.98
    assert ((drawn[:, 1:] - drawn[:, :-1]) % 3 == 2).float().mean() > 0.98


@pytest.mark.slow
def test_an_adversarial_code_is_distributed_like_the_prior(digits):
    """Draws of the prior would be codes that the decoder has never seen."""
    prior = np.random.default_rng(0).normal(size=(300, 2))
    found = {}
    for name, kind in {"adversarial": Adversarial(network="dense"), "plain": Deep()}.items():
        codes = Autoencoder(kind, 2, epochs=120, batch=128).fit(digits[:600]).transform(digits[:600])
        found[name] = codes, mmd_test(codes[:300], prior)[0], mmd_test(codes[:60], prior[:60])[1]
    codes, discrepancy, chance = found["adversarial"]
    assert np.abs(codes.mean(0)).max() < 0.25
    assert np.abs(np.cov(codes.T) - np.eye(2)).max() < 0.4
    assert discrepancy < 0.05 * found["plain"][1]
    assert chance > 0.02 > found["plain"][2]


@pytest.mark.parametrize("kind", KINDS)
def test_options_go_to_a_card_and_back(kind):
    """A model would be opened as another one than was fitted."""
    assert with_options(kind, options_of(kind)) == KINDS[kind]


def test_an_option_that_a_kind_does_not_have_is_refused():
    """A typing error would be a model with the default."""
    with pytest.raises(SettingsError, match="unknown option 'betta' of vae; it has beta, anneal"):
        with_options("vae", {"betta": 2.0})
    with pytest.raises(SettingsError, match=r"must be like 1\.0"):
        with_options("vae", {"beta": "much"})
    assert with_options("vae", {"beta": 2}) == Variational(beta=2.0)
