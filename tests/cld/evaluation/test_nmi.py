"""NMI against its definition and scikit-learn; grouping against scikit-learn's k-means."""

import math
from collections import Counter

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score
from torch.nn.functional import normalize

from cld.config import load_protocol
from cld.data import read_info, read_labels
from cld.data.features import extract_features
from cld.evaluation.nmi import best_grouping, grouped, mutual_information, score_nmi
from cld.training.checkpoint import load_encoder

SETTINGS = {"groups": 4, "restarts": 5, "n_iters": 30, "seed": 0}


def clouds(seed, n=50, dim=8, spread=0.08):
    generator = torch.Generator().manual_seed(seed)
    centres = normalize(torch.randn(4, dim, generator=generator), dim=1)
    labels = torch.arange(4).repeat(n)
    return centres[labels] + spread * torch.randn(4 * n, dim, generator=generator), labels


def defined(first, second):
    """Mutual information over the mean of the entropies, in percent."""
    n = len(first)
    a, b, both = Counter(first), Counter(second), Counter(zip(first, second, strict=True))
    information = sum(c / n * math.log(c * n / (a[x] * b[y])) for (x, y), c in both.items())
    entropy = [-sum(c / n * math.log(c / n) for c in counts.values()) for counts in (a, b)]
    return 100 * information / (sum(entropy) / 2) if sum(entropy) else 100


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 4)), min_size=1, max_size=30))
def test_nmi_is_what_it_is_defined_as(pairs):
    first, second = map(list, zip(*pairs, strict=True))
    ours = mutual_information(torch.tensor(first), torch.tensor(second))
    assert ours == pytest.approx(defined(first, second), abs=1e-6)
    assert 0 <= ours <= 100


@pytest.mark.parametrize("seed", range(3))
def test_clouds_are_found_as_scikit_learn_finds_them(seed):
    features, labels = clouds(seed)
    ours = best_grouping(features, SETTINGS)
    theirs = KMeans(4, n_init=10, random_state=0).fit_predict(normalize(features, dim=1).numpy())
    assert adjusted_rand_score(theirs, ours) == 1
    assert mutual_information(labels, ours) == pytest.approx(100)


def test_the_best_start_is_as_good_as_scikit_learns():
    """Features without structure; on the sphere k-means' squared distance is near twice 1 - cosine."""
    features = normalize(torch.randn(300, 5, generator=torch.Generator().manual_seed(0)), dim=1)
    tries = grouped(features, {**SETTINGS, "groups": 6, "restarts": 10})
    ours = min(attempt.objective for attempt in tries)
    theirs = torch.tensor(KMeans(6, n_init=10, random_state=0).fit_predict(features.numpy()))
    centres = torch.stack([features[theirs == group].mean(dim=0) for group in range(6)])
    reference = 1 - torch.cosine_similarity(features, centres[theirs], dim=1).mean().item()
    assert ours <= reference * 1.01
    for attempt in tries:
        centres = torch.stack([features[attempt.groups == group].mean(dim=0) for group in range(6)])
        cosine = torch.cosine_similarity(features, centres[attempt.groups], dim=1).mean().item()
        assert attempt.objective == pytest.approx(1 - cosine, abs=1e-6)


def test_starts_differ_and_are_the_same_every_time():
    features, _ = clouds(0, spread=1.0)
    first, second = grouped(features, SETTINGS), grouped(features, SETTINGS)
    assert [a.groups.tolist() for a in first] == [a.groups.tolist() for a in second]
    assert len({tuple(a.groups.tolist()) for a in first}) > 1


def test_the_lengths_of_features_play_no_part_and_copies_are_no_trouble():
    features, labels = clouds(0)
    lengths = torch.linspace(0.1, 9, len(features))[:, None]
    assert adjusted_rand_score(best_grouping(features * lengths, SETTINGS), labels) == 1
    alike = best_grouping(torch.ones(9, 3), SETTINGS)
    assert sorted(set(alike.tolist())) == [0, 1, 2, 3], "every group has a member"


@pytest.mark.parametrize("kind", ["instance", "backbone"])
def test_a_run_is_scored_by_its_groups(tiny_store, tiny_checkpoint, kind):
    settings = {**load_protocol("demo", "nmi"), "split": "train", "features": kind}
    score = score_nmi(str(tiny_store), settings, tiny_checkpoint, "cpu")
    assert score == score_nmi(str(tiny_store), settings, tiny_checkpoint, "cpu")
    assert score["settings"]["groups"] == 3, "as many as classes"
    encoder, _ = load_encoder(tiny_checkpoint)
    network = encoder if kind == "instance" else encoder.backbone
    features = extract_features(network, tiny_store, "train", read_info(tiny_store), torch.device("cpu"))
    groups = best_grouping(features, score["settings"])
    expected = 100 * normalized_mutual_info_score(read_labels(tiny_store, "train"), groups)
    assert score["metrics"]["nmi"] == pytest.approx(expected)
    assert len(score["details"]["restarts"]) == settings["restarts"]
