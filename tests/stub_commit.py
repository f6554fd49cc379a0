"""What a commit's ``python -m partage train RECIPE`` leaves behind, without training: its curve is
the file CURVE beside it, its stamp the digest of the package.
"""

import argparse
import hashlib
import json
import pathlib
import signal
import subprocess
import time

HERE = pathlib.Path(__file__).parent


def stop(*_: object) -> None:
    """End as a training does that was asked to stop."""
    raise SystemExit(143)


def main() -> None:
    """Wait for a signal after a checkpoint; when started again, finish."""
    parser = argparse.ArgumentParser()
    parser.add_argument("train")
    parser.add_argument("recipe", type=pathlib.Path)
    parser.add_argument("--checkpoint-every")
    arguments = parser.parse_args()
    folder = arguments.recipe.parent
    checkpoint = folder / "checkpoint/a"
    resumed = checkpoint.exists()
    if getattr(arguments, "checkpoint_every", None) is not None:
        signal.signal(signal.SIGTERM, stop)
        checkpoint.parent.mkdir()
        checkpoint.write_text("")
        time.sleep(60)
    finish(folder, resumed)


def finish(folder: pathlib.Path, resumed: bool) -> None:
    """Write curve and record."""
    curve = (HERE / "CURVE").read_bytes()
    files = sorted(path for path in HERE.rglob("*") if path.suffix in (".py", ""))
    content = b"".join(path.read_bytes() for path in files if path.is_file())
    commit = ["git", "-C", str(HERE), "rev-parse", "HEAD"]
    made = {
        "schema": 1,
        "recipe": json.loads((folder / "recipe.json").read_text()),
        "code": {
            "hash": hashlib.sha256(content).hexdigest(),
            "commit": subprocess.check_output(commit, text=True).strip(),
            "files": {},
        },
        "versions": {"stub": "1"},
        "machine": {"cpu": "stub"},
        "resumed": int(resumed),
        "curve_sha256": hashlib.sha256(curve).hexdigest(),
    }
    (folder / "curve.parquet").write_bytes(curve)
    (folder / "record.json").write_text(json.dumps(made))


if __name__ == "__main__":
    main()
