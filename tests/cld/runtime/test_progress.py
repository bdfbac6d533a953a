"""Lines of progress in log files."""

from cld.runtime.progress import is_progress_line, progress


def test_what_progress_prints_is_recognised(capsys):
    with progress("logistic regression", 300, "evaluations at most") as bar:
        bar.advance(120, note="epoch 3/5, loss 0.1")
    assert is_progress_line(capsys.readouterr().err.splitlines()[-1])
    assert is_progress_line("a: 9/9 steps (0.5 steps/s)")
    assert not is_progress_line("error: 3/9 steps failed")
