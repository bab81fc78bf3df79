"""The posterior of the entropy over meanings: against integrals, against truths that were simulated, and what
it makes of known probabilities.
"""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from isi_widget.answer import Answer
from isi_widget.errors import InputError
from isi_widget.uncertainty.entropy import discrete_semantic_entropy, semantic_entropy
from isi_widget.uncertainty.measure import uncertainty_of
from isi_widget.uncertainty.posterior import MeaningPosterior, posterior_of
from isi_widget.uncertainty.record import Uncertainty


def shannon(p):
    p = np.asarray(p, float)
    return float(-(p[p > 0] * np.log(p[p > 0])).sum())


def interval(posterior, level=0.95):
    tail = 50 * (1 - level)
    return tuple(np.percentile(posterior.entropies(), [tail, 100 - tail]))


class FirstWord:
    name = "first word"

    def probabilities(self, question, answers):
        first = np.array([answer.split()[0] for answer in answers])
        same = (first[:, None] == first[None, :]).astype(float)
        return np.stack([1 - same, np.zeros_like(same), same], axis=-1)


def drawn(text, p, ids=None):
    """An answer of one token that is drawn with probability p, its end half of it in nats."""
    half = math.log(p) / 2
    ids = (sum(map(ord, text)),) if ids is None else ids
    return Answer(
        text, ids, (text,), (half,), sampled_logprobs=(half,), end_logprob=half, sampled_end_logprob=half
    )


# ------------------------------------------------------------------------------------------------ the model
def unseen_mass(counts, shape, rate):
    """Integral over theta, whose prior is Gamma(shape, rate)."""
    n, k = sum(counts), len(counts)
    theta = np.exp(np.linspace(math.log(1e-4), math.log(400), 4000))
    log = (shape - 1) * np.log(theta) - rate * theta + k * np.log(theta)
    log += [math.lgamma(t) - math.lgamma(t + n) for t in theta]
    weights = np.exp(log - log.max()) * theta  # d theta = theta d log(theta)
    return float((weights * theta / (n + theta)).sum() / weights.sum())


def test_shares_of_the_seen_meanings_are_those_of_the_integral():
    """Given theta, the mean share of a meaning seen n_k times in n is n_k / (n + theta)."""
    counts = [6, 3, 1]
    unseen = 0.6 * unseen_mass(counts, 0.4, 0.32) + 0.4 * unseen_mass(counts, 2.5, 2.9)
    masses = posterior_of(np.repeat(range(3), counts)).masses(20_000)
    assert masses.sum(axis=1) == pytest.approx(1.0)
    assert masses[:, 3:].sum(axis=1).mean() == pytest.approx(unseen, abs=0.004)
    for k, count in enumerate(counts):
        assert masses[:, k].mean() == pytest.approx((1 - unseen) * count / 10, abs=0.006)


def test_samples_under_known_masses_are_those_of_rejection():
    """The view by samples: what rejection leaves of the process that knows no probabilities."""
    counts, known = np.array([7, 3]), np.array([0.3, 0.1])
    free = MeaningPosterior(counts, np.zeros(2), counts).masses(40_000)
    kept = free[(free[:, :2] >= known).all(axis=1)]
    wanted = np.column_stack([kept[:, :2], kept[:, 2:].sum(axis=1)])
    posterior = MeaningPosterior(counts, known, np.array([5, 3]))
    shares = posterior._divided((0, 0, 20_000), np.random.default_rng(0)).whole()
    masses = posterior.rest * shares
    masses[:, :2] += known
    found = np.column_stack([masses[:, :2], masses[:, 2:].sum(axis=1)])
    assert found.mean(axis=0) == pytest.approx(wanted.mean(axis=0), abs=0.015)
    assert found.std(axis=0) == pytest.approx(wanted.std(axis=0), abs=0.015)


def test_known_mass_is_kept_and_the_rest_is_split():
    posterior = posterior_of([0, 0, 1, 1], [0.5, 0.5, 0.1, 0.05], ["a", "a", "b", "c"])
    assert posterior.known == pytest.approx([0.5, 0.15]) and posterior.different.tolist() == [1, 2]
    assert posterior.counts.tolist() == [2, 2]
    assert posterior.rest == pytest.approx(0.35)
    masses = posterior.masses(5000)
    assert masses.sum(axis=1) == pytest.approx(1.0)
    assert masses[:, 0].min() >= 0.5 and masses[:, 1].min() >= 0.15
    rest = (masses[:, :2] - [0.5, 0.15]).mean(axis=0)
    assert (rest > 0.02).all() and masses[:, 2:].sum(axis=1).mean() > 0.02  # by distinct answers


def test_with_all_mass_known_it_is_exact():
    posterior = posterior_of([0, 1, 0], [0.5, 0.25, 0.25], [1, 2, 3])
    assert set(posterior.entropies()) == {shannon([0.75, 0.25])}


