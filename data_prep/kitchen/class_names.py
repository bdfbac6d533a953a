"""Names of objects as files spell them, to classes: kept, known but not kept, or unknown."""

import difflib
import re
from collections import Counter

from cld.runtime.errors import InputError
from data_prep.common.build_record import some
from data_prep.common.settings import Settings
from data_prep.kitchen.gmu.layout import ALIASES, INSTANCES

KEPT, NOT_KEPT, UNKNOWN = "kept", "not kept", "unknown"
NAMES_SHOWN = 20


class ClassNames:
    """The classes of one build and every spelling of them; counts what it is asked for."""

    def __init__(self, settings: Settings):
        self.classes = list(settings.classes)
        self._max_unknown_share = settings.max_unknown_share
        # the settings' own spelling of a class wins over the published one
        self._canonical = {_key(name): name for name in (*INSTANCES, *settings.classes)}
        self._ignored = {_key(name) for name in settings.ignore}
        for spelling, name in (*ALIASES.items(), *settings.aliases.items()):
            target = self._canonical.get(_key(name))
            if target is None:
                raise InputError(
                    f"build settings: aliases maps '{spelling}' to '{name}', which is not a class; "
                    f"the classes are {', '.join(self.classes)}"
                )
            self._canonical.setdefault(_key(spelling), target)
        self.spellings: dict[str, Counter] = {KEPT: Counter(), NOT_KEPT: Counter(), UNKNOWN: Counter()}

    def label(self, spelling: str, count: int = 1) -> int | None:
        """The label of a name, None where it is not kept; counts ``count`` objects of that spelling."""
        name = self._canonical.get(_key(spelling))
        if name in self.classes:
            self.spellings[KEPT][spelling] += count
            return self.classes.index(name)
        known = name is not None or _key(spelling) in self._ignored
        self.spellings[NOT_KEPT if known else UNKNOWN][spelling] += count
        return None

    def check(self, source: str, unit: str) -> None:
        """Check the names counted so far against the settings.

        Raises:
            InputError: a class that occurs nowhere, or too many objects with an unknown name.
        """
        found = {self._canonical[_key(spelling)] for spelling in self.spellings[KEPT]}
        others = sorted({*self.spellings[NOT_KEPT], *self.spellings[UNKNOWN]})
        for name in self.classes:
            if name not in found:
                close = difflib.get_close_matches(name, others, 3)
                listed = some(close + [other for other in others if other not in close], NAMES_SHOWN)
                raise InputError(
                    f"build settings: class '{name}' names nothing in {source}; remove it from 'classes', or "
                    f"add its spelling there to 'aliases'. Names not kept: {listed or 'none'}"
                )
        total = sum(counts.total() for counts in self.spellings.values())
        unknown = self.spellings[UNKNOWN]
        if unknown.total() > self._max_unknown_share * total:
            listed = some([name for name, _ in unknown.most_common()], NAMES_SHOWN)
            raise InputError(
                f"{source}: {unknown.total()} of {total} {unit} have unknown names, more than "
                f"max_unknown_share ({self._max_unknown_share:.1%}): {listed}; add each to "
                f"'classes', 'aliases' or 'ignore' of the build settings"
            )

    def renamed(self) -> dict[str, str]:
        """Spellings that differ from their class's name, each with the class."""
        pairs = ((spelling, self._canonical[_key(spelling)]) for spelling in self.spellings[KEPT])
        return {spelling: name for spelling, name in sorted(pairs) if spelling != name}


def _key(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())
