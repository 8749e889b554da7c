"""Pairs from pandas, MuData, AnnData, Hugging Face and PyTorch.

Of the packages that are not installed `stand_ins` has the interface; `make test-readers` runs these
tests with the packages themselves.
"""

import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csc_matrix, csr_matrix
from stand_ins import AnnData, DataLoader, Dataset, MuData, TensorDataset, from_numpy

import wyner_keras as wk
from wyner_keras.data import Pairs

# Of the packages themselves, about one another.
pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")

FRAME = pd.DataFrame(
    {
        "age": [3, 4, 5, 40],
        "tall": [True, False, False, True],
        "pet": ["cat", "ant", "none", "ant"],
        "zip": pd.Categorical([1000, 80, 1000, 9]),
        "height": [95.5, 102, 99, 180],
        "visits": pd.array([1, None, 0, 7], "Int64"),
        "person": [1, 2, 2, 3],
        "fold": ["train", "train", "train", "test"],
        "when": pd.to_datetime(["2020-01-01"] * 4),
    }
)
X = ["age", "tall", "pet", "zip"]
NAMES = pd.DataFrame({"age": [f"person {n}" for n in range(30)], "height": np.linspace(90, 99, 30)})


# Frames


def test_columns_of_a_frame_have_the_kinds_of_their_dtypes():
    pairs = Pairs.from_frame(FRAME, x=X, y=["height"])
    vector = pairs.modalities[0]
    assert vector.kinds == ("count", "binary", "categorical", "categorical")
    assert vector.names == tuple(X)
    # Whatever a text looks like, "none" or a number, it names a category.
    assert vector.texts == ((), (), ("ant", "cat", "none"), ("1000", "80", "9"))
    x, y = pairs.arrays()
    np.testing.assert_array_equal(x, [[3, 1, 1, 0], [4, 0, 0, 1], [5, 0, 2, 0], [40, 1, 0, 2]])
    np.testing.assert_array_equal(y[:, 0], FRAME["height"].astype("f"))


def test_a_frame_gives_what_the_same_table_on_disk_gives(tmp_path):
    named = FRAME.rename(columns={"age": "x.age", "pet": "x.pet", "height": "y.height"})
    named = named[["x.age", "x.pet", "y.height"]].replace("none", "dog")
    named.to_csv(tmp_path / "pairs.csv", index=False)
    from_disk = wk.data.load_pairs(tmp_path / "pairs.csv")[0]
    whole = Pairs.from_frame(named, x=["x.age", "x.pet"], y="y.height")
    train = whole.split()[0]
    for mine, theirs in zip(train.arrays(), from_disk.arrays(), strict=True):
        np.testing.assert_array_equal(mine, theirs)
    assert train.modalities[0].texts == from_disk.modalities[0].texts


def test_split_and_group_and_label_are_columns():
    train, held_out = Pairs.from_frame(
        FRAME, ["age"], ["height"], split="fold", group="person", label="pet"
    )
    assert train.arrays()[0].ravel().tolist() == [3, 4, 5]
    assert held_out.arrays()[0].ravel().tolist() == [40]
    assert train.groups.tolist() == [1, 2, 2]
    assert train.x_labels.tolist() == train.y_labels.tolist() == ["cat", "ant", "none"]


def test_what_is_absent_is_refused_by_its_column_or_known_to_be_missing():
    with pytest.raises(ValueError, match=r"'visits' of y should have.*missing=True.*first row 1"):
        Pairs.from_frame(FRAME, ["age"], ["visits"])
    pairs = Pairs.from_frame(FRAME, ["age"], ["visits"], missing=True)
    np.testing.assert_array_equal(pairs.arrays()[1].ravel(), [1, np.nan, 0, 7])
    assert len(pairs) == 4
    assert pairs.modalities[1].kinds == ("count",)


def test_a_row_with_one_side_is_a_single_only_where_that_is_said():
    frame = FRAME.assign(pet=["cat", None, "NA", "ant"])
    pairs = Pairs.from_frame(frame, ["pet"], ["visits", "age"], singles=True, missing=True)
    # "NA" is a text like any other.
    assert pairs.index.tolist() == [[0, 0], [1, 2], [2, 3]]
    assert [len(each) for each in pairs.singles] == [0, 1]


