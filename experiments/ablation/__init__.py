"""Studies of the default recipe: over seeds, and without one ingredient at a time."""

from experiments.ablation.studies import ablation_study, seeds_study

__all__ = ["ablation_study", "seeds_study"]
