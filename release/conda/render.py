"""Looks whether rattler-build takes the recipe beside this file: `python release/conda/render.py`.

Nothing is built: that needs a channel with what the package depends on.
"""

from __future__ import annotations

from pathlib import Path

from rattler_build import Stage0Recipe, VariantConfig


def main() -> None:
    """Render the recipe, and say what would be built."""
    recipe = Stage0Recipe.from_file(Path(__file__).with_name("recipe.yaml"))
    for each in recipe.render(VariantConfig()):
        print(f"conda recipe: {each.recipe.package.name} {each.recipe.package.version}")


if __name__ == "__main__":
    main()
