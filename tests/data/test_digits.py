import numpy as np

from orthotune.data import digits


def test_digits_are_the_same_where_scikit_learn_keeps_them_elsewhere(monkeypatch):
    from_file = digits._digits_table()
    monkeypatch.setattr(digits.importlib.util, "find_spec", lambda _name: None)
    np.testing.assert_array_equal(from_file, digits._digits_table())
