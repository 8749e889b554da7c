"""What readers use of AnnData, MuData, Hugging Face's datasets and PyTorch, and no more.

The names are those of the packages where they are installed, as `make test-readers` has them: the
same tests then run on both.
"""

import numpy as np

try:
    from anndata import AnnData
    from mudata import MuData
except ImportError:
    import pandas as pd

    class AnnData:
        """Observations by name, their matrix and what belongs to it."""

        def __init__(self, X, obs=None, var=None, obsm=None, layers=None):
            self.X, self.obsm, self.layers = X, dict(obsm or {}), dict(layers or {})
            of = [pd.DataFrame(index=list(map(str, range(size)))) for size in X.shape]
            self.obs, self.var = (
                own if given is None else given for own, given in zip(of, (obs, var), strict=True)
            )

        @property
        def obs_names(self):
            """Of the rows."""
            return self.obs.index

        @property
        def var_names(self):
            """Of the columns."""
            return self.var.index

    class MuData:
        """AnnData by name."""

        def __init__(self, mod):
            self.mod = mod


try:
    from datasets import Dataset
except ImportError:

    class Dataset:
        """A table of Hugging Face, read in batches."""

        def __init__(self, columns):
            self._columns = columns

        @classmethod
        def from_dict(cls, columns):
            """A table of lists by name."""
            return cls(columns)

        def __getitem__(self, row):
            return {name: values[row] for name, values in self._columns.items()}

        def to_pandas(self):
            """The table as a frame."""
            import pandas as pd

            return pd.DataFrame(self._columns)

        def with_format(self, kind):
            """The table; of NumPy alone."""
            assert kind == "numpy"
            return self

        def iter(self, batch_size):
            """Dicts of arrays."""
            columns = {name: _array(values) for name, values in self._columns.items()}
            for start in range(0, len(next(iter(columns.values()))), batch_size):
                yield {name: each[start : start + batch_size] for name, each in columns.items()}


def _array(values):
    """As the package has it: float32, and objects where rows are of several lengths."""
    if len({np.shape(value) for value in values}) > 1:
        array = np.empty(len(values), object)
        array[:] = values
        return array
    array = np.array(values)
    return array.astype("float32") if array.dtype.kind == "f" else array


try:
    from torch import from_numpy
    from torch.utils.data import DataLoader, TensorDataset
except ImportError:

    class Tensor:
        """What a reader asks of a tensor; NumPy alone cannot read one that has a gradient."""

        def __init__(self, array, detached=False):
            self._array, self._detached = array, detached
            self.shape, self.dtype = array.shape, array.dtype

        def __len__(self):
            return len(self._array)

        def __getitem__(self, rows):
            return Tensor(self._array[rows])

        def __array__(self, dtype=None, copy=None):
            raise RuntimeError("Can't call numpy() on Tensor that requires grad.")

        def detach(self):
            """The tensor without its gradient."""
            return Tensor(self._array, detached=True)

        def cpu(self):
            """The tensor in memory."""
            return self

        def numpy(self):
            """The array."""
            assert self._detached
            return self._array

    def from_numpy(array):
        """A tensor of an array."""
        return Tensor(array)

    class TensorDataset:
        """Tensors whose rows go together."""

        def __init__(self, *tensors):
            self.tensors = tensors

        def __len__(self):
            return len(self.tensors[0])

        def __getitem__(self, row):
            return tuple(each[row] for each in self.tensors)

    class DataLoader:
        """Batches of a dataset, each a list."""

        def __init__(self, dataset, batch_size):
            self.dataset, self.batch_size = dataset, batch_size

        def __iter__(self):
            for start in range(0, len(self.dataset), self.batch_size):
                yield list(self.dataset[slice(start, start + self.batch_size)])


__all__ = ["AnnData", "DataLoader", "Dataset", "MuData", "TensorDataset", "from_numpy"]
