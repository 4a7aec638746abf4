"""What the search must refuse at once: by name, the file and more arguments."""

GOOD = """\
name: good
search: {num_trials: 4, max_epochs: 1}
fixed: {model.depth: 8}
space:
  optimizer.lr: {type: float, low: 1e-3, high: 1e-1, log: true}
"""

BAD = {
    "not YAML": ("name: [", ()),
    "no mapping": ("- 1\n- 2\n", ()),
    "empty": ("", ()),
    "unknown key": (GOOD.replace("num_trials", "num_trails"), ()),
    "unknown field": (GOOD.replace("model.depth", "model.dept"), ()),
    "value of a wrong kind": (GOOD.replace("depth: 8", "depth: deep"), ()),
    "value out of its range": (GOOD.replace("depth: 8", "depth: 9"), ()),
    "bounds the wrong way round": (GOOD.replace("1e-1", "1e-5"), ()),
    "setting of a wrong value": (GOOD, ("--set", "search.max_epochs=0")),
    "setting without a value": (GOOD, ("--set", "search.max_epochs")),
    "setting that is no field": (GOOD, ("--set", "optimizer.rate=0.1")),
    "bad name": (GOOD, ("--name", "a/b")),
}
