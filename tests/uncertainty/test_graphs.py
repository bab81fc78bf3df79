"""Graph measures and kernel language entropy: closed forms, independent loops, SciPy, properties."""

import math
from fractions import Fraction

import numpy as np
import pytest
import scipy.linalg
from hypothesis import assume, given
from hypothesis import strategies as st

from isi_widget.errors import InputError
from isi_widget.uncertainty import graphs as g
from isi_widget.uncertainty import kernels as k
from isi_widget.uncertainty.entropy import rao_quadratic_entropy

AFFINITIES = ["entail", "contra"]


def judged(groups, within=(0.0, 0.0, 1.0), between=(1.0, 0.0, 0.0)):
    """Probabilities of answers that are alike within their group and unlike between groups."""
    ids = np.repeat(np.arange(len(groups)), groups)
    same = np.equal.outer(ids, ids)[..., None]
    return np.where(same, np.array(within), np.array(between))


def random_judgements(seed, n):
    p = np.random.default_rng(seed).dirichlet([0.4, 0.4, 0.6], (n, n))
    p[range(n), range(n)] = (0, 0, 1)
    return p


blocks = st.lists(st.integers(1, 5), min_size=1, max_size=5)
BLOCKS = [[1], [6], [1, 1, 1, 1], [3, 2], [4, 3, 1], [2, 2, 2]]


# --------------------------------------------------------------------------------------------- closed forms
@pytest.mark.parametrize("groups", BLOCKS)
@pytest.mark.parametrize("affinity", AFFINITIES)
def test_block_graphs_have_closed_forms(groups, affinity):
    p, n, c = judged(groups), sum(groups), len(groups)
    assert g.laplacian_eigenvalues(p, affinity) == pytest.approx(c)
    assert g.degree_matrix(p, affinity) == pytest.approx(1 - float(sum(Fraction(m, n) ** 2 for m in groups)))
    assert g.eccentricity(p, affinity) == pytest.approx(math.sqrt(c - 1), abs=1e-6)
    assert g.semantic_sets(p) == c


def test_neutral_answers_are_alike_under_contra_and_unlike_under_entail():
    p = judged([1] * 4, between=(0, 1, 0))
    assert g.laplacian_eigenvalues(p, "entail") == pytest.approx(4)
    assert g.laplacian_eigenvalues(p, "contra") == pytest.approx(1)
    assert g.degree_matrix(p, "entail") == pytest.approx(0.75)
    assert g.degree_matrix(p, "contra") == pytest.approx(0)


@pytest.mark.parametrize("n", [2, 5, 10])
@pytest.mark.parametrize("w", [0.2, 0.7])
def test_one_similarity_between_all_answers(n, w):
    """W = (1 - w) I + w J: L has 0 once and 1 - (1 - w) / d the other times, with d = 1 + (n - 1) w."""
    p = judged([1] * n, between=(1 - w, 0, w))
    d = 1 + (n - 1) * w
    assert g.laplacian_eigenvalues(p) == pytest.approx(1 + (n - 1) * (1 - w) / d)
    informative = n - 1 if 1 - (1 - w) / d < 0.9 else 0
    assert g.eccentricity(p) == pytest.approx(math.sqrt(informative), abs=1e-6)


@pytest.mark.parametrize("n", [1, 2, 10])
@pytest.mark.parametrize(("value", "weight"), [((0, 0, 1), 2.0), ((0, 1, 0), 1.0), ((1, 0, 0), 0.0)])
def test_kernel_entropy_of_a_complete_graph(n, value, weight):
    """L has eigenvalue 0 once and n w the other times; all diagonal entries of K are equal."""
    p = judged([1] * n, between=value)
    for name, at in (("heat", lambda x: math.exp(-0.3 * x)), ("matern", lambda x: 1 / (2 + x))):
        rest = at(n * weight)
        trace = at(0) + (n - 1) * rest
        shares = [at(0) / trace] + [rest / trace] * (n - 1)
        wanted = -math.fsum(s * math.log(s) for s in shares)
        assert k.kernel_language_entropy(p, name) == pytest.approx(wanted, abs=1e-12)
    if weight == 0:
        assert k.kernel_language_entropy(p) == pytest.approx(math.log(n))


