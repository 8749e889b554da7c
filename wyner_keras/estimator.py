"""The W-model as an estimator of scikit-learn."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils import check_consistent_length
from sklearn.utils.validation import check_is_fitted, validate_data

from wyner_keras import recipes
from wyner_keras.data import Pairs
from wyner_keras.data.columns import kinds_of
from wyner_keras.means import mean_other, mean_z
from wyner_keras.modality import Vector
from wyner_keras.received import received
from wyner_keras.recipe import Recipe
from wyner_keras.training import train
from wyner_serving.checks import check_count, check_seed

if TYPE_CHECKING:
    from numpy.typing import NDArray


class WynerTransformer(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    """What rows of numbers X share with rows y: z of X, and y from X.

    Args:
        recipe: a `Recipe`; None takes `recipes.default` of the pairs.
        scale: times the epochs that the recipe has.
        budget: of time, "5min" or seconds, as `train` takes it; None for none.
        samples: of y for each x, whose mean `predict` gives.
        kinds: of columns, "real", "binary", "categorical" or "count", by side ("x") or name, which
            of X is its feature's, else its place ("y.0"); real where it says nothing.
        missing: whether NaN stands for a value that is not known.
        seed: of the training, where no recipe says otherwise, and of the samples.
        verbose: of Keras' progress bars.

    Attributes:
        model_: the WynerModel.
        trained_: what `train` left.
        n_features_in_: columns of X.
        feature_names_in_: their names, where X had any.

    Example:
        >>> from sklearn.pipeline import make_pipeline
        >>> from sklearn.preprocessing import StandardScaler
        >>> shared = make_pipeline(StandardScaler(), WynerTransformer(budget="2min"))
        >>> shared.fit(X, y).predict(X_new)  # doctest: +SKIP
    """

    def __init__(
        self,
        *,
        recipe: Recipe | None = None,
        scale: float = 1.0,
        budget: str | float | None = None,
        samples: int = 16,
        kinds: Mapping[str, str] | None = None,
        missing: bool = False,
        seed: int = 0,
        verbose: Any = 0,
    ) -> None:
        self.recipe = recipe
        self.scale = scale
        self.budget = budget
        self.samples = samples
        self.kinds = kinds
        self.missing = missing
        self.seed = seed
        self.verbose = verbose

    def __sklearn_tags__(self) -> Any:
        """What scikit-learn is told: y is needed, of any number of columns."""
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        tags.target_tags.multi_output = True
        tags.input_tags.allow_nan = self.missing
        tags.transformer_tags.preserves_dtype = ["float32"]
        return tags

    def fit(self, X: Any, y: Any = None) -> Self:
        """Trains on pairs.

        Args:
            X: numbers `(n, columns)`, n of 2 or more; an array or a frame.
            y: numbers `(n, columns)`, or `(n,)`.

        Returns:
            Itself.

        Raises:
            ValueError: if an argument is not as said, or a setting is not.
            TrainingDiverged: if a loss stops being finite.
        """
        check_count(self.samples, "samples")
        check_seed(self.seed)
        given, told = self._checked(X, y, reset=True)
        names = getattr(self, "feature_names_in_", None)
        pairs = Pairs(
            given,
            told,
            x_modality=self._modality(given, "x", names),
            y_modality=self._modality(told, "y", getattr(y, "columns", None)),
        )
        recipe = self.recipe or recipes.default(pairs.facts(), seed=self.seed)
        if not isinstance(recipe, Recipe):
            raise ValueError(f"`recipe` should be a Recipe or None. Received: {received(recipe)}")
        if self.scale != 1:
            recipe = recipe.scaled(self.scale)
        self.trained_ = train(pairs, recipe, budget=self.budget, verbose=self.verbose)
        self.model_ = self.trained_.model
        self._n_features_out = mean_z(self.model_, given[:1], "x").shape[1]
        return self

    def transform(self, X: Any) -> NDArray[np.float32]:
        """The means of q(z|x): probabilities of kinds, means of quantities.

        Args:
            X: numbers `(n, columns)`, as `fit` had them.

        Returns:
            float32 `(n, width)`.

        Raises:
            NotFittedError: before `fit`.
            ValueError: for other columns.
        """
        given = self._given(X)  # which sees that there is a model
        return mean_z(self.model_, given, "x")

    def predict(self, X: Any) -> NDArray[np.float32]:
        """The mean of `samples` of p(y|x): of all guesses that of least squared error.

        Every row has the same noise: what a row is given does not depend on the others. Of binary
        and categorical columns it is the commonest value.

        Args:
            X: numbers `(n, columns)`, as `fit` had them.

        Returns:
            float32 `(n, columns of y)`, or `(n,)` where y was that.

        Raises:
            NotFittedError: before `fit`.
            ValueError: for other columns.
        """
        given = self._given(X)
        found = mean_other(self.model_, given, "x", samples=self.samples, seed=self.seed)
        return found[:, 0] if self._flat else found

    def score(self, X: Any, y: Any) -> float:
        """The share of y that `predict` tells, R², in the mean over columns of y.

        A column's is 1 − its error / that of the best constant: 1 is perfect, 0 what a constant
        reaches, below 0 is worse. Errors are squares; of categorical columns the share of wrong
        values. It is R² and not the share of partners found, since that depends on how many rows
        there are: folds of other sizes could not be compared.

        Args:
            X: numbers `(n, columns)`: rows that were not trained on, if it is to be believed.
            y: as `fit` had it. Values that are not known do not count.

        Raises:
            NotFittedError: before `fit`.
            ValueError: for other columns.
        """
        check_is_fitted(self)
        _, told = self._checked(X, y, reset=False)
        guessed = np.reshape(self.predict(X), told.shape)
        kinds = [column["kind"] for column in self.model_.side_entries["y"]["columns"]]
        return float(np.mean([_told(*each) for each in zip(told.T, guessed.T, kinds, strict=True)]))

    def _checked(self, X: Any, y: Any, *, reset: bool) -> tuple[NDArray[Any], NDArray[Any]]:
        """X and y `(n, columns)`, floating-point, of as many rows."""
        settings = self._settings()
        given, told = validate_data(
            self,
            X,
            y,
            reset=reset,
            validate_separately=(
                settings | {"ensure_min_samples": 2 if reset else 1},
                settings | {"ensure_2d": False},
            ),
        )
        check_consistent_length(given, told)
        if reset:
            self._flat = told.ndim == 1
        told = told[:, None] if told.ndim == 1 else told
        columns = told.shape[1] if reset else self.model_.example_shape("y")[0]
        if told.shape[1:] != (columns,):
            raise ValueError(
                f"y should be numbers (n, {columns}), as in training. Received: {received(told)}"
            )
        return given, told

    def _given(self, X: Any) -> NDArray[Any]:
        check_is_fitted(self)
        x: NDArray[Any] = validate_data(self, X, reset=False, **self._settings())
        return x

    def _settings(self) -> dict[str, Any]:
        """Of scikit-learn's check of an array."""
        finite = "allow-nan" if self.missing else True
        return {"dtype": [np.float64, np.float32], "ensure_all_finite": finite}

    def _modality(self, rows: NDArray[Any], side: str, names: Any) -> Vector:
        """Columns of one side: real, but for those that `kinds` names."""
        called = [str(name) for name in (range(rows.shape[1]) if names is None else names)]
        own = kinds_of(self.kinds, side, called)
        return Vector.of(rows, kinds=own, names=called, missing=self.missing)


def _told(y: NDArray[Any], guessed: NDArray[Any], kind: str) -> float:
    """1 − a guess's error / that of the best constant, of one column; values unknown do not count.

    Of a column that is always the same: 1 for the right guess, else 0, as scikit-learn has it.
    """
    known = ~np.isnan(y)
    y, guessed = y[known].astype(np.float64), guessed[known].astype(np.float64)
    if kind == "categorical":
        counts = np.unique(y, return_counts=True)[1]
        error, least = float((y != guessed).sum()), float(len(y) - counts.max(initial=0))
    else:
        error = float(((y - guessed) ** 2).sum())
        least = float(((y - y.mean()) ** 2).sum()) if len(y) else 0.0
    if not least:
        return float(not error)
    return 1 - error / least
