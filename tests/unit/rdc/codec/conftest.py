"""The marker of the tests that need the environment of the second coder."""


def pytest_configure(config):
    config.addinivalue_line("markers", "tfc: needs .venv-tfc, which `make tfc` makes")
