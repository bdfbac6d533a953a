"""Bad input that a build survives: reported by path and reason, counted, and skipped up to a share."""

import os
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from cld.runtime.errors import InputError

PATHS_SHOWN = 3


@dataclass(frozen=True, order=True)
class Problem:
    """One thing wrong with one ``unit`` (a frame, an image): which file, why, and what its reader said."""

    unit: str
    path: str
    reason: str
    detail: str = ""


def problem(unit: str, path: Path, root: Path, reason: str, detail: str = "") -> Problem:
    """A problem whose texts do not say where ``root`` lies, so that a report is the same wherever it does."""
    return Problem(unit, path.relative_to(root).as_posix(), reason, without_root(detail, root))


def without_root(text: str, root: Path) -> str:
    """``text`` with the paths in it relative to ``root``."""
    return text.replace(f"{root}{os.sep}", "")


@dataclass
class ProblemLog:
    """The problems of one build. A unit with several counts once."""

    problems: list[Problem] = field(default_factory=list)

    def extend(self, problems: Iterable[Problem]) -> None:
        """Add ``problems``."""
        self.problems.extend(problems)

    @property
    def bad_units(self) -> int:
        """Number of units with a problem."""
        return len({problem.unit for problem in self.problems})

    def by_reason(self) -> dict[str, list[Problem]]:
        """The problems of each reason, the commonest reason first."""
        groups = defaultdict(list)
        for problem in self.problems:
            groups[problem.reason].append(problem)
        return dict(sorted(groups.items(), key=lambda group: (-len(group[1]), group[0])))

    def check(self, source: str, total: int, unit: str, max_share: float) -> None:
        """Fail when more than ``max_share`` of ``total`` units are bad.

        Raises:
            InputError: the first line says how many; one more line a reason, with the first paths.
        """
        bad = self.bad_units
        if bad <= max_share * total:
            return
        lines = [
            f"{source}: {bad} of {total} {unit} are bad ({bad / total:.1%}), more than max_bad_share "
            f"({max_share:.1%}); fix the files below, or raise max_bad_share"
        ]
        for reason, problems in self.by_reason().items():
            paths = list(Counter(problem.path for problem in problems))
            more = f" and {len(paths) - PATHS_SHOWN} more" if len(paths) > PATHS_SHOWN else ""
            lines.append(f"  {len(problems)} × {reason}: {', '.join(paths[:PATHS_SHOWN])}{more}")
        raise InputError("\n".join(lines))
