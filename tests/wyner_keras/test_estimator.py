"""The W-model within scikit-learn, by trainings of one epoch that run eagerly."""

import dataclasses
import pickle

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.metrics import r2_score
from sklearn.model_selection import GridSearchCV, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import estimator_checks

import wyner_keras as wk
from wyner_keras import losses
from wyner_keras.modality import CodecSettings
from wyner_keras.recipe import Recipe, StageSettings
from wyner_keras.side import SideSettings

pytestmark = pytest.mark.usefixtures("eagerly")


SIDE = SideSettings(local=None, hidden=(4,), reader="features", flow_steps=0)
TINY = Recipe(
    z=wk.DiagonalGaussian(dim=2),
    sides={"x": SIDE, "y": SIDE},
    codecs={"x": None, "y": None},
    stages=(StageSettings(name="joint", loss=losses.Joint(), epochs=1, batch_size=100),),
)
# What scikit-learn asks of an estimator, it asks of one that nobody has trained too.
UNTRAINED = dataclasses.replace(TINY, stages=())
RNG = np.random.default_rng(0)
X = RNG.normal(size=(24, 3))
Y = X @ RNG.normal(size=(3, 2)) + 5
EVEN, ODD = np.arange(0, 24, 2), np.arange(1, 24, 2)


def tiny(**settings):
    return wk.WynerTransformer(**{"recipe": TINY, "samples": 3} | settings)


@pytest.fixture(scope="module")
def fitted():
    return tiny().fit(X, Y)


# The rest trains a model or more each: `python -m pytest -m slow` runs them.
_QUICK = {
    "check_estimator_cloneable",
    "check_no_attributes_set_in_init",
    "check_valid_tag_types",
    "check_estimators_unfitted",
    "check_parameters_default_constructible",
    "check_complex_data",
    "check_fit2d_1sample",
    "check_requires_y_none",
    "check_methods_subset_invariance",
    "check_n_features_in_after_fitting",
}


def _check(check):
    return getattr(check, "func", check).__name__


CHECKS = list(estimator_checks.estimator_checks_generator(tiny(recipe=UNTRAINED)))


def test_the_quick_checks_of_scikit_learn_are_there():
    assert {_check(check) for _, check in CHECKS} >= _QUICK


@pytest.mark.parametrize(
    ("estimator", "check"),
    [
        pytest.param(*each, marks=() if _check(each[1]) in _QUICK else pytest.mark.slow)
        for each in CHECKS
    ],
    ids=[_check(check) for _, check in CHECKS],
)
def test_checks_of_scikit_learn(estimator, check):
    check(estimator)


def test_what_a_row_is_given_does_not_depend_on_the_others(fitted):
    order = [7, 3, 20]
    for given in (fitted.transform, fitted.predict):
        np.testing.assert_allclose(given(X)[order], given(X[order]), atol=1e-5)
    assert fitted.transform(X).shape == (24, 2)
    np.testing.assert_allclose(fitted.transform(X), fitted.model_.posteriors(X, "x")[0], atol=1e-6)


def test_predict_is_the_mean_of_samples(fitted):
    """Of many samples, that of the model's own."""
    many = clone(fitted).set_params(samples=2000)
    many.__dict__ |= {key: value for key, value in vars(fitted).items() if key.endswith("_")}
    many._flat = False
    own = fitted.model_.generate_y(X[:3], seed=1, samples=2000)
    spread = own.std(axis=1) / np.sqrt(2000)
    assert (abs(many.predict(X[:3]) - own.mean(axis=1)) < 6 * spread + 1e-4).all()
    assert (spread > 0).any()


def test_score_is_that_of_scikit_learn(fitted):
    assert fitted.score(X, Y) == pytest.approx(r2_score(Y, fitted.predict(X)), abs=1e-9)
    # Unlike the rows it is of, their number does not matter.
    twice = fitted.score(np.vstack([X, X]), np.vstack([Y, Y]))
    assert fitted.score(X, Y) == pytest.approx(twice, abs=1e-4)


