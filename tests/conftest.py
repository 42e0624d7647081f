"Shared fixtures: the folder of real data is named by --data or STEEL_DATA."
import os
from pathlib import Path

import matplotlib
import pytest

matplotlib.use("Agg")


def pytest_addoption(parser):
    parser.addoption("--data", default=os.environ.get("STEEL_DATA"), help="folder with severstal/, neu_seg/ and magnetic_tile/")


@pytest.fixture(scope="session")
def shared_data(request):
    "The folder of real data sets, or a skip that says what to set."
    folder = request.config.getoption("--data")
    if not folder: pytest.skip("real data not named: set STEEL_DATA or pass --data DIR (data/README.md says what goes there)")
    folder = Path(folder).resolve()
    if not (folder/"severstal"/"train.csv").is_file(): pytest.fail(f"{folder} holds no severstal/train.csv: correct STEEL_DATA or --data")
    return folder


@pytest.fixture(scope="session")
def root():
    "The top folder of the project."
    return Path(__file__).resolve().parent.parent