def test_if_each_meaning_has_one_wording_an_answer_that_is_sampled_again_adds_nothing():
    once = posterior_of([0, 1], [0.6, 0.1], ["a", "b"])
    often = posterior_of([0] * 9 + [1], [0.6] * 9 + [0.1], ["a"] * 9 + ["b"])
    assert (once.entropies() == often.entropies()).all()


def test_one_answer_in_two_meanings_of_a_record_is_an_answer_of_both():
    posterior = posterior_of([0, 1, 0], [0.5, 0.5, 0.5], ["a", "a", "a"])
    assert posterior.different.tolist() == [1, 1] and posterior.known.sum() == 0.5
    assert np.allclose(posterior.masses(200).sum(axis=1), 1.0)


def test_probabilities_that_rounding_brings_above_one():
    posterior = posterior_of([0, 1], [0.7, 0.3005], [1, 2])
    assert posterior.rest == 0.0 and posterior.entropies()[0] == pytest.approx(shannon([0.7, 0.3]), abs=1e-3)


@settings(max_examples=40)
@given(
    st.lists(st.tuples(st.integers(0, 4), st.floats(1e-6, 1.0)), min_size=1, max_size=12),
    st.floats(0.01, 1.0),
    st.integers(0, 2**31),
)
def test_any_evidence_gives_masses_and_entropies(answers, total, seed):
    ids, weights = zip(*answers, strict=True)
    p = np.array(weights) / sum(weights) * total
    posterior = posterior_of(ids, p, range(len(p)))
    masses, entropies = posterior.masses(50, seed), posterior.entropies(50, seed)
    assert (masses >= 0).all() and masses.sum(axis=1) == pytest.approx(1.0)
    assert (masses[:, : len(posterior.known)] >= posterior.known - 1e-12).all()
    assert entropies == pytest.approx([shannon(row) for row in masses])
    later = posterior.after(7, seed)
    assert later.counts.sum() >= posterior.counts.sum() and later.rest <= posterior.rest + 1e-9


def test_seeds_decide():
    posterior = posterior_of([0, 0, 1])
    assert (posterior.entropies(seed=1) == posterior.entropies(seed=1)).all()
    assert (posterior.entropies(seed=1) != posterior.entropies(seed=2)).any()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([0, 1], [0.5], [1, 2]), "one probability and one value"),
        (([0, 1], [0.5, 0.5]), "one probability and one value"),
        (([0, 1], [0.5, -0.1], [1, 2]), "between 0 and 1"),
        (([0, 1], [0.5, 1.5], [1, 2]), "between 0 and 1"),
        (([],), "at least one id"),
    ],
)
def test_bad_input(arguments, message):
    with pytest.raises(InputError, match=message):
        posterior_of(*arguments)


# ------------------------------------------------------------------------------------------ what it is worth
def test_it_converges_where_the_likelihood_weighted_entropy_does_not():
    """Of .9 / .1 and 1,000 samples: the truth is .325; weighing each sample by its likelihood tends to the
    entropy of p^2 / sum p^2, .066.
    """
    ids = np.random.default_rng(0).choice(2, 1000, p=[0.9, 0.1])
    low, high = interval(posterior_of(ids))
    assert low < shannon([0.9, 0.1]) < high and high - low < 0.1
    assert np.median(posterior_of(ids).entropies()) == pytest.approx(0.325, abs=0.03)
    squares = np.array([0.9, 0.1]) ** 2
    weighted = semantic_entropy(ids, np.log([0.9, 0.1])[ids])
    assert weighted == pytest.approx(shannon(squares / squares.sum()), abs=0.01)


def test_ten_answers_that_agree_are_not_certain():
    low, high = interval(posterior_of([0] * 10))
    assert low < 1e-6 and 0.8 < high < 1.2
    known = posterior_of([0] * 10, [0.97] * 10, ["Yes"] * 10)
    assert interval(known)[1] < high  # little is left that could mean something else


def test_ten_answers_that_agree_allow_many_small_meanings():
    """Ten samples of one meaning are this likely (.15) where nine others share .17: their entropy is .84."""
    assert interval(posterior_of([0] * 10))[1] > shannon([0.83] + [0.17 / 9] * 9)
    assert interval(posterior_of([0] * 20))[1] > shannon([0.91] + [0.01] * 9)


