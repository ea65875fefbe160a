"""Bodies of files: one Jinja2 dialect, the same options everywhere."""

from functools import cache

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from inhouse.paths import templates_folder


def render(name: str, **variables: object) -> str:
    """Render `templates/NAME`.

    Args:
        name: path below `templates/`, for example "ollama/ollama.service.j2".
        variables: everything the template uses; it sees nothing else.

    Raises:
        jinja2.UndefinedError: the template uses a name that was not given.
    """
    return _environment().get_template(name).render(**variables)


@cache
def _environment() -> Environment:
    return Environment(
        loader=FileSystemLoader(templates_folder()),
        undefined=StrictUndefined,
        autoescape=False,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
