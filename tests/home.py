"""A user's folders, in which commands run that must change nothing."""

import os
import subprocess
import sys

from tests.ablation import small
from tests.crashes import HANGING_S
from tests.files import everything
from tests.studies import TINY as SEARCH

FILES = {"search": SEARCH, "ablate": small.TINY}
COMMANDS = list(FILES)


class Home:
    """A user's folders: that of a command, of data, of studies, and the home itself."""

    def __init__(self, folder):
        self.folder, self.work = folder, folder / "work"
        for name in ("work", "data", "storage", "home", "compiled"):
            (folder / name).mkdir()
        for name, text in FILES.items():
            (self.work / f"{name}.yaml").write_text(text)

    def plan(self, command, *more):
        """What a plan prints, and its exit code; nothing must have changed then."""
        return self.same(command, "--plan", *more)

    def same(self, command, *more):
        """What a command prints, and its exit code; nothing must have changed then."""
        before = everything(self.folder)
        done = self.run(command, *more)
        assert everything(self.folder) == before
        return done

    def run(self, command, *more):
        """What a command prints, and its exit code."""
        done = subprocess.run(
            [
                *(sys.executable, "-m", f"orthotune.{command}", f"{command}.yaml"),
                *("--storage", str(self.folder / "storage"), *more),
            ],
            cwd=self.work,
            env={
                **os.environ,
                "HOME": str(self.folder / "home"),
                "XDG_CACHE_HOME": str(self.folder / "home" / ".cache"),
                "TORCHINDUCTOR_CACHE_DIR": str(self.folder / "compiled"),
                "MLFLOW_TRACKING_URI": "",
                "CUDA_VISIBLE_DEVICES": "",
            },
            capture_output=True,
            text=True,
            timeout=HANGING_S,
            check=False,
        )
        return done.returncode, done.stdout, done.stderr

    def data(self, name, download):
        """What names a data set that is in the folder of data, or is not."""
        return [
            "--set=data.num_train=null",
            f"--set=data.name={name}",
            f"--set=data.root={self.folder / 'data'}",
            f"--set=data.download={str(download).lower()}",
        ]
