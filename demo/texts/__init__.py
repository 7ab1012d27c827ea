"""The page's words, in one place: a table for each language, and the way to say things with them.

Nothing here is markup. A new language is a new table with the keys of `english.TEXTS` and a line in `LANGUAGES`.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from actalker.config import REGIONS, SIGNALS
from demo.texts import chinese, english
from demo.texts.faults import translated


@dataclass(frozen=True)
class Words:
    """One language: `words("key", name=value)` is the text of that key with its blanks filled in."""

    language: str
    texts: Mapping[str, str]

    def __call__(self, key: str, **blanks: object) -> str:
        """The text of a key."""
        return self.texts[key].format(**blanks)

    def count(self, number: int, what: str) -> str:
        """Text `what.one` for one thing, else `what.many`."""
        return self(f"{what}.one" if number == 1 else f"{what}.many", count=number)

    def listed(self, names: Collection[str]) -> str:
        """At least one name, as one says a list: "eyes, gaze and head"."""
        *most, last = names
        return self("list.and", most=self("list.comma").join(most), last=last) if most else last

    def regions(self, regions: Collection[str]) -> str:
        """A list of regions by their words."""
        return self.listed([self(f"region.{region}").lower() for region in regions])

    def plan(self, sources: Mapping[str, str]) -> str:
        """Who moves what, as a sentence."""
        moved = {
            source: [name for name in REGIONS if sources.get(name, "still") == source] for source in (*SIGNALS, "still")
        }
        parts = [
            self("plan.moves", signal=self(f"signal.{signal}"), regions=self.regions(moved[signal]))
            for signal in SIGNALS
            if moved[signal]
        ]
        if not parts:
            return self("plan.nothing")
        if moved["still"]:
            still = "plan.still.one" if len(moved["still"]) == 1 else "plan.still.many"
            parts.append(self(still, regions=self.regions(moved["still"])))
        sentence = self("plan.join").join(parts)
        return self("plan.end", sentence=sentence[0].upper() + sentence[1:])

    def fault(self, error: Exception | str) -> str:
        """A sentence of the library about a file, in this language where it is known."""
        return translated(str(error), self.language)


ENGLISH = Words("en", english.TEXTS)
CHINESE = Words("zh", chinese.TEXTS)
LANGUAGES = (ENGLISH, CHINESE)
