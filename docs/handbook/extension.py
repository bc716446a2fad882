"""What Sphinx is given beside its own: `word-map SCHEME`, texts that are made from the code, and colours for scenarios."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from docutils import nodes
from sphinx.util.docutils import SphinxDirective

from handbook.commands import commands_text
from handbook.properties import properties_text
from handbook.scenario_lexer import ScenarioLexer
from handbook.unfixable_race import overview_text, races_text
from handbook.word_map import word_map
from mapcount.schemes.describe import describe

if TYPE_CHECKING:
    from sphinx.application import Sphinx


class WordMap(SphinxDirective):
    """The words of a scheme in struct page; the argument is its id. A scheme that does not exist fails the build."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Return the picture and, for whoever cannot see it, the same in its title."""
        picture = word_map(describe(self.arguments[0]))
        return [nodes.raw("", f'<figure class="word-map">{picture}</figure>', format="html")]


class Commands(SphinxDirective):
    """All commands, a section each."""

    def run(self) -> list[nodes.Node]:
        """Return the sections."""
        return self.parse_text_to_nodes(commands_text(), allow_section_headings=True)


class Properties(SphinxDirective):
    """The properties that mapcount check asks for."""

    def run(self) -> list[nodes.Node]:
        """Return the tables."""
        return self.parse_text_to_nodes(properties_text())


class RacesOverview(SphinxDirective):
    """How many callers get what with each scheme, and what each lock does for them."""

    def run(self) -> list[nodes.Node]:
        """Return the tables."""
        return self.parse_text_to_nodes(overview_text())


class Races(SphinxDirective):
    """What each caller may see with each scheme, a section each."""

    def run(self) -> list[nodes.Node]:
        """Return the sections."""
        return self.parse_text_to_nodes(races_text(), allow_section_headings=True)


def setup(app: Sphinx) -> dict[str, Any]:
    """Register all of it."""
    app.add_directive("word-map", WordMap)
    app.add_directive("commands", Commands)
    app.add_directive("properties", Properties)
    app.add_directive("races-overview", RacesOverview)
    app.add_directive("races", Races)
    app.add_lexer("scenario", ScenarioLexer)
    return {"parallel_read_safe": True}