def test_kernel_entropy_of_block_graphs():
    """Blocks of m answers scale to trace m / N each; inside a block as in the complete graph."""
    groups, t = [4, 3, 1], 0.3
    wanted = 0.0
    for m in groups:
        rest = math.exp(-t * 2 * m)
        trace = 1 + (m - 1) * rest
        shares = [m / 8 / trace] + [m / 8 * rest / trace] * (m - 1)
        wanted -= math.fsum(s * math.log(s) for s in shares)
    assert k.kernel_language_entropy(judged(groups)) == pytest.approx(wanted)
    # for a long time each block is a point: the discrete semantic entropy
    discrete = -math.fsum(m / 8 * math.log(m / 8) for m in groups)
    assert k.kernel_language_entropy(judged(groups), t=50.0) == pytest.approx(discrete)


def test_von_neumann_entropy_of_known_matrices():
    assert k.von_neumann_entropy(np.eye(4)) == pytest.approx(math.log(4))
    assert k.von_neumann_entropy(np.ones((4, 4))) == pytest.approx(0, abs=1e-9)
    assert k.von_neumann_entropy(np.diag([1.0, 100.0])) == pytest.approx(math.log(2))  # the scale drops out
    half = [[1, 0.5], [0.5, 1]]  # eigenvalues 3/4 and 1/4 at unit trace
    assert k.von_neumann_entropy(half) == pytest.approx(-0.75 * math.log(0.75) - 0.25 * math.log(0.25))


def test_semantic_graph_weights():
    p = np.array([[[0, 0, 1], [0.1, 0.3, 0.6]], [[0.2, 0.5, 0.3], [0, 0, 1]]])
    assert k.semantic_graph(p).tolist() == [[0, 1.5], [1.5, 0]]  # entailment 1, neutral 1/2
    assert k.semantic_graph(p, one_hot=False)[0, 1] == pytest.approx(0.6 + 0.15 + 0.3 + 0.25)


# ------------------------------------------------------------------------------ independent implementations
def slow_similarities(p, affinity):
    n = len(p)
    one = [[p[i][j][2] if affinity == "entail" else 1 - p[i][j][0] for j in range(n)] for i in range(n)]
    return [[1.0 if i == j else (one[i][j] + one[j][i]) / 2 for j in range(n)] for i in range(n)]


def slow_laplacian(w):
    n, degree = len(w), [math.fsum(row) for row in w]
    return np.array(
        [
            [(i == j) - w[i][j] / math.sqrt(degree[i]) / math.sqrt(degree[j]) for j in range(n)]
            for i in range(n)
        ]
    )


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("affinity", AFFINITIES)
def test_spectral_measures_by_loops(seed, affinity):
    p = random_judgements(seed, 7)
    w = slow_similarities(p.tolist(), affinity)
    values, vectors = scipy.linalg.eig(slow_laplacian(w))  # the general solver, not the symmetric one
    values, vectors = values.real, vectors.real / np.linalg.norm(vectors.real, axis=0)
    assert g.laplacian_eigenvalues(p, affinity) == pytest.approx(sum(max(0, 1 - v) for v in values))
    assert g.degree_matrix(p, affinity) == pytest.approx(
        math.fsum(7 - math.fsum(row) for row in w) / 49, abs=1e-12
    )
    kept = [vectors[:, j] for j in range(7) if values[j] < 0.9]
    centre = [sum(v) / 7 for v in kept]
    squares = [(v[i] - m) ** 2 for v, m in zip(kept, centre, strict=True) for i in range(7)]
    assert g.eccentricity(p, affinity) == pytest.approx(math.sqrt(math.fsum(squares)), abs=1e-8)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("one_hot", [True, False])
def test_kernel_entropies_by_matrix_functions(seed, one_hot):
    """exp and power of the Laplacian, and K log K, by SciPy's matrix functions."""
    n, p = 7, random_judgements(seed, 7)
    w = np.zeros((n, n))
    for i in range(n):
        for j in range(n):
            if i != j:
                for a, b in ((i, j), (j, i)):
                    c, m, e = p[a, b]
                    w[i, j] += (
                        m / 2 + e if not one_hot else {0: 0.0, 1: 0.5, 2: 1.0}[int(np.argmax([c, m, e]))]
                    )
    laplacian = np.diag(w.sum(0)) - w
    heat = scipy.linalg.expm(-0.3 * laplacian)
    matern = scipy.linalg.fractional_matrix_power(2 * 1.5 / 0.8**2 * np.eye(n) + laplacian, -1.5)
    assert k.heat_kernel(k.semantic_graph(p, one_hot=one_hot), 0.3) == pytest.approx(heat)
    for kernel, settings, name in ((heat, {}, "heat"), (matern, {"nu": 1.5, "kappa": 0.8}, "matern")):
        unit = np.array(
            [[kernel[i, j] / math.sqrt(kernel[i, i] * kernel[j, j]) / n for j in range(n)] for i in range(n)]
        )
        wanted = -np.trace(unit @ scipy.linalg.logm(unit)).real
        found = k.kernel_language_entropy(p, name, one_hot=one_hot, **settings)
        assert found == pytest.approx(wanted, abs=1e-8)


