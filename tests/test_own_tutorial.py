"""The page `docs/own-tutorial.md` as it stands: files, commands, a kill amid them."""

import json
import re
import shlex
import subprocess
import sys
import time

import numpy as np
import pytest
from PIL import Image

from orthotune.archive.loaded import load_study
from tests.crashes import HANGING_S, command, ended, kill_driver
from tests.manual import ROOT

pytestmark = pytest.mark.ray

PAGE = (ROOT / "docs" / "own-tutorial.md").read_text()
FILES = dict(
    re.findall(
        r"^```\{code-block\} \w+\n:caption: (\S+)\n\n(.*?)^```", PAGE, re.S | re.M
    )
)
COMMANDS = [
    shlex.split(line)[1:]
    for block in re.findall(r"^```\{code-block\} bash\n(.*?)^```", PAGE, re.S | re.M)
    for line in block.splitlines()
]
PER_CLASS = 60


def draw_images(folder):
    """Rings and stripes of any place and size, as JPEGs of mixed sizes."""
    rng = np.random.default_rng(0)
    for name in ("rings", "stripes"):
        (folder / name).mkdir(parents=True)
        for number in range(PER_CLASS):
            height, width = rng.integers(20, 40, 2)
            y, x = np.mgrid[:height, :width]
            if name == "rings":
                middle = rng.uniform(8, 14, 2)
                wave = np.hypot(y - middle[0], x - middle[1])
            else:
                wave = x * np.cos(rng.uniform(0, 3)) + y
            grey = 127 + 100 * np.sin(wave * rng.uniform(0.8, 1.2))
            noise = rng.normal(0, 20, (height, width, 3))
            image = np.clip(grey[..., None] + noise, 0, 255).astype(np.uint8)
            Image.fromarray(image).save(folder / name / f"{number:04d}.jpg")


def run(folder, words):
    process = command(folder, *words[1:], module=f"orthotune.{words[0]}")
    out, err = ended(process)
    return process.returncode, out, err


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("own")
    draw_images(folder / "my_images")
    for name, text in FILES.items():
        (folder / name).write_text(text)
    return folder


def test_the_page_is_short_and_has_what_is_typed():
    assert len(FILES["my_net.py"].splitlines()) <= 40
    assert [words[0] for words in COMMANDS] == ["search", "ablate", "train"]


@pytest.mark.soak
def test_the_page_runs_and_survives_a_kill(folder, monkeypatch):
    monkeypatch.syspath_prepend(str(folder))
    search, ablate, train = COMMANDS
    process = command(folder, *search[1:], module="orthotune.search")
    end = time.monotonic() + HANGING_S
    while time.monotonic() < end and process.poll() is None:
        with_results = (folder / "studies").glob("narrow/record.jsonl")
        if any(path.read_text().count('"epoch"') > 6 for path in with_results):
            break
        time.sleep(0.2)
    kill_driver(process)

    source = (folder / "my_net.py").read_text()
    (folder / "my_net.py").write_text(f"{source}\n# changed\n")
    code, _, err = run(folder, search)
    assert code == 2
    assert "source narrow" in err
    (folder / "my_net.py").write_text(source)
    code, out, err = run(folder, search)
    assert code == 0, err
    assert "8 trials" in out

    study = load_study("narrow", folder / "studies", imports=["my_net"])
    assert set(study.trials["model.narrow.width"]) <= {8, 16}
    kinds = {"orthonormal", "uncorrelated", "none"}
    assert set(study.trials["regularizer.kind"]) <= kinds
    assert study.trials["val_error"].min() < 0.5
    assert "def narrow" in (folder / "studies/narrow/plugins.txt").read_text()

    code, out, err = run(folder, ablate)
    assert code == 0, err
    assert re.search("supported|contradicted|undecided", out)
    assert "9 cells" in out

    code, out, err = run(folder, [*train, "--json"])
    assert code == 0, err
    assert json.loads(out)["val_error"] < 0.5
    elsewhere = folder / "elsewhere"
    elsewhere.mkdir()
    (folder / "narrow.pt2").rename(elsewhere / "narrow.pt2")
    blocker = "import sys; sys.modules['orthotune'] = None\n"
    (elsewhere / "use.py").write_text(blocker + FILES["use.py"])
    done = subprocess.run(
        [sys.executable, "use.py"], cwd=elsewhere, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert re.fullmatch(r"tensor\(\[[01], [01]\]\)\n", done.stdout)
