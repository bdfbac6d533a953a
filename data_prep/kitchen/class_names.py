"""Names of objects as files spell them, to classes: kept, known but not kept, or unknown."""

import difflib
import re
from collections import Counter

from cld.runtime.errors import InputError
from data_prep.common.build_record import some
from data_prep.common.settings import Settings
from data_prep.kitchen.gmu.layout import ALIASES, INSTANCES

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
        self._kept, self._not_kept, self._unknown = Counter(), Counter(), Counter()  # objects by spelling

    def label(self, spelling: str, count: int = 1) -> int | None:
        """The label of a name, None where it is not kept; counts ``count`` objects of that spelling."""
        name = self._canonical.get(_key(spelling))
        if name in self.classes:
            self._kept[spelling] += count
            return self.classes.index(name)
        known = name is not None or _key(spelling) in self._ignored
        (self._not_kept if known else self._unknown)[spelling] += count
        return None

    def check(self, source: str, unit: str) -> None:
        """Check the names counted so far against the settings.

        Raises:
            InputError: a class that occurs nowhere, or too many objects with an unknown name.
        """
        found = {self._canonical[_key(spelling)] for spelling in self._kept}
        others = sorted({*self._not_kept, *self._unknown})
        for name in self.classes:
            if name not in found:
                close = difflib.get_close_matches(name, others, 3)
                listed = some(close + [other for other in others if other not in close], NAMES_SHOWN)
                raise InputError(
                    f"build settings: class '{name}' names nothing in {source}; remove it from 'classes', or "
                    f"add its spelling there to 'aliases'. Names not kept: {listed or 'none'}"
                )
        unknown = self._unknown.total()
        total = self._kept.total() + self._not_kept.total() + unknown
        if unknown > self._max_unknown_share * total:
            listed = some([name for name, _ in self._unknown.most_common()], NAMES_SHOWN)
            raise InputError(
                f"{source}: {unknown} of {total} {unit} have unknown names, more than "
                f"max_unknown_share ({self._max_unknown_share:.1%}): {listed}; add each to "
                f"'classes', 'aliases' or 'ignore' of the build settings"
            )

    def facts(self) -> dict[str, dict]:
        """What the report says of names: kept under another spelling, known but not kept, unknown."""
        classes = {spelling: self._canonical[_key(spelling)] for spelling in sorted(self._kept)}
        return {
            "renamed": {
                spelling: {"class": name, "count": self._kept[spelling]}
                for spelling, name in classes.items()
                if spelling != name
            },
            "not_kept": dict(self._not_kept.most_common()),
            "unknown": dict(self._unknown.most_common()),
        }


def _key(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())
