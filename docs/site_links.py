"""Used by mkdocs (hooks of mkdocs.yml): a link of a page to a file of the source that is not in docs/ leads somewhere on a
forge, but not in the site, so there the name of the file stands in its place."""
import posixpath
import re


def on_page_markdown(markdown, page, **_):
    folder = posixpath.dirname(page.file.src_uri)

    def named(link):
        path = posixpath.normpath(posixpath.join("docs", folder, link[2]))
        return link[0] if path.startswith("docs/") else f"{link[1]} (`{path}`)"

    return re.sub(r"(?<!!)\[([^\]]+)\]\((\.\.?/[^)#\s]+)[^)]*\)", named, markdown)