def test_columns_are_named_by_what_pandas_calls_them():
    whole = Pairs.from_frame(FRAME, x=FRAME.columns[:2], y=np.array(["height"]))
    assert whole.modalities[0].names == ("age", "tall")
    levels = FRAME[["age", "tall", "height"]]
    levels.columns = pd.MultiIndex.from_tuples([("a", "age"), ("a", "tall"), ("b", "height")])
    pairs = Pairs.from_frame(levels, x=levels.columns[:2], y=("b", "height"))
    for mine, theirs in zip(pairs.arrays(), whole.arrays(), strict=True):
        np.testing.assert_array_equal(mine, theirs)


def test_frames_of_others_are_read_by_way_of_pandas():
    table = Dataset.from_dict({"age": [3, 4], "height": [95.5, 102.0]})
    assert Pairs.from_frame(table, "age", "height").arrays()[1].ravel().tolist() == [95.5, 102]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"x": ["ag"]}, "x should name columns that the frame has once.*Received: .'ag'"),
        ({"x": []}, "x should name columns"),
        ({"group": "who"}, "group should name columns.*'who'"),
        ({"x": ["when"]}, "'when' should hold numbers, booleans, categories or texts.*datetime64"),
        ({"split": "pet"}, "'split' should hold"),
        ({"kinds": {"x.years": "real"}}, "`kinds` should be by column.*'x.years'"),
        ({"x": ["pet"], "kinds": {"x": "count"}}, "'pet' of x should hold count throughout"),
        ({"frame": {"age": [1]}}, "frame should be a pandas.DataFrame.*a dict of 1"),
        ({"frame": FRAME.assign(age=[1, "a", 2, 3])}, "'age' of x should hold numbers, or texts"),
        ({"frame": FRAME.assign(age=[[1], [2], [3], [4]])}, r"'age' should hold.*Received.*\[1\]"),
        ({"frame": FRAME[["age", "age", "height"]]}, "columns that the frame has once"),
        ({"frame": NAMES}, "'age' of x should hold numbers, or categories that occur again"),
        ({"kinds": "count"}, "`kinds` should be by column, such as .*Received: 'count'"),
        (
            {"frame": FRAME.assign(height=[1, 2, np.inf, 3])},
            "column 'height' of .*should be finite",
        ),
    ],
)
def test_frames_that_cannot_be_read_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        Pairs.from_frame(**{"frame": FRAME, "x": ["age"], "y": ["height"]} | settings)


# MuData and AnnData


def annotated(rows, names, columns="abcdef", **settings):
    obs = pd.DataFrame({"donor": [f"d{name}" for name in names]}, index=list(names))
    var = pd.DataFrame(index=list(columns[: rows.shape[1]]))
    return AnnData(rows, obs=obs, var=var, **settings)


COUNTS = np.random.default_rng(0).poisson(1.5, (6, 4)).astype("f")
LEVELS = np.random.default_rng(1).normal(size=(5, 3)).astype("f")


@pytest.fixture
def mudata():
    rna = annotated(csr_matrix(COUNTS), "uvwxyz")
    return MuData({"rna": rna, "protein": annotated(LEVELS, "zwvuq", "pqr")})


@pytest.mark.parametrize("small", [0, 2**30], ids=["sparse", "in memory"])
def test_observations_are_paired_by_name_and_others_are_singles(mudata, small, monkeypatch):
    monkeypatch.setattr("wyner_keras.data.rows.SMALL", small)
    pairs = Pairs.from_mudata(mudata, "rna", "protein", kinds={"y.q": "real"})
    assert pairs.index.tolist() == [[0, 3], [1, 2], [2, 1], [5, 0]]
    assert [each.tolist() for each in pairs.singles] == [[3, 4], [4]]
    assert (pairs.x.array is None) == (small == 0)
    x, y = pairs.arrays()
    np.testing.assert_array_equal(x, COUNTS[[0, 1, 2, 5]])
    np.testing.assert_array_equal(y, LEVELS[[3, 2, 1, 0]])
    assert [each.kinds for each in pairs.modalities] == [("count",) * 4, ("real",) * 3]
    assert pairs.modalities[0].names == ("a", "b", "c", "d")
    np.testing.assert_array_equal(next(iter(pairs.dataset(4, shuffle=False)))[0], x)


