"""The command: what every protocol writes fits the closed schema, and what does not fit is not written."""

import json

import pytest

from cld.config import load_protocol, validate
from cld.evaluation.protocol_names import STORE_PROTOCOLS
from cld.evaluation.protocols import PROTOCOLS
from cld.runtime.errors import InputError

#: Those whose own tests score them: they train for long, or take stores of their own.
ELSEWHERE = {"detection", "linear_published"}


@pytest.mark.parametrize("protocol", sorted(PROTOCOLS.keys() - ELSEWHERE))
def test_every_protocol_writes_what_the_schema_says(evaluate, protocol, tiny_checkpoint):
    subject = [] if protocol in STORE_PROTOCOLS else ["--checkpoint", tiny_checkpoint, "--device", "cpu"]
    score = json.loads(evaluate(protocol, *subject).read_text())
    validate(score, "score", "here")
    assert score["protocol"] == protocol
    assert set(score["settings"]) == set(load_protocol("demo", protocol))
    details = score.get("details", {})
    assert set(details.get("hits", {})) <= set(score["metrics"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.update(metric={}), "unknown key 'metric'; did you mean 'metrics'?"),
        (lambda s: s["metrics"].update(top1=100.5), "metrics.top1: 100.5 is greater than the maximum of 100"),
        (lambda s: s.pop("provenance"), "key 'provenance' is missing"),
        (lambda s: s["provenance"].update(host="me"), "unknown key 'provenance.host'"),
        (lambda s: s["details"]["hits"].update(top1="?"), "details.hits.top1: '?' does not match"),
        (lambda s: s["details"].pop("n"), "details: 'n' is a dependency of 'hits'"),
    ],
)
def test_what_is_no_score_is_refused(evaluate, change, message):
    score = json.loads(evaluate("pixel_knn").read_text())
    change(score)
    with pytest.raises(InputError) as told:
        validate(score, "score", "x.json")
    assert str(told.value).startswith("x.json: ") and message in str(told.value)


def test_a_score_that_does_not_fit_is_not_written(evaluate, tmp_path, monkeypatch, capsys):
    wrong = {"run": None, "seed": None, "metrics": {"top1": -1.0}, "settings": {}}
    monkeypatch.setitem(PROTOCOLS, "chance", lambda store, settings: wrong)
    with pytest.raises(SystemExit):
        evaluate("chance")
    assert "metrics.top1: -1.0 is less than the minimum of 0" in capsys.readouterr().err
    wrong["metrics"]["top1"] = float("nan")
    with pytest.raises(SystemExit):
        evaluate("chance")
    assert "metrics.top1: nan is not of type 'number'; look into the run's log.csv" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["knn"], "error: knn: scores a run; name its checkpoint with --checkpoint"),
        (["knn", "--checkpoint", "none.pt"], "error: none.pt: no such checkpoint"),
        (["knn", "--checkpoint", "none.pt", "--device", "abacus"], "error: device 'abacus' cannot be used"),
    ],
)
def test_bad_input_is_one_line(evaluate, tmp_path, capsys, arguments, message):
    with pytest.raises(SystemExit) as ended:
        evaluate(*arguments)
    printed = capsys.readouterr().err
    assert ended.value.code == 2
    assert printed.startswith(message) and printed.count("\n") == 1
    assert not list(tmp_path.iterdir())
