"""What MkDocs calls while it builds the site: pages of ours are added, links are rewritten.

Nothing that is generated is committed: the reference is made from the parser, the schema, the
learners and the catalogue, the tour from its notebook, each in the page of its name.
"""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files, InclusionLevel

sys.path.insert(0, str(Path(__file__).parent))
import anchors
import api_reference
import catalogue
import command_line
import learners_reference
import links
import notebook
import sheets_reference

GENERATED: dict[str, Callable[[], str]] = {
    "reference/api.md": api_reference.page,
    "reference/command-line.md": command_line.page,
    "reference/sheets.md": sheets_reference.page,
    "reference/learners.md": learners_reference.page,
    "reference/catalogue.md": catalogue.page,
    "tutorial/tour.md": notebook.page,
}


def on_config(config: Any) -> Any:
    """Have the site's anchors be those that the repository's own pages have."""
    config.mdx_configs.setdefault("toc", {})["slugify"] = anchors.slug
    return config


def on_files(files: Files, config: Any) -> Files:
    """Add the pages that are generated, and what pages lead to outside of docs."""
    for address, page in GENERATED.items():
        files.append(File.generated(config, address, content=page()))
    pages = [links.DOCS / file.src_uri for file in files.documentation_pages() if file.abs_src_path]
    for target in links.taken_along(pages):
        address = links.address(target)
        if target.suffix in links.PICTURES:
            file = File.generated(config, address, abs_src_path=str(target))
        else:
            content = links.rewritten(links.page_of(target), target)
            file = File.generated(config, address, content=content)
        if not files.get_file_from_path(address):
            file.inclusion = InclusionLevel.NOT_IN_NAV
            files.append(file)
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Rewrite the links of a page of docs; what was added has its own already."""
    source = links.DOCS / page.file.src_uri
    return links.rewritten(markdown, source) if source.is_file() else markdown
