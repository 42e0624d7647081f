"Shared fixtures: the folder of real data is named by --data or STEEL_DATA."
import os
from pathlib import Path

import matplotlib
import pytest
from browser import chromium, lab  # noqa: F401  fixtures of whoever needs a browser
from hypothesis import settings

matplotlib.use("Agg")
settings.register_profile("untimed", deadline=None)  # a busy machine is no fault of an example
settings.load_profile("untimed")


def pytest_addoption(parser):
    parser.addoption("--data", default=os.environ.get("STEEL_DATA"), help="folder with severstal/, neu_seg/ and magnetic_tile/")
    parser.addoption("--all", action="store_true", help="run the thorough tests too, as `make test-all` does")


def pytest_configure(config):
    config.addinivalue_line("markers", "thorough: a long test, run by `make test-all` (pytest --all) and not by `make test`")


def pytest_collection_modifyitems(config, items):
    if config.getoption("--all"): return
    thorough = [item for item in items if item.get_closest_marker("thorough")]
    if thorough:
        items[:] = [item for item in items if item not in thorough]
        config.hook.pytest_deselected(items=thorough)


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