@pytest.mark.parametrize("truth", [[0.91] + [0.01] * 9, [0.99, 0.01], [0.7, 0.3]], ids=str)
def test_intervals_cover_where_a_meaning_has_many_wordings(truth):
    """Twenty answers of five wordings each: nearly all of the probability is known, and what is not known is
    not like what is.
    """
    wordings = np.arange(1, 6) ** -1.5
    p = np.outer(truth, wordings / wordings.sum()).ravel()
    random, covered = np.random.default_rng(3), 0
    for _ in range(60):
        strings = random.choice(len(p), 20, p=p)
        values = posterior_of(strings // 5, p[strings], strings).entropies(400)
        low, high = np.percentile(values, [2.5, 97.5])
        covered += low - 1e-9 <= shannon(truth) <= high + 1e-9
    assert covered >= 47


TRUTHS = [[0.98, 0.02], [0.7, 0.3], [0.6, 0.3, 0.1], [0.8] + [0.05] * 4, [0.25] * 4, [0.1] * 10]


@pytest.mark.parametrize("known", [False, True])
@pytest.mark.parametrize("truth", TRUTHS, ids=str)
def test_intervals_cover(truth, known):
    """100 sets of ten answers; a nominal 95 % interval that covered only 75 % would fail nearly always, and
    the percentile bootstrap of the discrete entropy covers 0 % of four equal meanings.
    """
    random, covered, p = np.random.default_rng(1), 0, np.array(truth)
    for _ in range(100):
        ids = random.choice(len(p), 10, p=p)
        posterior = posterior_of(ids, p[ids], ids) if known else posterior_of(ids)
        values = np.percentile(posterior.entropies(400), [2.5, 97.5])
        covered += values[0] - 1e-9 <= shannon(p) <= values[1] + 1e-9
    assert covered >= 80


def test_known_probabilities_bring_the_error_down():
    """Root mean square errors at ten answers, each meaning one wording: at most .7 of the plug-in's."""
    random = np.random.default_rng(2)
    for p in map(np.array, TRUTHS):
        sets = [random.choice(len(p), 10, p=p) for _ in range(80)]
        plug = [discrete_semantic_entropy(ids) - shannon(p) for ids in sets]
        own = [np.median(posterior_of(ids, p[ids], ids).entropies(300)) - shannon(p) for ids in sets]
        assert np.sqrt(np.mean(np.square(own))) <= 0.7 * np.sqrt(np.mean(np.square(plug)))


# --------------------------------------------------------------------------------------------- in the record
def test_the_record_uses_the_probabilities_with_which_the_answers_were_drawn():
    answers = [drawn("Yes it is.", 0.5), drawn("Yes it is.", 0.5), drawn("Yes", 0.3), drawn("No.", 0.2)]
    u = uncertainty_of(answers, "Is it?", FirstWord())
    assert u.drawn_probabilities == pytest.approx((0.5, 0.5, 0.3, 0.2))
    assert u.bayesian_semantic_entropy == pytest.approx(shannon([0.8, 0.2]))
    assert u.interval("bayesian_semantic_entropy") == pytest.approx((shannon([0.8, 0.2]),) * 2)
    assert Uncertainty.from_dict(u.to_dict()) == u


def test_without_the_end_the_samples_are_counted():
    answers = [drawn("Yes", 0.6), drawn("Yes", 0.6), drawn("No", 0.2)]
    lacking = [Answer.from_dict(a.to_dict() | {"sampled_end_logprob": None}) for a in answers]
    u = uncertainty_of(lacking, "Is it?", FirstWord())
    assert all(map(math.isnan, u.drawn_probabilities)) and u.posterior.rest == 1.0
    assert u.bayesian_semantic_entropy == np.median(posterior_of([0, 0, 1]).entropies())


def test_a_cut_answer_stands_for_all_that_begin_like_it():
    cut = Answer(
        "Yes, it", (1, 2), ("Yes", " it"), (-0.5, -0.5), finished=False, sampled_logprobs=(-0.2, -0.3)
    )
    assert uncertainty_of([cut], "Is it?", FirstWord()).drawn_probabilities == pytest.approx(
        (math.exp(-0.5),)
    )


def test_a_record_of_before_gets_the_number_when_it_is_read():
    u = uncertainty_of([drawn("Yes", 0.6), drawn("No", 0.2)], "Is it?", FirstWord())
    older = u.to_dict()
    del older["bayesian_semantic_entropy"], older["intervals"]["bayesian_semantic_entropy"]
    assert Uncertainty.from_dict(older) == u


def test_futures_are_drawn_from_the_posterior():
    """The share of answers that mean something new, averaged over futures, is the unseen mass."""
    posterior = posterior_of([0] * 6 + [1] * 3 + [2])
    unseen = posterior.masses(20_000)[:, 3:].sum(axis=1).mean()
    new = [posterior.after(40, seed) for seed in range(400)]
    share = np.mean([later.counts[3:].sum() / 40 for later in new if len(later.counts) >= 3])
    assert share == pytest.approx(unseen, abs=0.02)
    assert all(later.counts.sum() == 50 for later in new)
    assert isinstance(new[0], MeaningPosterior) and posterior.after(0) is posterior