def test_kinds_layers_groups_and_labels_of_mudata():
    open_ = annotated(csc_matrix(np.eye(4)), "uvwx", layers={"twice": 2 * np.eye(4)})
    levels = annotated(LEVELS[:4], "xwvu", layers={"twice": LEVELS[:4]})
    both = {"atac": open_, "protein": levels}
    assert Pairs.from_mudata(both, "atac", "protein").modalities[0].kinds == ("binary",) * 4
    pairs = Pairs.from_mudata(
        both, "atac", "protein", layer="twice", group="donor", label="donor",
        kinds={"x.b": "categorical"},
    )  # fmt: skip
    assert pairs.modalities[0].kinds == ("count", "categorical", "count", "count")
    assert pairs.modalities[0].categories == (0, 3, 0, 0)
    assert pairs.groups.tolist() == pairs.x_labels.tolist() == pairs.y_labels.tolist()
    assert pairs.groups.tolist() == ["du", "dv", "dw", "dx"]


def test_one_anndata_with_a_matrix_beside():
    beside = pd.DataFrame(LEVELS, columns=["CD4", "CD8", "CD19"], index=list("uvwxy"))
    data = annotated(COUNTS[:5], "uvwxy", obsm={"protein": beside})
    pairs = Pairs.from_mudata(data, "X", "protein")
    assert pairs.modalities[1].names == ("CD4", "CD8", "CD19")
    np.testing.assert_array_equal(pairs.arrays()[1], LEVELS)


@pytest.mark.skipif(not hasattr(AnnData, "write_h5ad"), reason="a stand-in has no files")
def test_matrices_in_files_are_read_from_there(tmp_path):
    import anndata

    for name, rows in (("rna", csr_matrix(COUNTS[:5])), ("protein", LEVELS)):
        annotated(rows, "uvwxy").write_h5ad(tmp_path / name)
    both = {name: anndata.read_h5ad(tmp_path / name, backed="r") for name in ("rna", "protein")}
    for found, rows in zip(
        Pairs.from_mudata(both, "rna", "protein").arrays(), (COUNTS[:5], LEVELS), strict=True
    ):
        np.testing.assert_array_equal(found, rows)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"x": "rma"}, "x should be a modality of .'rna', 'protein'.. Received: 'rma'"),
        ({"y": "rna"}, "x and y should be different"),
        ({"layer": "raw"}, "layer of 'rna' should be one of.*'raw'"),
        ({"group": "donor"}, "both modalities where they have groups.*3 with one"),
        ({"label": "type"}, "obs of x should have the column.*Received: 'type'"),
        ({"mdata": [1]}, "mdata should be a MuData"),
        (
            {"mdata": {"rna": annotated(COUNTS, "uvwxyz"), "protein": annotated(LEVELS, "abcde")}},
            "should share observations.*0 of 6 and 5",
        ),
        (
            {
                "mdata": {
                    "rna": annotated(COUNTS, "uvwxyz"),
                    "protein": annotated(np.where(LEVELS > 0, np.nan, LEVELS), "uvwxy"),
                }
            },
            "should be finite.*missing=True.*column",
        ),
    ],
)
def test_mudata_that_cannot_be_read_is_refused(mudata, change, message):
    with pytest.raises(ValueError, match=message):
        Pairs.from_mudata(**{"mdata": mudata, "x": "rna", "y": "protein"} | change)


@pytest.mark.filterwarnings("ignore:Observation names are not unique")
def test_a_name_of_two_observations_pairs_nothing(mudata):
    both = {"rna": mudata.mod["rna"], "protein": annotated(LEVELS, "uuvwx")}
    with pytest.raises(ValueError, match="obs_names of y should name each observation once"):
        Pairs.from_mudata(both, "rna", "protein")


def test_latents_go_back_into_obsm(mudata):
    pairs = Pairs.from_mudata(mudata, "rna", "protein", kinds={"x": "real"})
    model = wk.WynerModel(
        wk.Product(kinds=wk.Categorical(n=1, k=2), quantities=wk.DiagonalGaussian(dim=1)),
        dict(zip("xy", pairs.modalities, strict=True)),
        codecs={name: m.codec(None, 0) for name, m in zip("xy", pairs.modalities, strict=True)},
        settings={name: wk.SideSettings(reader="features", hidden=(4,)) for name in "xy"},
    )
    wk.data.latents_to_obsm(model, mudata, "rna", "protein")
    for name, values, side in (("rna", COUNTS, "x"), ("protein", LEVELS, "y")):
        probabilities, mean, _ = model.posteriors(values, side)
        found = np.asarray(mudata.mod[name].obsm["X_wyner"])
        np.testing.assert_allclose(found, np.hstack([probabilities, mean]), atol=1e-6)


