"A process that is killed at any moment leaves files that load, and the next one ends as if nothing had been. `python tests/kill.py` does it 50 times."
import json
import subprocess
import sys
from pathlib import Path

import pytest

from steel_defects.files import locked
from steel_defects.train import TrainConfig, fit

HOLD = "import sys, time; from steel_defects.files import locked\nwith locked(sys.argv[1]): print('held', flush=True); time.sleep(60)"


def test_kill_and_go_on():
    done = subprocess.run([sys.executable, Path(__file__).parent/"kill.py", "--times", "3", "--seed", "7"], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    told = json.loads(done.stdout)
    for task in ("training", "predicting", "writing"): assert told[task]["kills"] >= 3


def test_a_second_run_is_refused_and_a_killed_one_lets_go(tmp_path):
    first = subprocess.Popen([sys.executable, "-c", HOLD, tmp_path/"run"], stdout=subprocess.PIPE, text=True)
    assert first.stdout.readline() == "held\n"
    with pytest.raises(ValueError, match="in use by another process: wait"): fit(None, None, None, loss=None, out=tmp_path/"run", config=TrainConfig(cpu=True))
    assert not (tmp_path/"run"/"config.json").exists()
    first.kill()
    first.wait()
    with locked(tmp_path/"run"): pass
