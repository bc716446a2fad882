"""Colours for scenario texts."""

from __future__ import annotations

from typing import ClassVar

from pygments.lexer import RegexLexer, bygroups
from pygments.token import Comment, Keyword, Name, Number, Text

from mapcount.scenarios.parser import KEYWORDS
from mapcount.scenarios.verbs import VERBS


class ScenarioLexer(RegexLexer):
    """Comments, the words of the language, processes, areas and numbers."""

    name = "scenario"
    aliases: ClassVar = ["scenario"]
    tokens: ClassVar = {
        "root": [
            (r"#.*$", Comment.Single),
            (r"^(\s*)(\w+)(:)", bygroups(Text, Name.Class, Text)),
            (rf"\b(?:{'|'.join(sorted({*KEYWORDS, *VERBS}, key=len, reverse=True))})\b", Keyword),
            (r"\b[a-h](?=\[)", Name.Variable),
            (r"\b\d+[kMG]?\b", Number),
            (r"\w+|\s+|.", Text),
        ]
    }
