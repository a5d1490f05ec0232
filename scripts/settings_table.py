"""Print the table of settings for docs/operations.md, from the code: name, default, meaning."""

from pydantic_core import PydanticUndefined

from engine.settings import Settings


def rows() -> list[str]:
    """Markdown rows in the order in which the settings stand in the code."""
    lines = ["| setting | default | meaning |", "|---|---|---|"]
    for name, field in Settings.model_fields.items():
        default = "" if field.default in (None, PydanticUndefined) else f"`{field.default}`"
        lines.append(f"| `{name.upper()}` | {default} | {field.description} |")
    return lines


if __name__ == "__main__":
    print("\n".join(rows()))