def test_one_column_may_come_without_its_axis():
    flat = tiny(recipe=UNTRAINED).fit(X, Y[:, 0])
    assert flat.predict(X).shape == (24,)
    assert flat.score(X, Y[:, 0]) == pytest.approx(r2_score(Y[:, 0], flat.predict(X)), abs=1e-9)
    with pytest.raises(
        ValueError, match=r"y should be numbers \(n, 1\), as in training. Received: an array"
    ):
        flat.score(X, Y)


def test_rows_that_are_held_out_are_predicted():
    guessed = cross_val_predict(tiny(recipe=UNTRAINED), X, Y, cv=[(ODD, EVEN), (EVEN, ODD)])
    alone = tiny(recipe=UNTRAINED).fit(X[EVEN], Y[EVEN]).predict(X[ODD])
    np.testing.assert_allclose(guessed[ODD], alone, atol=1e-4)


def test_pipelines_and_searches():
    pipeline = make_pipeline(StandardScaler(), tiny()).set_output(transform="pandas")
    search = GridSearchCV(pipeline, {"wynertransformer__scale": [1, 6]}, cv=[(EVEN, ODD)]).fit(X, Y)
    lasted = search.best_estimator_[-1].trained_.history["joint"]["loss"]
    assert len(lasted) == search.best_params_["wynertransformer__scale"]
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    found = search.transform(X)
    assert list(found.columns) == ["wynertransformer0", "wynertransformer1"]


def test_an_estimator_travels(fitted):
    again = pickle.loads(pickle.dumps(fitted))
    np.testing.assert_array_equal(again.predict(X), fitted.predict(X))


def test_kinds_of_columns_and_values_that_are_missing():
    frame = pd.DataFrame({"size": X[:, 0], "many": RNG.poisson(3, 24)})
    side = frame.assign(kind=RNG.integers(0, 3, 24), known=RNG.integers(0, 2, 24)).astype("d")
    side.iloc[3] = np.nan
    kinds = {"x.many": "count", "y.many": "count", "y.kind": "categorical", "y.known": "binary"}
    codec = CodecSettings(code_size=2, epochs=1)
    recipe = dataclasses.replace(UNTRAINED, codecs={"x": codec, "y": codec})
    fitted = tiny(recipe=recipe, kinds=kinds, missing=True).fit(frame, side)
    assert fitted.model_.side("x").modality.kinds == ("real", "count")
    assert fitted.model_.side("y").modality.names == ("size", "many", "kind", "known")
    guessed = fitted.predict(frame)
    assert set(guessed[:, 2]) <= {0, 1, 2}
    assert set(guessed[:, 3]) <= {0, 1}
    assert np.isfinite(fitted.score(frame, side))
    with pytest.raises(ValueError, match="contains NaN"):
        tiny().fit(frame, side)


def test_results_beyond_float32_are_refused(fitted, monkeypatch):
    run = type(fitted.model_).run_graph

    def overflowing(model, name, inputs):
        return [np.full_like(each, np.inf) for each in run(model, name, inputs)]

    monkeypatch.setattr(type(fitted.model_), "run_graph", overflowing)
    for given in (fitted.transform, fitted.predict):
        with pytest.raises(ValueError, match="asked for what float32 can hold"):
            given(X)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"recipe": "long"}, "`recipe` should be a Recipe or None. Received: 'long'"),
        ({"scale": 0}, "should be a finite number above 0"),
        ({"budget": "soon"}, "`budget` should be a time"),
        ({"kinds": {"x.size": "real"}}, "`kinds` should be by column"),
        ({"samples": 0}, "`samples` should be"),
        ({"seed": -1}, "seed.*should be"),
    ],
)
def test_settings_are_checked_before_training(settings, message, monkeypatch):
    monkeypatch.setattr("wyner_keras.training.WynerModel", None)
    with pytest.raises(ValueError, match=message):
        tiny(**settings).fit(X, Y)