@pytest.mark.parametrize("seed", range(10))
def test_semantic_sets_by_scipy(seed):
    from scipy.sparse.csgraph import connected_components

    p = np.random.default_rng(seed).dirichlet([1.6, 0.5, 0.6], (9, 9))
    alike = [[p[i, j, 2] > p[i, j, 0] and p[j, i, 2] > p[j, i, 0] for j in range(9)] for i in range(9)]
    assert g.semantic_sets(p) == connected_components(np.array(alike))[0]


def test_a_chain_is_one_set():
    p = judged([1] * 5)
    for i in range(4):
        p[i, i + 1] = p[i + 1, i] = (0, 0, 1)
    assert g.semantic_sets(p) == 1
    p[1, 2] = (0.5, 0.1, 0.4)  # one direction is enough to cut it
    assert g.semantic_sets(p) == 2


def test_degree_matrix_is_rao_with_equal_weights():
    p = random_judgements(4, 6)
    for affinity in AFFINITIES:
        rao = rao_quadratic_entropy([1 / 6] * 6, 1 - g.similarities(p, affinity))
        assert g.degree_matrix(p, affinity) == pytest.approx(rao)


# ------------------------------------------------------------------------------------------------ properties
@given(st.integers(1, 9), st.integers(0, 10**6))
def test_ranges_and_names(n, seed):
    found = g.graph_measures(random_judgements(seed, n))
    assert list(found) == list(g.GRAPH_MEASURES)
    assert all(type(value) is float and math.isfinite(value) for value in found.values())
    for name, value in found.items():
        low, high = {
            "ker": (0, math.log(n)),
            "lap": (1, n),
            "deg": (0, 1 - 1 / n),
            "ecc": (0, math.sqrt(n - 1)),
            "sem": (1, n),
        }[name[:3]]
        assert low <= value <= high + 1e-9, name


@given(st.integers(2, 8), st.integers(0, 10**6))
def test_the_order_of_the_answers_does_not_matter(n, seed):
    p = random_judgements(seed, n)
    for affinity in AFFINITIES:  # the eccentricity jumps where an eigenvalue lies on the threshold
        values = np.linalg.eigvalsh(slow_laplacian(slow_similarities(p.tolist(), affinity)))
        assume(abs(values - 0.9).min() > 1e-6)
    order = np.random.default_rng(seed).permutation(n)
    assert g.graph_measures(p[np.ix_(order, order)]) == pytest.approx(g.graph_measures(p), abs=1e-8)


@given(blocks, st.floats(0.01, 20))
def test_kernel_entropy_falls_towards_the_discrete_entropy(groups, t):
    n = sum(groups)
    discrete = -math.fsum(m / n * math.log(m / n) for m in groups)
    entropy = k.kernel_language_entropy(judged(groups), t=t)
    assert discrete - 1e-9 <= entropy <= math.log(n) + 1e-9
    assert k.kernel_language_entropy(judged(groups), t=2 * t) <= entropy + 1e-9


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: g.laplacian_eigenvalues(judged([2]), "both"), "affinity is 'both'"),
        (lambda: g.eccentricity(judged([2]), threshold=0.0), "threshold is a number above 0"),
        (lambda: g.degree_matrix(np.ones((2, 2, 3))), "sum to 1"),
        (lambda: g.semantic_sets(np.zeros((2, 2))), r"shape \[N, N, 3\]"),
        (lambda: k.kernel_language_entropy(judged([2]), "gauss"), "kernel is 'gauss'"),
        (lambda: k.kernel_language_entropy(judged([2]), t=0.0), "t is a number above 0"),
        (lambda: k.kernel_language_entropy(judged([2]), "matern", nu=-1.0), "nu is a number"),
        (lambda: k.kernel_language_entropy(judged([2]), "matern", kappa=math.nan), "kappa is a number"),
        (lambda: k.heat_kernel([[0, -1], [-1, 0]]), "not negative"),
        (lambda: k.heat_kernel([[0, 1], [0, 0]]), "finite and symmetric"),
        (lambda: k.von_neumann_entropy([[1, 2], [2, 1]]), "negative eigenvalue"),
        (lambda: k.von_neumann_entropy(np.zeros((2, 2))), "positive diagonal"),
        (lambda: k.von_neumann_entropy([1, 2]), r"shape \[N, N\]"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(InputError, match=message):
        call()
