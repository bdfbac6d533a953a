"""Lines of progress in log files."""

from cld.runtime.progress import is_progress_line, progress


def test_progress_in_a_log_file_is_plain_lines_that_are_recognised(capsys, monkeypatch):
    monkeypatch.setattr("cld.runtime.progress.INTERVAL_S", 0)
    with progress("logistic regression", 4, "evaluations at most", done=1) as bar:
        bar.advance()
        bar.advance(2, note="loss 0.1")
    lines = capsys.readouterr().err.splitlines()
    counts = [line.split(" (")[0].removeprefix("logistic regression: ") for line in lines]
    assert counts == [f"{n}/4 evaluations at most" for n in (2, 4, 4)]
    assert lines[-1].endswith("loss 0.1") and "\r" not in "".join(lines)
    assert all(map(is_progress_line, [*lines, "a: 9/9 steps (0.5 steps/s)"]))
    assert not is_progress_line("error: 3/9 steps failed")
