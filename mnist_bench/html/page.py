"""Pages as HTML files that need no network: one house style for all of them."""

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

import mnist_bench


def render_page(template: str, **content: object) -> str:
    """Returns a page; all of its content is escaped but for what is `Markup`.

    Args:
        template: Name of a file in `resources` that extends `page.html.j2`.
        content: What the template needs.
    """
    environment = Environment(
        loader=PackageLoader("mnist_bench", "resources"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(template).render(version=mnist_bench.__version__, **content)


def drawing(svg: str) -> Markup:
    """Returns a chart as it is put into a page: ElementTree, which wrote it, has escaped it."""
    return Markup(svg)