def test_latents_are_written_for_both_sides_or_none(mudata):
    pairs = Pairs.from_mudata(mudata, "rna", "protein", kinds={"x": "real"})
    model = wk.WynerModel(
        wk.DiagonalGaussian(dim=2),
        dict(zip("xy", [pairs.modalities[0]] * 2, strict=True)),
        codecs={name: pairs.modalities[0].codec(None, 0) for name in "xy"},
        settings={name: wk.SideSettings(reader="features", hidden=(4,)) for name in "xy"},
    )
    with pytest.raises(ValueError, match="`y` should be an array"):
        wk.data.latents_to_obsm(model, mudata, "rna", "protein")
    assert "X_wyner" not in mudata.mod["rna"].obsm


# Batches


@pytest.mark.parametrize("small", [0, 2**30], ids=["on disk", "in memory"])
def test_a_data_loader_is_read_once_with_images_as_pytorch_has_them(small, monkeypatch):
    monkeypatch.setattr("wyner_keras.data.rows.SMALL", small)
    images = np.random.default_rng(0).random((7, 3, 9, 8), dtype="f")
    rows = np.random.default_rng(1).normal(size=(7, 2)).astype("f")
    loader = DataLoader(TensorDataset(from_numpy(images), from_numpy(rows)), batch_size=3)
    pairs = Pairs.from_dataset(loader, channels_first=True)
    x, y = pairs.arrays()
    np.testing.assert_array_equal(x, np.moveaxis(images, 1, -1))
    np.testing.assert_array_equal(y, rows)
    assert (pairs.x.array is None) == (small == 0)
    with pytest.raises(ValueError, match="channels_first=True"):
        Pairs.from_dataset(loader)


def test_parts_of_batches_are_chosen_by_place_or_name():
    x, y, label = np.eye(4, dtype="f"), np.ones((4, 2)) * np.arange(4)[:, None], np.arange(4)
    loader = DataLoader(TensorDataset(*map(from_numpy, (x, y, label))), batch_size=2)
    named = ({"left": each, "label": 0, "right": each + 1} for each in (x, x))
    for pairs in (
        Pairs.from_dataset(loader, x=1, y=0, count=3),
        Pairs.from_dataset([(x[:3], y[:3])], x=1, y=0),
    ):
        np.testing.assert_array_equal(pairs.arrays()[0], y[:3])
        np.testing.assert_array_equal(pairs.arrays()[1], x[:3])
    np.testing.assert_array_equal(
        Pairs.from_dataset(named, x="left", y="right").arrays()[1], np.vstack([x, x]) + 1
    )


def test_columns_of_hugging_face():
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 256, (5, 8, 9), np.uint8), rng.normal(size=(5, 3)).astype("f")
    columns = {"image": x.tolist(), "window": (x / 4).tolist(), "text": y.tolist()}
    table = Dataset.from_dict({**columns, "id": list("abcde")})
    pairs = Pairs.from_dataset(table, x="text", y="text")
    np.testing.assert_array_equal(pairs.arrays()[0], y)
    left = Pairs.from_dataset(table, x="window", y="text").arrays()[0]
    np.testing.assert_array_equal(np.squeeze(left), x / 4)
    with pytest.raises(ValueError, match=r"x should be floating-point where it is series.*int"):
        Pairs.from_dataset(table, x="image", y="text")


def ragged():
    return Dataset.from_dict({"image": [[1.0], [1.0, 2.0]], "text": [[1.0], [2.0]]})


@pytest.mark.parametrize(
    ("make", "settings", "message"),
    [
        (ragged, {"x": "image", "y": "text"}, "x should be real numbers.*dtype object"),
        (ragged, {}, "x and y should name the columns of a Dataset of Hugging Face"),
        (ragged, {"x": "image"}, "x and y should both say"),
        (ragged, {"x": "picture", "y": "text"}, "should have the parts .'picture', 'text'"),
        (lambda: [(np.eye(2), np.eye(2), 1)], {}, "batches .x, y., or x and y should say"),
        (lambda: [(np.eye(2), [["a"], ["b"]])], {}, "y should be real numbers"),
        (lambda: [(np.eye(2), [[1], [2, 3]])], {}, "y should be an array .batch, ...."),
        (lambda: [(np.eye(2), np.eye(2))], {"x": 0, "y": 2}, "should have the parts"),
        (
            lambda: TensorDataset(from_numpy(np.eye(2)), from_numpy(np.eye(2))),
            {},
            "PyTorch's DataLoader",
        ),
        (lambda: (each for each in ()), {}, "Received: an empty dataset"),
    ],
)
def test_batches_that_cannot_be_read_are_refused(make, settings, message):
    with pytest.raises(ValueError, match=message):
        Pairs.from_dataset(make(), **settings)
