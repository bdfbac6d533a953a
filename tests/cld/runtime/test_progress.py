"""Lines of progress in log files."""

from cld.runtime.progress import Reported, progress, reported


def test_what_progress_prints_is_read_back(capsys):
    with progress("logistic regression", 300, "evaluations at most") as bar:
        bar.advance(120, note="epoch 3/5, loss 0.1")
    line = capsys.readouterr().err.splitlines()[-1]
    found = reported(line)
    assert (found.label, found.done, found.total) == ("logistic regression", 120, 300)
    assert reported("a: b: 3/9 steps (0.5 steps/s, 12 s left)") == Reported("a: b", 3, 9, 12)
    assert reported("a: 9/9 steps (0.5 steps/s)") == Reported("a", 9, 9, None)
    assert reported("error: 3/9 steps failed") is None
